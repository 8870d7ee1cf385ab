//! The live kernel as a source: rings are drained, iterators run, announced map entries read, `/proc` asked, and what
//! has changed since the last report is said.

use std::{borrow::Cow, os::fd::OwnedFd, path::PathBuf};

use super::{attached_object::AttachedObject, changes::Changes};
use observer_core::{
    domain::Domain,
    facts::{Fact, loss::SkippedFact, process::ProcessFact, session::Timestamp},
    wants::HostQueries,
};
use observer_host::{
    names,
    process::{Clock, ended},
};
use observer_kernel::{
    activity::ProgramActivity,
    load::LoadedObject,
    log::{Print, ProgramLog},
};

/// How often ended processes are looked for where nothing tells of them, nanoseconds.
const LOOK_AGAIN: u64 = 60_000_000_000;

/// Facts that wait for the next report, about. What comes beyond stays in the ring, and what finds no room there is added up
/// in the kernel, where the report reads it: a flood costs neither memory nor a total, and reports that come later because
/// each took long do not find more and more to do.
const MOST_PENDING: usize = 1 << 14;

/// Everything that is attached, and what was last seen of it.
pub struct LiveSource {
    objects: Vec<AttachedObject>,
    changes: Changes,
    /// Observed when the ring was drained between two reports.
    pending: Vec<Fact>,
    root: PathBuf,
    clock: Clock,
    epoch: u32,
    /// When ended processes were last looked for, nanoseconds of the boot clock.
    looked: u64,
    /// Of objects that were built to log, where that is wanted.
    logs: Vec<ProgramLog>,
}

impl LiveSource {
    /// Takes over what was loaded.
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
            looked: 0,
            logs: Vec::new(),
        }
    }

    /// From now on each report prints what the programs have logged; those of the embedded objects log nothing.
    pub fn log_to(&mut self, print: Print) {
        self.logs = self.objects.iter_mut().filter_map(|object| object.object.log(print)).collect();
    }

    /// Descriptors that become readable when a ring is half full.
    ///
    /// # Errors
    /// When this process has no descriptor left.
    pub fn rings(&self) -> std::io::Result<Vec<OwnedFd>> {
        self.objects.iter().map(|attached_object| attached_object.object.ring_descriptor()).collect()
    }

    /// Empties the rings, unless so much waits already; what they held is part of the next [`Self::collect`].
    pub fn drain(&mut self) {
        if self.pending.len() < MOST_PENDING {
            for attached_object in &mut self.objects {
                attached_object.drain(&mut self.changes, &mut self.pending);
            }
        }
    }

    /// Tells `out` everything that has changed since the last time, for a report that is due now. At the start that is all
    /// that there is: whoever takes it in at once need not hold it twice.
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
            // What was announced meanwhile belongs to either epoch: it is read now and at the end of the next.
            attached_object.drain(&mut self.changes, out);
            ended.extend(attached_object.announced.iter().cloned());
            attached_object.read(ended, &mut self.changes, out);
            attached_object.passes(queries, &mut self.changes, out);
            if attached_object.on_demand.judge(
                &mut attached_object.object,
                &*attached_object.decoder,
                &mut *attached_object.reader,
                now().boot,
            ) {
                // From now on it is told who does what: what stands now is where that begins.
                self.epoch = self.epoch.wrapping_add(1);
                attached_object.object.begin_epoch(self.epoch);
                attached_object.passes(queries, &mut self.changes, out);
            }
            // What ended during the passes was perhaps seen by them; its end is in the ring by now.
            attached_object.drain(&mut self.changes, out);
            attached_object.ascribe(&mut self.changes, out);
            let mut loss = attached_object.make_up_for_losses(&mut self.changes, out);
            let mut facts = Vec::new();
            attached_object.reader.tick(now().boot, &mut facts);
            attached_object.reader.missed(attached_object.on_demand.missed(), &mut facts);
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

    /// Adds to `out` the answers to what a report lacks.
    pub fn answer(&mut self, queries: &HostQueries, out: &mut impl Extend<Fact>) {
        let mut facts = Vec::new();
        names::answer(&self.root, self.clock, queries, &mut facts);
        for attached_object in &mut self.objects {
            attached_object.reader.answer(queries, &mut facts);
        }
        for fact in facts {
            self.changes.single(fact, out);
        }
        for attached_object in &mut self.objects {
            attached_object.ascribe(&mut self.changes, out);
        }
    }

    /// A report is due: what nobody speaks of any more is forgotten. Adds to `out` what belongs to the next report.
    pub fn tick(&mut self, now: Timestamp, out: &mut impl Extend<Fact>) {
        self.changes.tick();
        self.look_for_ends(now, out);
    }

    /// Where nothing in the kernel tells of ends, what is known of processes would pile up.
    fn look_for_ends(&mut self, now: Timestamp, out: &mut impl Extend<Fact>) {
        let told = self.objects.iter().any(|attached_object| attached_object.declaration.reports_exits);
        if told || now.boot.saturating_sub(self.looked) < LOOK_AGAIN {
            return;
        }
        self.looked = now.boot;
        for id in ended(&self.root, self.clock, self.changes.processes()) {
            self.changes.single(Fact::Process(ProcessFact::Ended { id, at: now.boot }), out);
        }
    }

    /// What the attached programs cost so far.
    #[must_use]
    pub fn activity(&self) -> Vec<ProgramActivity> {
        self.objects.iter().flat_map(|attached_object| attached_object.object.activity()).collect()
    }

    /// The current value of everything state-like, for a recording's key frame.
    pub fn keyframe(&self) -> impl Iterator<Item = Cow<'_, Fact>> {
        self.changes.keyframe()
    }
}

/// This moment on both clocks.
#[must_use]
pub fn now() -> Timestamp {
    let read = |clock| {
        let time = rustix::time::clock_gettime(clock);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    };
    Timestamp { boot: read(rustix::time::ClockId::Boottime), wall: read(rustix::time::ClockId::Realtime) }
}
