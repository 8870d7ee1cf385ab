//! What a hook is: a signal that a domain needs, and the alternatives that deliver it, best first.
//!
//! Used by the domains, which declare hooks, and by the kernel layer, which chooses and attaches them. This module
//! depends on neither.

use observer_common::names::ProgramName;

/// A signal with its alternatives, ordered by precision and cost. The first alternative that the kernel accepts is
/// attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `domain.signal`, as in doctor and in the notes.
    pub name: &'static str,
    /// What the signal provides, in words for humans: "mapped and unmapped bytes of each process".
    pub provides: &'static str,
    pub kind: HookKind,
    pub alternatives: &'static [Alternative],
    /// Columns that are missing without the signal, by their names in JSON.
    pub columns: &'static [&'static str],
}

/// Whether a hook reads what exists or reports what happens. Each kind can be switched off, to see what the other one
/// finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// An iterator: one scan of what exists, when a report is due.
    Scan,
    /// An iterator that runs before the first report, and later only when a report needs it.
    ScanOnDemand,
    /// An iterator that runs before the first report, and later only when a report needs exactly this scan: it takes
    /// long, and may take several runs.
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

/// One alternative of a hook: programs that must all be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// Short, for humans: "BTF tracepoint sys_exit".
    pub name: &'static str,
    pub programs: &'static [Attachment],
    /// What its programs need of the kernel, beside their attach points.
    pub needs: &'static [Need],
    /// The limitation: what this alternative cannot see and a better one could. Empty if there is none.
    pub limitation: &'static str,
}

impl Alternative {
    /// An alternative without further needs and without limitation.
    pub const fn new(name: &'static str, programs: &'static [Attachment]) -> Self {
        Self { name, programs, needs: &[], limitation: "" }
    }

    /// The same alternative, with needs.
    #[must_use]
    pub const fn needing(self, needs: &'static [Need]) -> Self {
        Self { needs, ..self }
    }

    /// The same alternative, with a limitation.
    #[must_use]
    pub const fn limited(self, limitation: &'static str) -> Self {
        Self { limitation, ..self }
    }

    /// Whether its programs make repeated calls, which take the verifier longest.
    pub fn repeats(&self) -> bool {
        self.needs.contains(&Need::Helper("loop"))
    }
}

/// A feature that programs use, and that a kernel may lack or forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A helper function that is newer than Linux 5.10, by its name without `bpf_`.
    Helper(&'static str),
    /// That this helper is missing: a kernel with the helper has a better alternative.
    NoHelper(&'static str),
    /// Reading kernel memory at any address, which `lockdown=confidentiality` forbids.
    Probing,
    /// The same, for kernels that have this field (by the name of its global), at this offset if one is given: a layout
    /// that nothing else can read.
    ProbingWhere { global: &'static str, is: Option<u32> },
}

/// A program of the domain's kernel object and where it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The name of the function in the object.
    pub program: ProgramName,
    pub point: Point,
    /// With `true`, the alternative does not need this program if the kernel lacks the attach point (a compat entry, a
    /// module).
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

/// A program at `name` of the root control group, so of every process.
pub const fn control_group(program: ProgramName, name: &'static str) -> Attachment {
    Attachment { program, point: Point::ControlGroup(name), optional: false }
}

impl Attachment {
    /// The same attachment, for kernels that have the attach point.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// A point in the kernel that a program can be attached to.
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
    /// An event of a control group's sockets: `sock_create`, `getpeername4`.
    ControlGroup(&'static str),
}

impl Point {
    /// The kernel's name of the attach point.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Iterator(name)
            | Self::BtfTracepoint(name)
            | Self::Fentry(name)
            | Self::Fexit(name)
            | Self::ControlGroup(name) => name,
        }
    }
}
