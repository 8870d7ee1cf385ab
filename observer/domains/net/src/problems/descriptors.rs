//! A process has nearly as many descriptors open as it may have: then it can neither accept nor connect.

use crate::{
    capacity::{counted_descriptors, descriptors_text},
    state::NetState,
};
use observer_core::{
    context::Context,
    facts::{TaskId, net::Occupancy},
    problem::{ProblemKind, condition::Condition},
    report::Subject,
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "descriptors-full", confirm: 1, linger: 10 };

pub(super) fn conditions(state: &NetState, context: &Context<'_>) -> Vec<Condition> {
    let found = counted_descriptors(state).into_iter().filter_map(|(id, open)| condition(id, open, context));
    found.take(super::FEW).collect()
}

fn condition(id: TaskId, open: Occupancy, context: &Context<'_>) -> Option<Condition> {
    let (severity, clear) = super::severity(open)?;
    let text = descriptors_text(id, open, context);
    let condition =
        Condition::new(&KIND, severity, Subject::Process(id), text, context.now.boot).clear(clear);
    let evidence = "the limit is its soft limit of open files";
    Some(condition.because(evidence).by([id]).next(format!("prlimit --nofile --pid {}", id.pid())))
}
