//! A domain is one type that implements [`Domain`] and has an entry in the list of domains. Nothing else names the
//! type.
//!
//! A domain has a kernel side ([`KernelSide`]), a host side ([`HostSide`]) and views ([`Views`]).

use std::{any::Any, path::Path};

use observer_common::{
    field::Field,
    names::{MapName, ProgramName},
};

use crate::{
    context::Context,
    facts::{Fact, TaskId, net::SocketHandle, session::Timestamp},
    hook::{Hook, HookKind, Need},
    problem::{ProblemKind, condition::Outlook},
    queries::HostQueries,
    report::{Report, note::NoteKind},
    view::{Request, View},
};

/// A domain: everything that observer needs to answer one kind of question.
pub trait Domain: KernelSide + HostSide + Views + Sync {}

impl<T: KernelSide + HostSide + Views + Sync> Domain for T {}

/// The programs that a domain attaches to the kernel, and the decoder of their output.
pub trait KernelSide {
    /// The objects to load and the hooks to attach.
    fn declaration(&self) -> &'static Declaration;

    /// A decoder for a machine with pages of `page_size` bytes.
    fn decoder(&self, page_size: u64) -> Box<dyn Decode>;
}

/// The facts that a domain reads from `/proc`, `/sys` and filesystems.
pub trait HostSide {
    /// A reader of the machine with the filesystem root `root`.
    fn reader(&self, root: &Path) -> Box<dyn ReadHost>;
}

/// The questions that a domain answers.
pub trait Views {
    /// The views, the domain's main one first.
    fn views(&self) -> &'static [View];

    /// The command that has the views among its flags, if that is the command of another domain.
    fn command(&self) -> Option<&'static str> {
        None
    }

    /// The view with the most host queries: a recording answers the queries of this view.
    fn recorded(&self) -> View;

    /// The kinds of notes in its reports, in addition to [`crate::report::CommonNote`].
    fn notes(&self) -> &'static [NoteKind];

    /// The kinds of problems that it finds.
    fn problems(&self) -> &'static [&'static ProblemKind] {
        &[]
    }

    /// The empty state. The request has the window of trends.
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
    /// Kernel fields that the object reads, in addition to those of `observer_common::task`.
    pub fields: &'static [Field],
    /// Global names of the fields that a kernel may lack without harm. Any other missing field makes the programs that
    /// read it unavailable.
    pub optional_fields: &'static [&'static str],
    /// Maps with cumulative totals. All their entries are read when a ring buffer lost records.
    pub totals: &'static [MapName],
    /// Those of `totals` that attribute what scans and host queries find to a process. Announced entries of these maps
    /// are read again after a scan. Otherwise work that happened in between would be attributed to the previous
    /// process.
    pub attributing: &'static [MapName],
    /// Whether records report the end of every process that they name. Otherwise the source searches for ended
    /// processes.
    pub reports_exits: bool,
    /// The hook that reports the end of things that a scan of changes leaves out. `None` if every scan reports
    /// everything.
    pub end_hook: Option<&'static str>,
}

/// A kernel object, and what it needs from a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelObject {
    /// Its name without `.o`.
    pub name: &'static str,
    /// An ELF file, at an address that is a multiple of 8: see [`crate::kernel_object`].
    pub bytes: &'static [u8],
    pub needs: &'static [Need],
}

/// Bytes aligned for a reader of ELF files.
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

/// Decodes the bytes that cross the kernel boundary to facts, and decides which scan runs when.
pub trait Decode {
    /// Takes one record of the ring buffer, including its header.
    ///
    /// # Errors
    /// When the bytes are not a record that this version knows.
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed>;

    /// Takes as much as possible from the front of what a scan of `program` has written so far. Returns the number of
    /// bytes taken: the caller passes the others again, followed by more. So the output of a scan over very many things
    /// is never in memory as a whole.
    ///
    /// # Errors
    /// When the bytes are not whole records.
    fn scan_part(
        &mut self,
        _program: ProgramName,
        _bytes: &[u8],
        _out: &mut Decoded,
    ) -> Result<usize, Malformed> {
        Ok(0)
    }

    /// The facts about sockets that the current scan has found since the last call. The caller replaces each by a known
    /// equal fact, so that a scan without changes takes no memory.
    fn fresh(&mut self) -> &mut [SocketHandle] {
        &mut []
    }

    /// Takes everything that the iterator program `program` wrote in one scan, except what [`Self::scan_part`] has taken.
    ///
    /// # Errors
    /// When the bytes are not whole records.
    fn scan(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed>;

    /// Every scan of a report has reached its end: what no scan found may be forgotten.
    fn scans_completed(&mut self, _out: &mut Decoded) {}

    /// Takes an entry of a map, which [`Decoded::read`] requested, or which was found when all entries were read after
    /// a loss.
    ///
    /// # Errors
    /// When the key or the value has another size than in this version.
    fn entry(&mut self, map: MapName, key: &[u8], value: &[u8], out: &mut Decoded) -> Result<(), Malformed>;

    /// Whether the scan of `program`, of a hook of this kind, runs for the report.
    fn needs_scan(&self, kind: HookKind, _program: ProgramName, plan: ScanPlan<'_>) -> bool {
        plan.usual(kind)
    }

    /// Scans of a kind begin, or, for [`HookKind::Scan`], the on-demand hooks have been attached or are about to be
    /// detached: adds the map entries to write first ([`Decoded::write`]).
    fn prepare(&mut self, _kind: HookKind, _plan: ScanPlan<'_>, _out: &mut Decoded) {}
}

/// Reads what user space can see of the machine. A domain implements only the methods that it needs.
pub trait ReadHost {
    /// Starts slow work for a report at `now`, boot-clock nanoseconds.
    fn begin(&mut self, _now: u64) {}

    /// Adds to `out` the facts that every report needs, at `now`, boot-clock nanoseconds.
    fn tick(&mut self, _now: u64, _out: &mut Vec<Fact>) {}

    /// The output of a scan of `program`, completed with what this kernel left to user space.
    fn complete(&mut self, _program: ProgramName, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    /// Takes what the domain's decoder left to this reader ([`Decoded::left`]), and adds what follows to the rest of what
    /// was decoded.
    fn take(&mut self, _left: Box<dyn Any>, _decoded: &mut Decoded) {}

    /// Adds the answers to host queries to `out`.
    fn answer(&mut self, queries: &HostQueries, out: &mut Vec<Fact>);

    /// Map entries to write after the host queries are answered, for programs that watch only what is asked for: (map,
    /// key, value).
    fn control_entries(&mut self) -> Vec<(MapName, Vec<u8>, Vec<u8>)> {
        Vec::new()
    }
}

/// The result of decoding: facts, and the map entries to read or remove next.
#[derive(Debug, Default)]
pub struct Decoded {
    pub facts: Vec<Fact>,
    /// Facts about sockets, which follow the other facts. There can be very many, so each must be small.
    pub sockets: Vec<SocketHandle>,
    /// Facts that follow `sockets`, because they mean nothing before them.
    pub after_sockets: Vec<Fact>,
    /// Map entries that were announced: (map, key).
    pub read: Vec<(MapName, Vec<u8>)>,
    /// Map entries to remove, because their final value has been read: (map, key).
    pub remove: Vec<(MapName, Vec<u8>)>,
    /// Map entries to write: (map, key, value).
    pub write: Vec<(MapName, Vec<u8>, Vec<u8>)>,
    /// There is something that only hooks of kind [`HookKind::EventOnDemand`] report.
    pub watch: bool,
    /// The program that counts as the one that ran, if two programs find the same things.
    pub instead_of: Option<ProgramName>,
    /// Data for the domain's own reader to complete: see [`ReadHost::take`].
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

/// The state at the beginning of a report's scans.
#[derive(Clone, Copy, Debug)]
pub struct ScanPlan<'a> {
    /// Whether these are the first scans.
    pub first: bool,
    /// Whether everything is reported, and not only changes.
    pub whole: bool,
    /// Whether the on-demand hooks are attached, and stay so.
    pub on_demand_attached: bool,
    /// Whether something is missed that another scan may find.
    pub has_missing: bool,
    /// The host queries of the previous report.
    pub queries: &'a HostQueries,
}

impl ScanPlan<'_> {
    /// Whether a scan of a hook of this kind runs if its domain has no rule of its own.
    #[must_use]
    pub const fn usual(self, kind: HookKind) -> bool {
        match kind {
            HookKind::Scan => true,
            HookKind::ScanOnDemand => self.first || self.has_missing,
            HookKind::ScanRarely => self.first && self.queries.thorough,
            HookKind::Event | HookKind::EventOnDemand => false,
        }
    }
}

/// Bytes that this version's kernel side does not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What was expected and what was found.
    pub text: String,
}

/// The state of a domain: takes facts, makes reports. It uses no clock, no file and no kernel.
pub trait State {
    /// Takes a fact. Facts of other domains are ignored.
    fn apply(&mut self, fact: &Fact);

    /// A report is due at `now`: samples the values for trends.
    fn tick(&mut self, now: Timestamp);

    /// The whole report of a view of this domain: every row, before filters, sorting and `--top`.
    fn report(&self, context: &Context<'_>) -> Report;

    /// The same rows as [`Self::report`] for the same request, with only the cells that [`Self::queries`] reads.
    fn draft(&self, context: &Context<'_>) -> Report {
        self.report(context)
    }

    /// The host queries for the rows that will be shown. `shown` is a draft, already shaped.
    fn queries(&self, shown: &Report, context: &Context<'_>) -> HostQueries;

    /// The conditions of problems that hold now, and what else the overview needs.
    fn outlook(&self, _context: &Context<'_>) -> Outlook {
        Outlook::default()
    }

    /// Whether later rows may name the process `id` although it has ended: the process that deleted a file, for
    /// example. Its names are kept for as long.
    fn remembers(&self, _id: TaskId) -> bool {
        false
    }

    /// The report has been delivered: rates start from zero, and rows of ended things are removed.
    fn delivered(&mut self, now: Timestamp);
}
