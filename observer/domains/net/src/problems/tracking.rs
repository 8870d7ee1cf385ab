//! The firewall tracks nearly as many connections as it can: then it drops new ones.

use crate::{capacity::tracked_text, state::NetState};
use observer_core::{
    context::Context,
    problem::{
        ProblemKind,
        condition::{Capacity, Condition},
    },
    report::Subject,
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "tracking-full", confirm: 1, linger: 10 };

pub(super) fn condition(state: &NetState, context: &Context<'_>) -> Option<Condition> {
    let tracked = state.room?.tracked?;
    let (severity, clear) = super::severity(tracked)?;
    let condition =
        Condition::new(&KIND, severity, Subject::Machine, tracked_text(tracked), context.now.boot)
            .clear(clear);
    Some(condition.because("both numbers are the kernel's").next("sysctl net.netfilter.nf_conntrack_max"))
}

pub(super) fn capacity(state: &NetState) -> Option<Capacity> {
    super::capacity("tracked connections", state.room?.tracked?)
}
