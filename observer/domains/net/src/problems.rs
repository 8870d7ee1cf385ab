//! The problems that the net domain finds: full links and queues, services that do not accept or read, capacity for
//! connections that runs out.

use super::{rates::Rates, report::totals, state::NetState, traffic::Overall};
use observer_core::{
    context::Context,
    facts::net::Occupancy,
    problem::{
        ProblemKind,
        condition::{Capacity, Outlook},
    },
    severity::Severity,
};

mod accept_queue;
mod descriptors;
mod link_full;
mod ports;
mod queue_filled;
mod reader;
mod tracking;

/// Every kind.
pub const KINDS: &[&ProblemKind] = &[
    &link_full::KIND,
    &queue_filled::KIND,
    &accept_queue::KIND,
    &reader::KIND,
    &descriptors::KIND,
    &ports::KIND,
    &tracking::KIND,
];

/// The most conditions of one kind.
const FEW: usize = 5;

/// The conditions that hold now, and how full links and tables are.
pub(super) fn outlook(state: &NetState, context: &Context<'_>) -> Outlook {
    let rates = Rates::of(context);
    let all = Overall::of(state.left, state.processes.values());
    let mut outlook = Outlook { totals: totals(state, &all, rates), ..Outlook::default() };
    outlook.unattributed = state.unattributed;
    outlook.conditions.extend(link_full::conditions(state, rates, context));
    outlook.conditions.extend(queue_filled::conditions(state, context));
    outlook.conditions.extend(accept_queue::conditions(state, context));
    outlook.conditions.extend(reader::conditions(state, context));
    outlook.conditions.extend(descriptors::conditions(state, context));
    outlook.conditions.extend(ports::condition(state, context));
    outlook.conditions.extend(tracking::condition(state, context));
    outlook.capacities.extend(link_full::capacities(state, rates));
    outlook.capacities.extend(ports::capacity(state));
    outlook.capacities.extend(tracking::capacity(state));
    outlook
}

/// The severity for a table of the kernel that is filled to this part, and whether it is clear. A full table takes
/// nothing new.
fn severity(filling: Occupancy) -> Option<(Severity, bool)> {
    let full = filling.used as f64 / filling.limit.max(1) as f64;
    let at = |slack: f64| match full + slack {
        full if full >= 0.98 => Some(Severity::Now),
        full if full >= 0.9 => Some(Severity::Soon),
        full => (full >= 0.8).then_some(Severity::Watch),
    };
    at(0.0).map(|severity| (severity, true)).or_else(|| Some((at(0.02)?, false)))
}

/// A table of the kernel, as something that can run out.
fn capacity(what: &str, filling: Occupancy) -> Option<Capacity> {
    let used = filling.used as f64 / filling.limit.max(1) as f64;
    let text = format!("{what} are {} used", observer_core::units::share(used));
    (filling.limit > 0).then_some(Capacity { text, used, full_in: None })
}

#[cfg(test)]
mod tests;
