//! The live kernel as a source: rings are drained, iterators run, announced map entries read, `/proc` asked, and what
//! has changed since the last report is said.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::Read,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use super::{
    attention::Attention,
    changes::Changes,
    host::{self, process::ended, remotes::Remotes},
};
use crate::{
    domains::{Declaration, Decode, Decoded, Round},
    hook::HookKind,
    kernel::{
        activity::ProgramActivity,
        facts::KernelFacts,
        load::{LoadedObject, Outcome},
        privilege::{Capability, HELPFUL},
    },
    observation::{
        Observation, TaskId,
        process::ProcessFact,
        session::{Missing, Moment, SessionFact},
    },
    wants::Wants,
};

/// What one `read` of an iterator may return: the kernel fills at most its own eight pages at a time.
const READ_BYTES: usize = 64 * 1024;

/// How often a pass that takes several is run for one report.
const PASSES: usize = 4;

/// Passes that may tell of changes only before one tells of everything again.
const SILENT_PASSES: u32 = 30;

/// How often ended processes are looked for where nothing tells of them, nanoseconds.
const LOOK_AGAIN: u64 = 60_000_000_000;

/// Everything that is attached, and what was last seen of it.
pub struct Live {
    objects: Vec<Observed>,
    changes: Changes,
    /// Observed when the ring was drained between two reports.
    pending: Vec<Observation>,
    root: PathBuf,
    epoch: u32,
    /// When ended processes were last looked for, nanoseconds of the boot clock.
    looked: u64,
    /// Started when a name is first asked for.
    remotes: Option<Remotes>,
}

/// An entry of a map: the map's name, and the key.
type Entry = (&'static str, Vec<u8>);

struct Observed {
    object: LoadedObject,
    decoder: Box<dyn Decode>,
    /// Entries announced in this epoch. They are read when it is over and not before: the kernel side announces an
    /// entry once an epoch, so what changes in it after an earlier look would not be looked at again.
    announced: BTreeSet<Entry>,
    /// Ring losses that have been made up for by reading the maps.
    swept: u64,
    unread: u64,
    started: bool,
    /// What threads keep of the kernel's counters of memory, as the last pass found it.
    unsettled: HashMap<TaskId, [i64; 4]>,
    /// A pass that takes several stopped on its way.
    unfinished: bool,
    attention: Attention,
    /// Passes since the last one that told of everything; `None` where the next must.
    silent: Option<u32>,
}

impl Live {
    /// Takes over what was loaded.
    #[must_use]
    pub fn new(loaded: Vec<LoadedObject>, domains: &[&Declaration], root: PathBuf) -> Self {
        let page_size = rustix::param::page_size() as u64;
        let objects = loaded.into_iter().filter_map(|object| {
            let declaration = domains.iter().find(|domain| domain.name == object.domain)?;
            let decoder = (declaration.decoder)(page_size);
            Some(Observed {
                object,
                decoder,
                announced: BTreeSet::new(),
                swept: 0,
                unread: 0,
                started: false,
                unsettled: HashMap::new(),
                unfinished: false,
                attention: Attention::default(),
                silent: None,
            })
        });
        Self {
            objects: objects.collect(),
            changes: Changes::default(),
            pending: Vec::new(),
            root,
            epoch: 0,
            looked: 0,
            remotes: None,
        }
    }

    /// Descriptors that become readable when a ring is half full.
    ///
    /// # Errors
    /// When this process has no descriptor left.
    pub fn rings(&self) -> std::io::Result<Vec<OwnedFd>> {
        self.objects.iter().map(|observed| observed.object.ring_descriptor()).collect()
    }

    /// Empties the rings; what they held is part of the next [`Self::collect`].
    pub fn drain(&mut self) {
        let mut out = std::mem::take(&mut self.pending);
        for observed in &mut self.objects {
            observed.drain(&mut self.changes, &mut out);
        }
        self.pending = out;
    }

    /// Everything that has changed since the last time, for a report that is due now.
    pub fn collect(&mut self, wants: &Wants) -> Vec<Observation> {
        self.epoch = self.epoch.wrapping_add(1);
        self.drain();
        let mut out = std::mem::take(&mut self.pending);
        for observed in &mut self.objects {
            let mut ended = std::mem::take(&mut observed.announced);
            observed.object.begin_epoch(self.epoch);
            // What was announced meanwhile belongs to either epoch: it is read now and at the end of the next.
            observed.drain(&mut self.changes, &mut out);
            ended.extend(observed.announced.iter().cloned());
            observed.read(ended, &mut self.changes, &mut out);
            observed.passes(&self.root, wants, &mut self.changes, &mut out);
            if observed.attention.judge(&mut observed.object, &*observed.decoder, &self.root, now().boot) {
                // From now on it is told who does what: what stands now is where that begins.
                self.epoch = self.epoch.wrapping_add(1);
                observed.object.begin_epoch(self.epoch);
                observed.passes(&self.root, wants, &mut self.changes, &mut out);
            }
            // What ended during the passes was perhaps seen by them; its end is in the ring by now.
            observed.drain(&mut self.changes, &mut out);
            observed.make_up_for_losses(&mut self.changes, &mut out);
            let mut facts = Vec::new();
            host::tick(observed.object.domain, &self.root, &mut facts);
            host::missed(observed.object.domain, observed.attention.missed(), &mut facts);
            let mut loss = observed.object.losses();
            loss.unread += observed.unread;
            facts.push(Observation::Loss(loss));
            for fact in facts {
                self.changes.single(fact, &mut out);
            }
        }
        out
    }

    /// Answers what a report lacks.
    pub fn answer(&mut self, wants: &Wants) -> Vec<Observation> {
        let mut facts = Vec::new();
        host::answer(&self.root, wants, &mut facts);
        for observed in &self.objects {
            host::mem::settle(&observed.unsettled, &mut facts);
        }
        if self.remotes.is_none() && !wants.remotes.is_empty() {
            self.remotes = Remotes::start();
        }
        if let Some(remotes) = &mut self.remotes {
            remotes.ask(wants.remotes.iter().copied());
            facts.extend(remotes.answered());
        }
        let mut out = Vec::new();
        for fact in facts {
            self.changes.single(fact, &mut out);
        }
        out
    }

    /// A report is due: what nobody speaks of any more is forgotten.
    pub fn due(&mut self, moment: Moment) -> Vec<Observation> {
        let mut out = Vec::new();
        self.changes.single(Observation::Due(moment), &mut out);
        self.look_for_ends(moment, &mut out);
        out
    }

    /// Where nothing in the kernel tells of ends, what is known of processes would pile up.
    fn look_for_ends(&mut self, now: Moment, out: &mut Vec<Observation>) {
        let told = self.objects.iter().any(|observed| observed.decoder.tells_ends());
        if told || now.boot.saturating_sub(self.looked) < LOOK_AGAIN {
            return;
        }
        self.looked = now.boot;
        for id in ended(&self.root, self.changes.processes()) {
            self.changes.single(Observation::Process(ProcessFact::Ended { id, at: now.boot }), out);
        }
    }

    /// What the attached programs cost so far.
    #[must_use]
    pub fn activity(&self) -> Vec<ProgramActivity> {
        self.objects.iter().flat_map(|observed| observed.object.activity()).collect()
    }

    /// The current value of everything state-like, for a recording's key frame.
    pub fn keyframe(&self) -> impl Iterator<Item = &Observation> {
        self.changes.keyframe()
    }
}

impl Observed {
    fn drain(&mut self, changes: &mut Changes, out: &mut Vec<Observation>) {
        let mut decoded = Decoded::default();
        while let Some(item) = self.object.ring.next() {
            if self.decoder.record(&item, &mut decoded).is_err() {
                self.unread += 1;
            }
        }
        self.settle(decoded, changes, out);
    }

    /// Reads entries of maps and passes on what they hold.
    fn read(&mut self, entries: BTreeSet<Entry>, changes: &mut Changes, out: &mut Vec<Observation>) {
        let mut decoded = Decoded::default();
        for (name, key) in entries {
            let Some(map) = self.object.totals(name) else { continue };
            let entry = match map.get(&key) {
                // The entry went between its announcement and now: its end is another record.
                Ok(None) => continue,
                Ok(Some(value)) => self.decoder.entry(name, &key, &value, &mut decoded).is_ok(),
                Err(_) => false,
            };
            self.unread += u64::from(!entry);
        }
        // What an entry leads to is not announced: nothing says that it will be looked at again.
        let more: BTreeSet<Entry> = std::mem::take(&mut decoded.read).into_iter().collect();
        self.settle(decoded, changes, out);
        if !more.is_empty() {
            self.read(more, changes, out);
        }
    }

    /// Passes the facts on, remembers what was announced, removes what has been taken.
    fn settle(&mut self, decoded: Decoded, changes: &mut Changes, out: &mut Vec<Observation>) {
        self.announced.extend(decoded.read);
        for fact in decoded.facts {
            changes.single(fact, out);
        }
        for (name, key) in decoded.remove {
            let removed = self.object.totals(name).map(|map| map.remove(&key));
            self.unread += u64::from(matches!(removed, Some(Err(_))));
        }
    }

    fn passes(&mut self, root: &Path, wants: &Wants, changes: &mut Changes, out: &mut Vec<Observation>) {
        let round = self.round();
        for (place, number) in self.decoder.orders(round) {
            self.object.order(place, number);
        }
        let passes = self.object.passes.clone();
        let of = |kind| passes.iter().filter(move |(hook, _)| hook.kind == kind).map(|(_, way)| way.program);
        let mut complete = true;
        for program in of(HookKind::Pass) {
            if self.decoder.has_use_for(program, round) {
                complete &= self.pass(program, round, root, changes, out);
            }
        }
        // What has left one pass may be found by another, and is only gone if it is not.
        if !self.started || wants.mappings || changes.seeks() {
            for program in of(HookKind::PassOnDemand) {
                complete &= self.pass(program, round, root, changes, out);
            }
        }
        if !self.started || wants.inodes || self.unfinished {
            for program in of(HookKind::PassSeldom) {
                // What takes longer goes on with the next report.
                for _ in 0..PASSES {
                    self.unfinished = false;
                    complete &= self.pass(program, round, root, changes, out);
                    if !self.unfinished {
                        break;
                    }
                }
            }
        }
        changes.settle(out);
        if complete {
            let mut decoded = Decoded::default();
            self.decoder.passed(&mut decoded);
            self.settle(decoded, changes, out);
        }
        self.started = true;
        // What an unfinished pass has told of, the next would keep silent about, though it may have got lost.
        let silent = if round.whole { 0 } else { self.silent.unwrap_or_default() + 1 };
        self.silent = complete.then_some(silent);
    }

    /// Whether the passes that begin now tell of everything: where ends are not told, or may have been lost, and every
    /// now and then, so that no error lasts.
    fn round(&self) -> Round {
        let told = self.decoder.keeps_silent_with().is_some_and(|hook| self.object.has(hook));
        let whole = !told || self.silent.is_none_or(|silent| silent >= SILENT_PASSES);
        Round { whole, attended: self.object.attends() }
    }

    /// Runs one pass; whether it reached its end.
    fn pass(
        &mut self,
        program: &'static str,
        round: Round,
        root: &Path,
        changes: &mut Changes,
        out: &mut Vec<Observation>,
    ) -> bool {
        let (bytes, whole) = match self.object.open_pass(program) {
            Ok(file) => read_pass(file),
            Err(_) => (Vec::new(), false),
        };
        let mut decoded = Decoded::default();
        let complete = self.decoder.pass(program, &bytes, &mut decoded).is_ok() && whole;
        let mut facts = std::mem::take(&mut decoded.facts);
        host::mem::count(root, &std::mem::take(&mut decoded.uncounted), &mut facts);
        self.unsettled = std::mem::take(&mut decoded.unsettled);
        host::mem::settle(&self.unsettled, &mut facts);
        // Found and not announced: nothing says that it will be looked at again.
        let entries = std::mem::take(&mut decoded.read).into_iter().collect();
        self.unfinished |= decoded.partial;
        if decoded.partial {
            // Nothing yet: what the last of its passes tells is told of all of them.
        } else if complete && round.whole {
            changes.pass(program, facts, out);
        } else if complete {
            changes.pass_over_changes(program, facts, out);
        } else {
            self.unread += 1;
            changes.interrupted(program, facts, out);
        }
        self.settle(decoded, changes, out);
        self.read(entries, changes, out);
        complete
    }

    /// A ring that lost records lost announcements: every entry of the maps is read instead.
    fn make_up_for_losses(&mut self, changes: &mut Changes, out: &mut Vec<Observation>) {
        let lost = self.object.losses().ring;
        if lost == self.swept {
            return;
        }
        self.swept = lost;
        // An end may be among what was lost: silence about a connection no longer means that it is there.
        self.silent = None;
        let mut entries = BTreeSet::new();
        for name in self.decoder.totals() {
            let keys = self.object.totals(name).map(|map| map.keys());
            match keys {
                Some(Ok(keys)) => entries.extend(keys.into_iter().map(|key| (*name, key))),
                Some(Err(_)) => self.unread += 1,
                None => {}
            }
        }
        self.read(entries, changes, out);
    }
}

/// Reads an iterator to its end; whether the end was reached.
///
/// `EAGAIN` is no end: the kernel gives it after about a million objects of which the program wrote nothing.
fn read_pass(mut file: File) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut filled = 0;
    loop {
        bytes.resize(filled + READ_BYTES, 0);
        match file.read(&mut bytes[filled..]) {
            Ok(0) => {
                bytes.truncate(filled);
                return (bytes, true);
            }
            Ok(count) => filled += count,
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {}
            Err(_) => {
                bytes.truncate(filled);
                return (bytes, false);
            }
        }
    }
}

/// This moment on both clocks.
#[must_use]
pub fn now() -> Moment {
    let read = |clock| {
        let time = rustix::time::clock_gettime(clock);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    };
    Moment { boot: read(rustix::time::ClockId::Boottime), wall: read(rustix::time::ClockId::Realtime) }
}

/// The first fact of a live stream.
#[must_use]
pub fn session(outcomes: &[Outcome], facts: &KernelFacts) -> SessionFact {
    let hooks = outcomes.iter().filter(|outcome| outcome.way.is_none()).map(missing);
    let serves = |capability: &&Capability| outcomes.iter().any(|outcome| capability.serves(outcome.domain));
    let lacked = HELPFUL.iter().filter(serves).filter(|capability| !facts.capabilities.has(capability));
    let names = rustix::system::uname();
    SessionFact {
        began: now(),
        host: names.nodename().to_string_lossy().into_owned(),
        kernel: facts.release.clone(),
        page_size: rustix::param::page_size() as u64,
        cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32),
        observer: std::process::id(),
        missing: hooks.chain(lacked.map(lacking)).collect(),
        blind: outcomes.iter().filter_map(blind).chain(outcomes.iter().filter_map(fault)).collect(),
    }
}

fn missing(outcome: &Outcome) -> Missing {
    let mut reasons: Vec<String> =
        outcome.refused.iter().map(|(way, reason)| format!("{}: {reason}", way.name)).collect();
    if !outcome.impossible.is_empty() {
        reasons.push(outcome.impossible.clone());
    }
    Missing {
        hook: outcome.hook.name.to_owned(),
        text: format!("Not observed here: {} ({}).", outcome.hook.tells, reasons.join("; ")),
        columns: outcome.hook.columns.iter().map(|&column| column.to_owned()).collect(),
    }
}

/// What a capability that observer can do without is missed for.
fn lacking(capability: &Capability) -> Missing {
    let columns = if capability.name == "CAP_SYS_PTRACE" { vec!["exe".to_owned()] } else { Vec::new() };
    Missing {
        hook: capability.name.to_owned(),
        text: format!("Without {} observer cannot {}.", capability.name, capability.purpose),
        columns,
    }
}

fn blind(outcome: &Outcome) -> Option<Missing> {
    let way = outcome.way.filter(|way| !way.blind.is_empty())?;
    Some(Missing {
        hook: outcome.hook.name.to_owned(),
        text: format!("Seen in part: {} ({}: {}).", outcome.hook.tells, way.name, way.blind),
        columns: Vec::new(),
    })
}

/// A refusal that should not be, though another way was taken.
fn fault(outcome: &Outcome) -> Option<Missing> {
    let way = outcome.way?;
    let reasons: Vec<String> =
        outcome.faults().map(|(way, reason)| format!("{}: {reason}", way.name)).collect();
    (!reasons.is_empty()).then(|| Missing {
        hook: outcome.hook.name.to_owned(),
        text: format!(
            "Seen by the next best way: {} ({}). The kernel refused a better one, which is a fault of observer: {}.",
            outcome.hook.tells,
            way.name,
            reasons.join("; ")
        ),
        columns: Vec::new(),
    })
}
