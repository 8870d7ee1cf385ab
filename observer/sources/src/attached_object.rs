//! The output of one object in the kernel: its ring buffer, the announced entries of its maps, its scans.

use std::{collections::BTreeSet, fs::File, path::Path};

use rustix::{buffer::spare_capacity, io::Errno};

use super::{changes::Changes, clock::now, on_demand::OnDemandHooks};
use observer_common::names::{MapName, ProgramName};
use observer_core::{
    domain::{Declaration, Decode, Decoded, Domain, Malformed, ReadHost, ScanPlan},
    facts::{Fact, loss::LossFact},
    hook::HookKind,
    queries::HostQueries,
};
use observer_kernel::load::LoadedObject;

/// Bytes that one `read` of an iterator may return: the kernel fills at most its own eight pages at a time.
const READ_BYTES: usize = 64 * 1024;

/// How often a scan that takes several runs is continued for one report.
const RUNS: usize = 4;

/// Scans in a row that may report changes only; the next one reports everything.
const SILENT_SCANS: u32 = 30;

/// An entry of a map: the map's name, and the key.
type Entry = (MapName, Vec<u8>);

/// One attached object, and what was last read of it.
pub struct AttachedObject {
    pub object: LoadedObject,
    pub declaration: &'static Declaration,
    pub decoder: Box<dyn Decode>,
    pub reader: Box<dyn ReadHost>,
    /// Entries announced in this epoch. They are read only at its end: the kernel side announces an entry once an
    /// epoch, so a change after an earlier read would be missed.
    pub announced: BTreeSet<Entry>,
    /// Ring buffer losses that were made up for by reading the maps.
    swept: u64,
    pub unread: u64,
    /// Events that the programs missed.
    pub skipped: u64,
    started: bool,
    /// A scan that takes several runs has not reached its end.
    unfinished: bool,
    on_demand: OnDemandHooks,
    /// Scans since the last one that reported everything; `None` if the next one must.
    silent: Option<u32>,
}

impl AttachedObject {
    pub fn new(object: LoadedObject, domain: &dyn Domain, root: &Path) -> Self {
        Self {
            object,
            declaration: domain.declaration(),
            decoder: domain.decoder(rustix::param::page_size() as u64),
            reader: domain.reader(root),
            announced: BTreeSet::new(),
            swept: 0,
            unread: 0,
            skipped: 0,
            started: false,
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

    /// Writes the map entries that the reader hands to the programs.
    pub fn write_control_entries(&mut self) {
        for (name, key, value) in self.reader.control_entries() {
            // If the map is full, the programs do without this entry.
            let _ = self.object.totals(name).map(|map| map.put(&key, &value));
        }
    }

    /// Reads entries of maps and passes on what they hold.
    pub fn read(&mut self, entries: BTreeSet<Entry>, changes: &mut Changes, out: &mut impl Extend<Fact>) {
        let mut decoded = Decoded::default();
        for (name, key) in entries {
            let Some(map) = self.object.totals(name) else { continue };
            let entry = match map.get(&key) {
                // The entry was removed after its announcement: its end is another record.
                Ok(None) => continue,
                Ok(Some(value)) => self.decoder.entry(name, &key, &value, &mut decoded).is_ok(),
                Err(_) => false,
            };
            self.unread += u64::from(!entry);
        }
        // Entries that these entries refer to are not announced, so they are read now.
        let more: BTreeSet<Entry> = std::mem::take(&mut decoded.read).into_iter().collect();
        self.settle(decoded, changes, out);
        if !more.is_empty() {
            self.read(more, changes, out);
        }
    }

    /// Scans and host queries have found out how many bytes there are; the entries that attribute them are read
    /// again.
    pub fn attribute(&mut self, changes: &mut Changes, out: &mut impl Extend<Fact>) {
        let maps = self.declaration.attributing;
        if maps.is_empty() {
            return;
        }
        self.drain(changes, out);
        let entries = self.announced.iter().filter(|(map, _)| maps.contains(map)).cloned().collect();
        self.read(entries, changes, out);
    }

    /// Passes the facts on, remembers announced entries, writes entries, removes those that were read for the last time.
    fn settle(&mut self, mut decoded: Decoded, changes: &mut Changes, out: &mut impl Extend<Fact>) {
        if let Some(left) = decoded.left.take() {
            self.reader.take(left, &mut decoded);
        }
        if decoded.watch {
            self.on_demand.extend(now().boot);
        }
        for fact in decoded.take_facts() {
            changes.single(fact, out);
        }
        self.announced.extend(decoded.read);
        for (name, key, value) in decoded.write {
            // If the map is full, the programs run without this entry.
            let _ = self.object.totals(name).map(|map| map.put(&key, &value));
        }
        for (name, key) in decoded.remove {
            let removed = self.object.totals(name).map(|map| map.remove(&key));
            self.unread += u64::from(matches!(removed, Some(Err(_))));
        }
    }

    /// Attaches or detaches the on-demand hooks, if it is time. Returns whether it has attached them.
    ///
    /// The domain prepares for a change while they are attached: it sees or counts what passes meanwhile, or both, but
    /// never neither.
    pub fn update_on_demand(&mut self, changes: &mut Changes, out: &mut impl Extend<Fact>) -> bool {
        let needed = self.object.scans.is_empty() || self.on_demand.are_needed(now().boot);
        let was_attached = self.object.has_attached_on_demand();
        if needed {
            self.object.set_on_demand(true);
        }
        let begins = !was_attached && self.object.has_attached_on_demand();
        if begins || (was_attached && !needed) {
            let queries = HostQueries::default();
            let plan = ScanPlan {
                first: false,
                whole: self.is_whole(),
                on_demand_attached: needed,
                has_missing: false,
                queries: &queries,
            };
            self.prepare(HookKind::Scan, plan, changes, out);
        }
        if !needed {
            self.object.set_on_demand(false);
        }
        begins
    }

    /// Writes the map entries that programs need from now on.
    fn prepare(
        &mut self,
        kind: HookKind,
        plan: ScanPlan<'_>,
        changes: &mut Changes,
        out: &mut impl Extend<Fact>,
    ) {
        let mut decoded = Decoded::default();
        self.decoder.prepare(kind, plan, &mut decoded);
        self.settle(decoded, changes, out);
    }

    /// Runs the scans that the report needs.
    pub fn run_scans(&mut self, queries: &HostQueries, changes: &mut Changes, out: &mut impl Extend<Fact>) {
        let mut plan = ScanPlan {
            first: !self.started,
            whole: self.is_whole(),
            on_demand_attached: self.object.has_attached_on_demand(),
            has_missing: false,
            queries,
        };
        let mut complete = self.run_kind(HookKind::Scan, plan, changes, out);
        // What one scan no longer finds another may find: it is gone only if none does.
        plan.has_missing = changes.has_missing();
        complete &= self.run_kind(HookKind::ScanOnDemand, plan, changes, out);
        complete &= self.run_kind(HookKind::ScanRarely, plan, changes, out);
        changes.settle(out);
        if complete {
            let mut decoded = Decoded::default();
            self.decoder.scans_completed(&mut decoded);
            self.settle(decoded, changes, out);
        }
        self.started = true;
        // After an unfinished scan, everything is reported again: its reader may have lost what it reported.
        let silent = if plan.whole { 0 } else { self.silent.unwrap_or_default() + 1 };
        self.silent = complete.then_some(silent);
    }

    /// Runs the scans of one kind; returns whether each reached its end.
    fn run_kind(
        &mut self,
        kind: HookKind,
        plan: ScanPlan<'_>,
        changes: &mut Changes,
        out: &mut impl Extend<Fact>,
    ) -> bool {
        let unfinished = kind == HookKind::ScanRarely && self.unfinished;
        let scans = self.object.scans.iter().filter(|(hook, _)| hook.kind == kind);
        let programs: Vec<ProgramName> = scans.map(|(_, attachment)| attachment.program).collect();
        let mut begun = false;
        let mut complete = true;
        for program in programs {
            // The result of one scan decides whether the next one runs.
            if !(unfinished || self.decoder.needs_scan(kind, program, plan)) {
                continue;
            }
            if !std::mem::replace(&mut begun, true) {
                self.prepare(kind, plan, changes, out);
            }
            // A longer scan continues with the next report.
            for _ in 0..RUNS {
                self.unfinished = false;
                complete &= self.run(program, plan.whole, changes, out);
                if !self.unfinished {
                    break;
                }
            }
        }
        complete
    }

    /// Whether the scans that begin now report everything. They do if ends are not reported or may have been lost,
    /// and regularly otherwise, so that no error lasts.
    fn is_whole(&self) -> bool {
        let reported = self.declaration.end_hook.is_some_and(|hook| self.object.has(hook));
        !reported || self.silent.is_none_or(|silent| silent >= SILENT_SCANS)
    }

    /// Runs one scan; returns whether it reached its end.
    fn run(
        &mut self,
        program: ProgramName,
        whole: bool,
        changes: &mut Changes,
        out: &mut impl Extend<Fact>,
    ) -> bool {
        let mut decoded = Decoded::default();
        let (bytes, ended) = match self.object.open_scan(program) {
            Ok(file) => read_iterator(file, |bytes| {
                let taken = self.decoder.scan_part(program, bytes, &mut decoded);
                changes.compact(self.decoder.fresh());
                taken
            }),
            Err(_) => (Vec::new(), false),
        };
        let bytes = self.reader.complete(program, bytes);
        let complete = self.decoder.scan(program, &bytes, &mut decoded).is_ok() && ended;
        if let Some(left) = decoded.left.take() {
            self.reader.take(left, &mut decoded);
        }
        let facts = decoded.take_facts();
        // Entries that the scan found are not announced, so they are read now.
        let entries = std::mem::take(&mut decoded.read).into_iter().collect();
        self.unfinished |= decoded.partial;
        let program = decoded.instead_of.unwrap_or(program);
        if decoded.partial {
            // Nothing yet: the last of its runs reports for all of them.
        } else if complete && whole {
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

    /// A ring buffer that lost records lost announcements, and so did a program that was not run: every entry of the
    /// maps is read instead. Returns the losses so far.
    pub fn make_up_for_losses(&mut self, changes: &mut Changes, out: &mut impl Extend<Fact>) -> LossFact {
        let (losses, skipped) = (self.object.losses(), self.object.skipped());
        if (losses.ring, skipped) == (self.swept, self.skipped) {
            return losses;
        }
        (self.swept, self.skipped) = (losses.ring, skipped);
        // The end of a connection may be lost: a connection that is not reported may no longer exist.
        self.silent = None;
        let mut entries = BTreeSet::new();
        for name in self.declaration.totals {
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

/// Reads an iterator to its end. Returns the bytes that `part` has not taken, and whether the end was reached.
///
/// `EAGAIN` is no end: the kernel returns it after about a million objects without output.
fn read_iterator(file: File, mut part: impl FnMut(&[u8]) -> Result<usize, Malformed>) -> (Vec<u8>, bool) {
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
