//! The domains, and what each of them provides.
//!
//! A domain is one folder with files of the same five names. Adding one: its folder, its file in `observation`, its
//! object in `observer-ebpf`, its records in `observer-common`, and a line in each of the two lists below.

use std::collections::HashMap;

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
    hook::{Hook, Need},
    identity::process::Processes,
    report::{Report, note::NoteKind},
    view::{Request, View},
    wants::HostQueries,
};

/// What the kernel layer and the source need of a domain: plain data and a decoder, no state.
#[derive(Clone, Copy)]
pub struct Declaration {
    /// `mem`, `disk`, `net`.
    pub name: &'static str,
    /// Its kernel objects, best first, with what each asks of a kernel: the first whose needs are met is loaded. All of
    /// them have the same maps and the same programs, as far as hooks name them.
    pub objects: &'static [(&'static str, &'static [Need])],
    pub hooks: &'static [Hook],
    /// Kernel fields that its object reads, beside those of `observer_common::task`.
    pub fields: &'static [Field],
    /// Global names of the fields that a kernel may lack without harm; any other that is missing makes the programs
    /// that read it unavailable.
    pub optional_fields: &'static [&'static str],
    /// Makes a decoder for a machine with pages of so many bytes.
    pub decoder: fn(page_size: u64) -> Box<dyn Decode>,
    /// The views that it answers.
    pub views: &'static [View],
    /// Its notes, beside [`crate::report::CommonNote`].
    pub notes: &'static [NoteKind],
    /// Makes its empty state; the request says how far back trends look.
    pub state: fn(&Request) -> Box<dyn Domain>,
}

/// From the bytes that cross the kernel border to facts.
pub trait Decode {
    /// One record of the ring buffer, its header included.
    ///
    /// # Errors
    /// When the bytes are not a record that this version knows.
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed>;

    /// Takes what it can of what a pass of `program` has written so far, from the front, and says how many bytes that is:
    /// what it leaves comes again, with more behind it. So a pass over very many things is never in memory as a whole.
    ///
    /// # Errors
    /// When the bytes are not whole records.
    fn part(&mut self, _program: ProgramName, _bytes: &[u8], _out: &mut Decoded) -> Result<usize, Malformed> {
        Ok(0)
    }

    /// What the pass under way has told of sockets since this was last asked: whoever keeps an equal fact puts it in its
    /// place, so that a pass over what is known takes no memory.
    fn fresh(&mut self) -> &mut [SocketHandle] {
        &mut []
    }

    /// Everything that the iterator program `program` wrote in one pass, but for what [`Self::part`] has taken of it.
    ///
    /// # Errors
    /// When the bytes are not whole records.
    fn pass(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed>;

    /// Every pass of a report has run, each to its end: what none of them found may be forgotten.
    fn passed(&mut self, _out: &mut Decoded) {}

    /// An entry of a map, asked for by [`Decoded::read`] or met when a map was swept after a loss.
    ///
    /// # Errors
    /// When key or value have another size than this version's.
    fn entry(&mut self, map: MapName, key: &[u8], value: &[u8], out: &mut Decoded) -> Result<(), Malformed>;

    /// Whether its records tell of the end of every process that it meets; else the source looks for itself.
    fn reports_exits(&self) -> bool {
        false
    }

    /// Whether the hooks of kind [`crate::hook::HookKind::EventOnDemand`] have something to tell of, as the passes found.
    fn needs_on_demand_hooks(&self) -> bool {
        true
    }

    /// Numbers to tell the programs before the passes of a report: (place, number).
    fn control_values(&self, _round: ScanPlan) -> Vec<(u32, u32)> {
        Vec::new()
    }

    /// The hook that tells of each end of what passes may then keep silent about while nothing changes; `None` where
    /// every pass tells of everything.
    fn change_only_hook(&self) -> Option<&'static str> {
        None
    }

    /// What passes that run seldom are told of what the others have found: (map, key, value).
    fn found(&mut self) -> Vec<(MapName, Vec<u8>, Vec<u8>)> {
        Vec::new()
    }

    /// Whether the pass of `program` is worth its cost in this report.
    fn needs_scan(&self, _program: ProgramName, _round: ScanPlan) -> bool {
        true
    }

    /// Maps that say whose work is what passes and answers find: how much is read in one place, whose it is in another.
    /// What was announced of them is looked at again afterwards, or the work of who came in between would be ascribed to
    /// who was there before.
    fn attributing_maps(&self) -> &'static [MapName] {
        &[]
    }

    /// The program in whose place `program` runs, itself if in none's: what one of the two finds, the other has found.
    fn stands_for(&self, program: ProgramName) -> ProgramName {
        program
    }

    /// Maps that hold cumulative totals: swept whole when a ring lost records.
    fn totals(&self) -> &'static [MapName];
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
    /// Map entries whose final value has been taken: (map, key).
    pub remove: Vec<(MapName, Vec<u8>)>,
    /// What threads of a process keep of changes to the kernel's counters, in bytes: file, anonymous, swap, shared. What
    /// `/proc` says of the process is without it.
    pub unsettled: HashMap<TaskId, [i64; 4]>,
    /// Processes that a pass met without being able to read their counters, and the bytes of their page tables: what
    /// they hold is to be asked of `/proc`.
    pub uncounted: Vec<(TaskId, u64)>,
    /// The pass stopped on its way: another one goes on, and only then there is something to tell.
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

/// What is known when the passes of a report begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanPlan {
    /// Everything is told, not only changes.
    pub whole: bool,
    /// Hooks on demand are attached.
    pub attended: bool,
    /// It is asked for what each process writes.
    pub writers: bool,
}

/// Bytes that are not what this version's kernel side writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What was expected and what was found.
    pub text: String,
}

/// The state of a domain: facts go in, reports come out; no clock, no file, no kernel.
pub trait Domain {
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

    /// Whether rows still to come tell of the process `id` though it has ended: who deleted a file, for one. Its names
    /// are kept for as long.
    fn remembers(&self, _id: TaskId) -> bool {
        false
    }

    /// The report has been delivered: rates start anew, rows of what ended leave.
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
            view: self.request.view.name(),
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
