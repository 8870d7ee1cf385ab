//! What a hook is: a signal that a domain needs, and the ways to get it, best first.
//!
//! Known to the domains, which declare hooks, and to the kernel layer, which chooses and attaches; knows neither.

use observer_common::names::ProgramName;

/// A signal, and every way to it in order of precision and cost. The first way that the kernel accepts is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `domain.signal`: as doctor and the notes name it.
    pub name: &'static str,
    /// What is known because of it, for people: "mapped and unmapped bytes of each process".
    pub provides: &'static str,
    pub kind: HookKind,
    pub alternatives: &'static [Alternative],
    /// Columns, as JSON spells them, that are missing without it.
    pub columns: &'static [&'static str],
}

/// Whether a hook reads what exists or reports what happens. Each kind can be switched off, to see what the other one
/// finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// An iterator: one pass over what exists, when a report is due.
    Scan,
    /// An iterator that runs before the first report, and later only when a report wants it.
    ScanOnDemand,
    /// An iterator that runs before the first report, and later only when a report wants just this: it takes long, and may
    /// take several passes.
    ScanRarely,
    /// Programs that run when something happens.
    Event,
    /// The same, attached only while there is something to report.
    EventOnDemand,
}

impl HookKind {
    /// Whether it reports what happens, instead of reading what exists.
    pub const fn is_event(self) -> bool {
        matches!(self, Self::Event | Self::EventOnDemand)
    }
}

/// One way to a signal: the programs that must all be attached for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// Short and for people: "BTF tracepoint sys_exit".
    pub name: &'static str,
    pub programs: &'static [Attachment],
    /// What its programs ask of the kernel beside their places.
    pub needs: &'static [Need],
    /// What this way does not see that a better one would; empty if nothing.
    pub blind: &'static str,
}

impl Alternative {
    /// An alternative that needs nothing beside its places, and misses nothing.
    pub const fn new(name: &'static str, programs: &'static [Attachment]) -> Self {
        Self { name, programs, needs: &[], blind: "" }
    }

    /// The same with needs.
    #[must_use]
    pub const fn needing(self, needs: &'static [Need]) -> Self {
        Self { needs, ..self }
    }

    /// The same with a limitation.
    #[must_use]
    pub const fn blind(self, blind: &'static str) -> Self {
        Self { blind, ..self }
    }

    /// Whether its programs call something again and again: what the verifier looks at longest.
    pub fn repeats(&self) -> bool {
        self.needs.contains(&Need::Helper("loop"))
    }
}

/// Something that programs call, and that a kernel may lack or refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A helper function younger than Linux 5.10, by its name without `bpf_`.
    Helper(&'static str),
    /// That this helper is not there: what the kernel has in its stead is better.
    NoHelper(&'static str),
    /// Reading kernel memory at any address, which `lockdown=confidentiality` forbids.
    Probing,
    /// The same, where the kernel has this field, by the name of its global, and at this offset if one is given: a shape
    /// that nothing else can read.
    ProbingWhere { global: &'static str, is: Option<u32> },
}

/// A program of the domain's kernel object and where it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The function's name in the object.
    pub program: ProgramName,
    pub point: Point,
    /// With `true`, the way holds without this program where the kernel lacks the point (a compat entry, a module).
    pub optional: bool,
}

/// A scan by the iterator `target`.
pub const fn iterator(program: ProgramName, target: &'static str) -> Attachment {
    Attachment { program, point: Point::Iterator(target), optional: false }
}

/// A program at the tracepoint `name`.
pub const fn tracepoint(program: ProgramName, name: &'static str) -> Attachment {
    Attachment { program, point: Point::BtfTracepoint(name), optional: false }
}

/// A program at the return of `function`.
pub const fn fexit(program: ProgramName, function: &'static str) -> Attachment {
    Attachment { program, point: Point::Fexit(function), optional: false }
}

impl Attachment {
    /// The same where the kernel has the point.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// A place in the kernel that a program can be attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// A BPF iterator's target: `task`, `task_file`, `task_vma`, `tcp`, `udp`.
    Iterator(&'static str),
    /// A tracepoint entered with BTF-typed arguments.
    BtfTracepoint(&'static str),
    /// The entry of a kernel function, with BTF-typed arguments.
    Fentry(&'static str),
    /// The return of a kernel function, with BTF-typed arguments and result.
    Fexit(&'static str),
}

impl Point {
    /// The kernel's name of the place.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Iterator(name) | Self::BtfTracepoint(name) | Self::Fentry(name) | Self::Fexit(name) => name,
        }
    }
}
