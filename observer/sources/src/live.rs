//! The live kernel as a source: reads ring buffers, runs iterators, reads announced map entries and `/proc`, and
//! passes on what has changed since the last report.

use std::{borrow::Cow, os::fd::OwnedFd, path::PathBuf};

use super::{attached_object::AttachedObject, changes::Changes, clock::now};
use observer_core::{
    domain::Domain,
    facts::{Fact, loss::SkippedFact, process::ProcessFact, session::Timestamp},
    queries::HostQueries,
};
pub use observer_host::process::missing;
use observer_host::{
    names,
    process::{Clock, ended},
};
use observer_kernel::{
    activity::ProgramActivity,
    load::LoadedObject,
    log::{Print, ProgramLog},
};

/// How often ended processes are searched for if no hook reports exits, nanoseconds.
const SEARCH_INTERVAL: u64 = 60_000_000_000;

/// Roughly the most facts that wait for the next report. Further records stay in the ring buffer. Records that do not
/// fit there are added up in the kernel, and the report reads the totals. So a flood of events costs neither memory
/// nor a total, and a late report does not have more and more to do.
const MOST_PENDING: usize = 1 << 14;

/// Everything that is attached, and what was last read of it.
pub struct LiveSource {
    objects: Vec<AttachedObject>,
    changes: Changes,
    /// Facts from reading the ring buffers between two reports.
    pending: Vec<Fact>,
    root: PathBuf,
    clock: Clock,
    epoch: u32,
    /// When ended processes were last searched for, nanoseconds of the boot clock.
    searched: u64,
    /// The logs of objects that were built to log, if requested.
    logs: Vec<ProgramLog>,
}

impl LiveSource {
    /// Takes over the loaded objects.
    #[must_use]
    pub fn new(loaded: Vec<LoadedObject>, domains: &[&dyn Domain], root: PathBuf) -> Self {
        let objects = loaded.into_iter().filter_map(|object| {
            let domain = domains.iter().find(|domain| domain.declaration().name == object.domain)?;
            Some(AttachedObject::new(object, *domain, &root))
        });
        Self {
            objects: objects.collect(),
            changes: Changes::default(),
            pending: Vec::new(),
            clock: Clock::of(&root),
            root,
            epoch: 0,
            searched: 0,
            logs: Vec::new(),
        }
    }

    /// From now on, each report prints what the programs have logged; those of the embedded objects log nothing.
    pub fn log_to(&mut self, print: Print) {
        self.logs = self.objects.iter_mut().filter_map(|object| object.object.log(print)).collect();
    }

    /// Descriptors that become readable when a ring buffer is half full.
    ///
    /// # Errors
    /// When this process has no descriptor left.
    pub fn rings(&self) -> std::io::Result<Vec<OwnedFd>> {
        self.objects.iter().map(|attached_object| attached_object.object.ring_descriptor()).collect()
    }

    /// Reads the ring buffers, unless too many facts wait already; the next [`Self::collect`] returns them. A record may
    /// report that on-demand hooks are needed at once.
    pub fn drain(&mut self) {
        if self.pending.len() < MOST_PENDING {
            for attached_object in &mut self.objects {
                attached_object.drain(&mut self.changes, &mut self.pending);
                attached_object.update_on_demand(&mut self.changes, &mut self.pending);
            }
        }
    }

    /// Adds to `out` everything that has changed since the last call, for a report that is due now. The first call
    /// adds everything that exists; a caller that processes facts as they come need not store them all.
    pub fn collect(&mut self, queries: &HostQueries, out: &mut impl Extend<Fact>) {
        self.epoch = self.epoch.wrapping_add(1);
        for attached_object in &mut self.objects {
            attached_object.reader.begin(now().boot);
        }
        out.extend(std::mem::take(&mut self.pending));
        for attached_object in &mut self.objects {
            attached_object.drain(&mut self.changes, out);
            let mut ended = std::mem::take(&mut attached_object.announced);
            attached_object.object.begin_epoch(self.epoch);
            // A record from just now may belong to either epoch: its entry is read now and at the end of the next.
            attached_object.drain(&mut self.changes, out);
            ended.extend(attached_object.announced.iter().cloned());
            attached_object.read(ended, &mut self.changes, out);
            attached_object.run_scans(queries, &mut self.changes, out);
            if attached_object.update_on_demand(&mut self.changes, out) {
                // The on-demand hooks count from now on, so the scans run again to give them a baseline.
                self.epoch = self.epoch.wrapping_add(1);
                attached_object.object.begin_epoch(self.epoch);
                attached_object.run_scans(queries, &mut self.changes, out);
            }
            // The scans may have seen processes and sockets that ended meanwhile; their ends are in the ring buffer
            // by now.
            attached_object.drain(&mut self.changes, out);
            attached_object.attribute(&mut self.changes, out);
            let mut loss = attached_object.make_up_for_losses(&mut self.changes, out);
            let mut facts = Vec::new();
            attached_object.reader.tick(now().boot, &mut facts);
            loss.unread += attached_object.unread;
            facts.push(Fact::Loss(loss));
            if attached_object.skipped > 0 {
                let domain = attached_object.object.domain.to_owned();
                facts.push(Fact::Skipped(SkippedFact { domain, runs: attached_object.skipped }));
            }
            for fact in facts {
                self.changes.single(fact, out);
            }
        }
        self.logs.iter_mut().for_each(ProgramLog::print);
    }

    /// Adds the answers to the host queries of a report to `out`.
    pub fn answer(&mut self, queries: &HostQueries, out: &mut impl Extend<Fact>) {
        let mut facts = Vec::new();
        names::answer(&self.root, self.clock, queries, &mut facts);
        for attached_object in &mut self.objects {
            attached_object.reader.answer(queries, &mut facts);
            attached_object.write_control_entries();
        }
        for fact in facts {
            self.changes.single(fact, out);
        }
        for attached_object in &mut self.objects {
            attached_object.attribute(&mut self.changes, out);
        }
    }

    /// A report is due: what no source reports any longer is forgotten. Adds to `out` what belongs to the next
    /// report.
    pub fn tick(&mut self, now: Timestamp, out: &mut impl Extend<Fact>) {
        self.changes.tick();
        self.find_ended_processes(now, out);
    }

    /// Without a hook that reports exits, facts about ended processes would accumulate.
    fn find_ended_processes(&mut self, now: Timestamp, out: &mut impl Extend<Fact>) {
        let reported = self.objects.iter().any(|attached_object| attached_object.declaration.reports_exits);
        if reported || now.boot.saturating_sub(self.searched) < SEARCH_INTERVAL {
            return;
        }
        self.searched = now.boot;
        for id in ended(&self.root, self.clock, self.changes.processes()) {
            self.changes.single(Fact::Process(ProcessFact::Ended { id, at: now.boot }), out);
        }
    }

    /// What the attached programs have cost so far.
    #[must_use]
    pub fn activity(&self) -> Vec<ProgramActivity> {
        self.objects.iter().flat_map(|attached_object| attached_object.object.activity()).collect()
    }

    /// The current value of every state-like slot, for a recording's key frame.
    pub fn keyframe(&self) -> impl Iterator<Item = Cow<'_, Fact>> {
        self.changes.keyframe()
    }
}
