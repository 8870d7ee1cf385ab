//! What a domain is: one type that implements [`Domain`], and a place in the list of domains. Nothing else names it.
//!
//! A domain has a kernel side ([`KernelSide`]), a host side ([`HostSide`]) and views ([`Views`]).

use std::{any::Any, path::Path};

use observer_common::{
    field::Field,
    names::{MapName, ProgramName},
};

use crate::{
    facts::{
        Fact, TaskId,
        net::SocketHandle,
        session::{SessionFact, Timestamp},
    },
    hook::{Hook, HookKind, Need},
    identity::process::Processes,
    report::{Report, note::NoteKind},
    view::{Request, View},
    wants::HostQueries,
};

/// A domain: all that observer needs to answer one kind of question.
pub trait Domain: KernelSide + HostSide + Views + Sync {}

impl<T: KernelSide + HostSide + Views + Sync> Domain for T {}

/// What a domain attaches to the kernel, and how its bytes are read.
pub trait KernelSide {
    /// What is loaded and attached.
    fn declaration(&self) -> &'static Declaration;

    /// A decoder for a machine with pages of `page_size` bytes.
    fn decoder(&self, page_size: u64) -> Box<dyn Decode>;
}

/// What a domain reads of `/proc`, `/sys` and filesystems.
pub trait HostSide {
    /// A reader of the machine with the filesystem root `root`.
    fn reader(&self, root: &Path) -> Box<dyn ReadHost>;
}

/// The questions that a domain answers.
pub trait Views {
    /// The views, the domain's main one first.
    fn views(&self) -> &'static [View];

    /// The view with the most host queries: a recording answers the queries of this view.
    fn recorded(&self) -> View;

    /// The kinds of notes in its reports, beside [`crate::report::CommonNote`].
    fn notes(&self) -> &'static [NoteKind];

    /// The empty state; the request says how far back trends look.
    fn state(&self, request: &Request) -> Box<dyn State>;
}

/// The kernel side of a domain as plain data.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// `mem`, `disk`, `net`.
    pub name: &'static str,
    /// The kernel objects, best first: the first one with all its needs met is loaded. All of them have the same maps,
    /// and the same programs as far as hooks name them.
    pub objects: &'static [KernelObject],
    /// The signals, in the order in which they are attached.
    pub hooks: &'static [Hook],
    /// Kernel fields that the object reads, beside those of `observer_common::task`.
    pub fields: &'static [Field],
    /// Global names of the fields that a kernel may lack without harm; any other that is missing makes the programs
    /// that read it unavailable.
    pub optional_fields: &'static [&'static str],
    /// Maps that hold cumulative totals: swept whole when a ring lost records.
    pub totals: &'static [MapName],
    /// Those of `totals` that attribute what scans and host queries find to a process. Announced entries of these maps
    /// are read again after a scan. Otherwise work that happened in between would be attributed to the previous
    /// process.
    pub attributing: &'static [MapName],
    /// Whether records report the end of every process that they name; else the source looks for itself.
    pub reports_exits: bool,
    /// The hook that reports every end of a thing that a scan over changes keeps silent about. `None` where every scan
    /// reports everything.
    pub ends: Option<&'static str>,
}

/// A kernel object, and what it needs of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelObject {
    /// Its name without `.o`.
    pub name: &'static str,
    /// An ELF file, at an address that is a multiple of 8: see [`crate::kernel_object`].
    pub bytes: &'static [u8],
    pub needs: &'static [Need],
}

/// Bytes at an address that a reader of ELF files needs.
#[doc(hidden)]
#[derive(Debug)]
#[repr(C, align(8))]
pub struct Aligned<T: ?Sized>(pub T);

/// A [`KernelObject`](crate::domain::KernelObject) with the bytes of a file, at an address that is a multiple of 8.
#[macro_export]
macro_rules! kernel_object {
    ($name:literal, $path:expr, $needs:expr) => {{
        static BYTES: &$crate::domain::Aligned<[u8]> = &$crate::domain::Aligned(*include_bytes!($path));
        $crate::domain::KernelObject { name: $name, bytes: &BYTES.0, needs: $needs }
    }};
}

/// From the bytes that cross the kernel boundary to facts, and which scan runs when.
pub trait Decode {
    /// One record of the ring buffer, its header included.
    ///
    /// # Errors
    /// When the bytes are not a record that this version knows.
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed>;

    /// Takes what it can of what a scan of `program` has written so far, from the front, and returns how many bytes that
    /// is: the rest comes again, with more behind it. So a scan over very many things is never in memory as a whole.
    ///
    /// # Errors
    /// When the bytes are not whole records.
    fn part(&mut self, _program: ProgramName, _bytes: &[u8], _out: &mut Decoded) -> Result<usize, Malformed> {
        Ok(0)
    }

    /// What the scan under way has reported of sockets since the last call. The caller puts a known equal fact in the place
    /// of each, so that a scan over what is known takes no memory.
    fn fresh(&mut self) -> &mut [SocketHandle] {
        &mut []
    }

    /// Everything that the iterator program `program` wrote in one scan, but for what [`Self::part`] has taken of it.
    ///
    /// # Errors
    /// When the bytes are not whole records.
    fn pass(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed>;

    /// Every scan of a report has run, each to its end: what none of them found may be forgotten.
    fn passed(&mut self, _out: &mut Decoded) {}

    /// An entry of a map, asked for by [`Decoded::read`] or met when a map was swept after a loss.
    ///
    /// # Errors
    /// When key or value have another size than this version's.
    fn entry(&mut self, map: MapName, key: &[u8], value: &[u8], out: &mut Decoded) -> Result<(), Malformed>;

    /// Whether the scan of `program`, of a hook of this kind, runs for the report.
    fn needs_scan(&self, kind: HookKind, _program: ProgramName, plan: ScanPlan<'_>) -> bool {
        plan.usual(kind)
    }

    /// Map entries to write before the scans of a kind: (map, key, value).
    fn control_entries(&mut self, _kind: HookKind, _plan: ScanPlan<'_>) -> Vec<(MapName, Vec<u8>, Vec<u8>)> {
        Vec::new()
    }

    /// Whether the hooks of kind [`HookKind::EventOnDemand`] have something to report, as the scans found.
    fn needs_on_demand_hooks(&self) -> bool {
        true
    }
}

/// Reads what user space itself can see of the machine. What a domain does not need, it leaves out.
pub trait ReadHost {
    /// Begins what a report at `now`, boot-clock nanoseconds, needs and what takes a while.
    fn begin(&mut self, _now: u64) {}

    /// Adds to `out` what every report needs, at `now`, boot-clock nanoseconds.
    fn tick(&mut self, _now: u64, _out: &mut Vec<Fact>) {}

    /// What a scan of `program` wrote, with what its kernel let it leave to user space.
    fn complete(&mut self, _program: ProgramName, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    /// Takes what the domain's decoder left to its reader in a scan ([`Decoded::left`]), and adds what follows from it to
    /// the facts of the scan.
    fn take(&mut self, _left: Box<dyn Any>, _facts: &mut Vec<Fact>) {}

    /// Adds to `out` the answers to what a report lacks.
    fn answer(&mut self, queries: &HostQueries, out: &mut Vec<Fact>);

    /// What the kernel has counted so far of what the domain's programs on demand report.
    fn counted(&mut self) -> Option<u64> {
        None
    }

    /// Adds to `out` that the programs on demand have not seen `amount` of it.
    fn missed(&self, _amount: u64, _out: &mut Vec<Fact>) {}
}

/// What decoding gave: facts, and what to read or remove in the kernel's maps next.
#[derive(Debug, Default)]
pub struct Decoded {
    pub facts: Vec<Fact>,
    /// Facts about sockets: there can be so many that each must be small. They follow the others …
    pub sockets: Vec<SocketHandle>,
    /// … but for these, which mean nothing before them.
    pub after_sockets: Vec<Fact>,
    /// Map entries that were announced: (map, key).
    pub read: Vec<(MapName, Vec<u8>)>,
    /// Map entries to remove, because their final value has been read: (map, key).
    pub remove: Vec<(MapName, Vec<u8>)>,
    /// The program that counts as the one that ran, where two find the same things.
    pub instead_of: Option<ProgramName>,
    /// What the domain's own reader is to complete: see [`ReadHost::take`].
    pub left: Option<Box<dyn Any>>,
    /// The scan stopped before its end, and another run continues it. Only the last run has something to report.
    pub partial: bool,
}

impl Decoded {
    /// Takes all facts, in their order.
    pub fn take_facts(&mut self) -> impl Iterator<Item = Fact> + use<> {
        let [facts, after] = [&mut self.facts, &mut self.after_sockets].map(std::mem::take);
        let sockets = std::mem::take(&mut self.sockets).into_iter().map(Fact::from);
        facts.into_iter().chain(sockets).chain(after)
    }
}

/// What is known when the scans of a report begin.
#[derive(Clone, Copy, Debug)]
pub struct ScanPlan<'a> {
    /// These are the first scans.
    pub first: bool,
    /// Everything is reported, not only changes.
    pub whole: bool,
    /// Hooks on demand are attached.
    pub attended: bool,
    /// Something is gone that another scan may find.
    pub missed: bool,
    /// What the previous report asked for.
    pub queries: &'a HostQueries,
}

impl ScanPlan<'_> {
    /// Whether a scan of a hook of this kind runs where its domain asks for nothing.
    #[must_use]
    pub const fn usual(self, kind: HookKind) -> bool {
        match kind {
            HookKind::Scan => true,
            HookKind::ScanOnDemand => self.first || self.missed,
            HookKind::ScanRarely => self.first && self.queries.thorough,
            HookKind::Event | HookKind::EventOnDemand => false,
        }
    }
}

/// Bytes that are not what this version's kernel side writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What was expected and what was found.
    pub text: String,
}

/// The state of a domain: facts go in, reports come out; no clock, no file, no kernel.
pub trait State {
    /// Takes a fact in. Facts of other domains are ignored.
    fn apply(&mut self, fact: &Fact);

    /// A report is due at `now`: what is sampled for trends is sampled.
    fn tick(&mut self, now: Timestamp);

    /// The whole report of a view of this domain: every row, before filters, sorting and `--top`.
    fn report(&self, context: &Context<'_>) -> Report;

    /// The same rows as [`Self::report`] for the same request, with no more in them than [`Self::wants`] looks at.
    fn draft(&self, context: &Context<'_>) -> Report {
        self.report(context)
    }

    /// What the rows that will be shown (`shown` is a draft, shaped already) still lack.
    fn wants(&self, shown: &Report, context: &Context<'_>) -> HostQueries;

    /// Whether later rows may name the process `id` although it has ended: the process that deleted a file, for
    /// example. Its names are kept for as long.
    fn remembers(&self, _id: TaskId) -> bool {
        false
    }

    /// The report has been delivered: rates start from zero, and rows of ended things are removed.
    fn delivered(&mut self, now: Timestamp);
}

/// What a report is made with beside the domain's own state.
pub struct Context<'a> {
    pub session: &'a SessionFact,
    pub processes: &'a Processes,
    pub request: &'a Request,
    pub now: Timestamp,
    /// The moment of the previous report, or of the start.
    pub previous: Timestamp,
    /// Whether a report was delivered before: without one, rates since the start are not yet known.
    pub first: bool,
}

impl Context<'_> {
    /// An otherwise empty report of the view that was asked for, with its times, and these tables.
    #[must_use]
    pub fn report(&self, tables: Vec<crate::report::Table>) -> Report {
        Report {
            view: self.request.view.name,
            host: self.session.host.clone(),
            now: self.now,
            elapsed: self.now.since(self.previous),
            observed: self.now.since(self.session.began),
            loss: crate::report::LossTotals::default(),
            headline: Vec::new(),
            totals: Vec::new(),
            tables,
            notes: Vec::new(),
        }
    }
}
