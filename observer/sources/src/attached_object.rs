//! What one object in the kernel tells: its ring, the entries of its maps that were announced, its passes.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
};

use rustix::{buffer::spare_capacity, io::Errno};

use super::{changes::Changes, on_demand::OnDemandHooks};
use observer_common::names::{MapName, ProgramName};
use observer_core::{
    domain::{Decode, Decoded, Malformed, ScanPlan},
    facts::{Fact, TaskId, loss::LossFact},
    hook::HookKind,
    wants::HostQueries,
};
use observer_host::{self as host, Host};
use observer_kernel::load::LoadedObject;

/// What one `read` of an iterator may return: the kernel fills at most its own eight pages at a time.
const READ_BYTES: usize = 64 * 1024;

/// How often a pass that takes several is run for one report.
const PASSES: usize = 4;

/// Passes that may tell of changes only before one tells of everything again.
const SILENT_PASSES: u32 = 30;

/// An entry of a map: the map's name, and the key.
type Entry = (MapName, Vec<u8>);

/// One object that is attached, and what was last seen of it.
pub struct AttachedObject {
    pub object: LoadedObject,
    pub decoder: Box<dyn Decode>,
    /// Entries announced in this epoch. They are read when it is over and not before: the kernel side announces an
    /// entry once an epoch, so what changes in it after an earlier look would not be looked at again.
    pub announced: BTreeSet<Entry>,
    /// Ring losses that have been made up for by reading the maps.
    swept: u64,
    pub unread: u64,
    /// Events of which the programs were not told.
    pub skipped: u64,
    started: bool,
    /// What threads keep of the kernel's counters of memory, as the last pass found it.
    pub unsettled: HashMap<TaskId, [i64; 4]>,
    /// A pass that takes several stopped on its way.
    unfinished: bool,
    pub on_demand: OnDemandHooks,
    /// Passes since the last one that told of everything; `None` where the next must.
    silent: Option<u32>,
}

impl AttachedObject {
    pub fn new(object: LoadedObject, decoder: Box<dyn Decode>) -> Self {
        Self {
            object,
            decoder,
            announced: BTreeSet::new(),
            swept: 0,
            unread: 0,
            skipped: 0,
            started: false,
            unsettled: HashMap::new(),
            unfinished: false,
            on_demand: OnDemandHooks::default(),
            silent: None,
        }
    }

    pub fn drain(&mut self, changes: &mut Changes, out: &mut impl Extend<Fact>) {
        let mut decoded = Decoded::default();
        while let Some(item) = self.object.ring.next() {
            if self.decoder.record(&item, &mut decoded).is_err() {
                self.unread += 1;
            }
        }
        self.settle(decoded, changes, out);
    }

    /// Reads entries of maps and passes on what they hold.
    pub fn read(&mut self, entries: BTreeSet<Entry>, changes: &mut Changes, out: &mut impl Extend<Fact>) {
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

    /// Passes and questions have told how much; whose it is by now is looked at again.
    pub fn ascribe(&mut self, changes: &mut Changes, out: &mut impl Extend<Fact>) {
        let maps = self.decoder.attributing_maps();
        if maps.is_empty() {
            return;
        }
        self.drain(changes, out);
        let entries = self.announced.iter().filter(|(map, _)| maps.contains(map)).cloned().collect();
        self.read(entries, changes, out);
    }

    /// Passes the facts on, remembers what was announced, removes what has been taken.
    fn settle(&mut self, mut decoded: Decoded, changes: &mut Changes, out: &mut impl Extend<Fact>) {
        for fact in decoded.take_facts() {
            changes.single(fact, out);
        }
        self.announced.extend(decoded.read);
        for (name, key) in decoded.remove {
            let removed = self.object.totals(name).map(|map| map.remove(&key));
            self.unread += u64::from(matches!(removed, Some(Err(_))));
        }
    }

    pub fn passes(
        &mut self,
        host: &Host,
        wants: &HostQueries,
        changes: &mut Changes,
        out: &mut impl Extend<Fact>,
    ) {
        let round = self.round(wants);
        for (place, number) in self.decoder.control_values(round) {
            self.object.order(place, number);
        }
        let passes = self.object.passes.clone();
        let of = |kind| {
            passes
                .iter()
                .filter(move |(hook, _)| hook.kind == kind)
                .map(|(_, alternative)| alternative.program)
        };
        let mut complete = true;
        for program in of(HookKind::Scan) {
            if self.decoder.needs_scan(program, round) {
                complete &= self.pass(program, round, host, changes, out);
            }
        }
        // What has left one pass may be found by another, and is only gone if it is not.
        if !self.started || wants.mappings || changes.seeks() {
            for program in of(HookKind::ScanOnDemand) {
                complete &= self.pass(program, round, host, changes, out);
            }
        }
        if wants.inodes || self.unfinished {
            for (name, key, value) in self.decoder.found() {
                // Where there is no room, the pass does what it does without knowing.
                let _ = self.object.totals(name).map(|map| map.put(&key, &value));
            }
            for program in of(HookKind::ScanRarely) {
                // What takes longer goes on with the next report.
                for _ in 0..PASSES {
                    self.unfinished = false;
                    complete &= self.pass(program, round, host, changes, out);
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
    fn round(&self, wants: &HostQueries) -> ScanPlan {
        let told = self.decoder.change_only_hook().is_some_and(|hook| self.object.has(hook));
        let whole = !told || self.silent.is_none_or(|silent| silent >= SILENT_PASSES);
        // The first pass is where what is counted begins.
        let writers = !self.started || wants.writers;
        ScanPlan { whole, attended: self.object.attends(), writers }
    }

    /// Runs one pass; whether it reached its end.
    fn pass(
        &mut self,
        program: ProgramName,
        round: ScanPlan,
        host: &Host,
        changes: &mut Changes,
        out: &mut impl Extend<Fact>,
    ) -> bool {
        let mut decoded = Decoded::default();
        let (bytes, whole) = match self.object.open_pass(program) {
            Ok(file) => read_pass(file, |bytes| {
                let taken = self.decoder.part(program, bytes, &mut decoded);
                changes.compact(self.decoder.fresh());
                taken
            }),
            Err(_) => (Vec::new(), false),
        };
        let bytes = host.completed(program, bytes);
        let complete = self.decoder.pass(program, &bytes, &mut decoded).is_ok() && whole;
        let facts = &mut decoded.facts;
        host.count(&std::mem::take(&mut decoded.uncounted), facts);
        self.unsettled = std::mem::take(&mut decoded.unsettled);
        host::mem::settle(&self.unsettled, facts);
        let facts = decoded.take_facts();
        // Found and not announced: nothing says that it will be looked at again.
        let entries = std::mem::take(&mut decoded.read).into_iter().collect();
        self.unfinished |= decoded.partial;
        let program = self.decoder.stands_for(program);
        if decoded.partial {
            // Nothing yet: what the last of its passes tells is told of all of them.
        } else if complete && round.whole {
            changes.scan(program, facts, out);
        } else if complete {
            changes.scan_of_changes(program, facts, out);
        } else {
            self.unread += 1;
            changes.interrupted_scan(program, facts, out);
        }
        self.settle(decoded, changes, out);
        self.read(entries, changes, out);
        complete
    }

    /// A ring that lost records lost announcements, and so did a program that was not run: every entry of the maps is read
    /// instead. What was lost so far.
    pub fn make_up_for_losses(&mut self, changes: &mut Changes, out: &mut impl Extend<Fact>) -> LossFact {
        let (losses, skipped) = (self.object.losses(), self.object.skipped());
        if (losses.ring, skipped) == (self.swept, self.skipped) {
            return losses;
        }
        (self.swept, self.skipped) = (losses.ring, skipped);
        // An end may be among what was lost: silence about a connection no longer means that it is there.
        self.silent = None;
        let mut entries = BTreeSet::new();
        for name in self.decoder.totals() {
            let keys = self.object.totals(*name).map(|map| map.keys());
            match keys {
                Some(Ok(keys)) => entries.extend(keys.into_iter().map(|key| (*name, key))),
                Some(Err(_)) => self.unread += 1,
                None => {}
            }
        }
        self.read(entries, changes, out);
        losses
    }
}

/// Reads an iterator to its end; what `part` has not taken of it, and whether the end was reached.
///
/// `EAGAIN` is no end: the kernel gives it after about a million objects of which the program wrote nothing.
fn read_pass(file: File, mut part: impl FnMut(&[u8]) -> Result<usize, Malformed>) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        bytes.reserve(READ_BYTES);
        match rustix::io::read(&file, spare_capacity(&mut bytes)) {
            Ok(0) => return (bytes, true),
            Ok(_) => {
                let Ok(taken) = part(&bytes) else { return (Vec::new(), false) };
                bytes.drain(..taken);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return (bytes, false),
        }
    }
}
