//! Connections to one address take nearly all ports that the kernel gives out: then connecting there fails.

use crate::{
    capacity::{fullest_route, ports},
    state::NetState,
};
use observer_core::{
    context::Context,
    problem::{
        ProblemKind,
        condition::{Capacity, Condition},
    },
    report::Subject,
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "ports-full", confirm: 1, linger: 10 };

pub(super) fn condition(state: &NetState, context: &Context<'_>) -> Option<Condition> {
    let (taken, text) = ports(state, fullest_route(state))?;
    let (severity, clear) = super::severity(taken)?;
    let condition = Condition::new(&KIND, severity, Subject::Machine, text, context.now.boot).clear(clear);
    let evidence = "ports of connections in TIME_WAIT are not counted";
    Some(condition.because(evidence).next("observer net --by connection --top"))
}

pub(super) fn capacity(state: &NetState) -> Option<Capacity> {
    let (taken, _) = ports(state, fullest_route(state))?;
    super::capacity("ports to one address", taken)
}
