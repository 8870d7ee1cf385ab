//! Notes about processes that replaced an ended one and hold as much memory.

use super::ranked_process::RankedProcess;
use crate::{
    notes::MemNote,
    process::process_bytes,
    restart::{Predecessor, Predecessors},
};
use observer_core::{context::Context, facts::TaskId, report::Note, units};

/// The share of the predecessor's memory from which on a process holds as much.
const SHARE: f64 = 0.9;

/// A process that replaced an ended one, and holds as much memory.
struct Successor<'a> {
    id: TaskId,
    /// Bytes.
    held: f64,
    predecessor: &'a Predecessor,
}

/// Notes about successors, if they or their predecessors grow.
pub(super) fn notes(
    predecessors: &Predecessors,
    processes: &[RankedProcess<'_>],
    context: &Context<'_>,
) -> Vec<Note> {
    let Some(first) = predecessors.first_end() else { return Vec::new() };
    let later = processes.iter().filter(|process| process.id.start >= first);
    let successors = later.filter_map(|process| successor(predecessors, process));
    let mut successors: Vec<Successor<'_>> = successors.collect();
    successors.sort_by(|one, other| other.held.total_cmp(&one.held).then_with(|| one.id.cmp(&other.id)));
    let others = |rest: &[Successor<'_>]| {
        format!(
            "{} replaced ended processes and {} as much as those did: {} in all.",
            units::counted(rest.len() as u64, "more process", "more processes"),
            if rest.len() == 1 { "holds" } else { "hold" },
            units::bytes(rest.iter().map(|successor| successor.held).sum::<f64>()),
        )
    };
    Note::few(MemNote::Restart, &successors, |successor| successor.text(context), others)
}

fn successor<'a>(predecessors: &'a Predecessors, process: &RankedProcess<'_>) -> Option<Successor<'a>> {
    let predecessor = predecessors.of(process.id, process.process)?;
    let held = process_bytes(process.memory?);
    let counts = (predecessor.grew || process.grows()) && held >= SHARE * predecessor.held;
    counts.then_some(Successor { id: process.id, held, predecessor })
}

impl Successor<'_> {
    fn text(&self, context: &Context<'_>) -> String {
        format!(
            "{}, started {} ago in place of {}, holds {}, as much as that did in the end ({}): memory that is \
             taken again so soon is in use, which points away from a leak.",
            context.processes.label(self.id),
            units::duration(context.now.boot.saturating_sub(self.id.start) as f64 / 1e9),
            self.predecessor.pid,
            units::bytes(self.held),
            units::bytes(self.predecessor.held),
        )
    }
}
