//! Programs that were restarted: what holds as much again as it did before needs it, which points away from a leak.
//!
//! A program is known by its name and its owner; one that several processes run at a time is not told apart from one
//! that was restarted, so only what ended shortly before the other began is compared.

use crate::note;
use std::collections::HashMap;

use super::{process::process_bytes, ranked_process::RankedProcess};
use observer_core::{
    domain::Context,
    facts::{TaskId, process::Comm},
    identity::columns::label,
    report::Note,
    units,
};

/// Who held less than this many bytes is not remembered: most short lives hold less.
const LITTLE: f64 = 8.0 * 1024.0 * 1024.0;
/// Who began within so many nanoseconds of the other's end may be its successor.
const SOON: u64 = 60_000_000_000;
/// A predecessor is remembered for so many nanoseconds after its end, however long its successor takes.
const REMEMBERED: u64 = 3_600_000_000_000;
/// As much as before: this share of it.
const SHARE: f64 = 0.9;

/// A program: its name and its owner's number.
pub(super) type Program = (Comm, u32);

/// What processes that ended held, the last of each program.
#[derive(Debug, Default)]
pub(super) struct Predecessors {
    ended: HashMap<Program, Predecessor>,
}

#[derive(Debug)]
struct Predecessor {
    pid: u32,
    /// Bytes.
    held: f64,
    /// Whether it grew when it was judged last.
    grew: bool,
    /// Nanoseconds of the boot clock.
    at: u64,
}

/// A process that took the place of one that had ended, and holds as much.
struct Successor<'a> {
    id: TaskId,
    /// Bytes.
    held: f64,
    predecessor: &'a Predecessor,
}

impl Predecessors {
    /// A process of `program` has ended that held so many bytes.
    pub(super) fn end(&mut self, program: &Program, id: TaskId, held: f64, grew: bool, at: u64) {
        if held >= LITTLE {
            self.ended.insert(program.clone(), Predecessor { pid: id.pid(), held, grew, at });
        }
    }

    pub(super) fn delivered(&mut self, now: u64) {
        self.ended.retain(|_, predecessor| now.saturating_sub(predecessor.at) < REMEMBERED);
    }

    /// What there is to say of successors, where they or those before them grow.
    pub(super) fn notes(&self, processes: &[RankedProcess<'_>], context: &Context<'_>) -> Vec<Note> {
        // Who was there before that is nobody's successor: nearly all are not.
        let Some(first) = self.ended.values().map(|predecessor| predecessor.at).min() else {
            return Vec::new();
        };
        let later = processes.iter().filter(|process| process.id.start >= first);
        let successors = later.filter_map(|process| self.succeeded(process));
        let mut successors: Vec<Successor<'_>> = successors.collect();
        successors.sort_by(|one, other| other.held.total_cmp(&one.held).then_with(|| one.id.cmp(&other.id)));
        let (mut notes, rest) =
            Note::few(note::MEM_RESTART, &successors, |successor| successor.text(context));
        if !rest.is_empty() {
            let text = format!(
                "{} started in place of what had ended and {} as much as that did: {} in all.",
                units::counted(rest.len() as u64, "more process was", "more processes were"),
                if rest.len() == 1 { "holds" } else { "hold" },
                units::bytes(rest.iter().map(|successor| successor.held).sum::<f64>()),
            );
            notes.push(Note { code: note::MEM_RESTART, text });
        }
        notes
    }

    fn succeeded(&self, process: &RankedProcess<'_>) -> Option<Successor<'_>> {
        let predecessor = self.ended.get(process.process.program.as_ref()?)?;
        let held = process_bytes(process.memory?);
        let successor = process.id.start.checked_sub(predecessor.at).is_some_and(|after| after < SOON);
        let telling = predecessor.grew || process.grows();
        (successor && telling && held >= SHARE * predecessor.held).then_some(Successor {
            id: process.id,
            held,
            predecessor,
        })
    }
}

impl Successor<'_> {
    fn text(&self, context: &Context<'_>) -> String {
        format!(
            "{}, started {} ago in place of {}, holds {}, as much as that did in the end ({}): what comes back so \
             soon is needed, which points away from a leak.",
            label(self.id, context.processes),
            units::duration(context.now.boot.saturating_sub(self.id.start) as f64 / 1e9),
            self.predecessor.pid,
            units::bytes(self.held),
            units::bytes(self.predecessor.held),
        )
    }
}
