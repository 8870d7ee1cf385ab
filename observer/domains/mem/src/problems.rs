//! The problems that the mem domain finds: memory that is full or will be, of the machine and of control groups; OOM
//! kills and stalls; leaks of processes, of programs, and outside of processes.

use crate::state::MemState;
use observer_core::{
    context::Context,
    problem::{ProblemKind, condition::Outlook},
};

mod group_full;
mod growing_object;
mod growing_program;
mod kernel_memory;
mod leak;
mod memory_full;
mod oom_kill;
mod stall;
mod users;

/// Every kind.
pub const KINDS: &[&ProblemKind] = &[
    &memory_full::KIND,
    &group_full::KIND,
    &oom_kill::KIND,
    &stall::KIND,
    &leak::KIND,
    &growing_program::KIND,
    &growing_object::KIND,
    &kernel_memory::KIND,
];

/// The most conditions of one kind, for kinds with possibly very many subjects.
const FEW: usize = 5;

/// `Soon` for a leak that fills the memory within this many seconds (12 hours): within a shift.
const SHIFT: f64 = 12.0 * 3600.0;

/// Memory outside of processes that leaks is no problem if it takes more than this many seconds (a week) to fill the
/// machine: small caches of the kernel grow for days.
const WEEK: f64 = 7.0 * 86_400.0;

/// The conditions that hold now, and how full memory is.
pub(super) fn outlook(state: &MemState, context: &Context<'_>) -> Outlook {
    let mut outlook = Outlook { totals: state.machine.totals(context.now), ..Outlook::default() };
    outlook.conditions.extend(memory_full::condition(state, context));
    outlook.conditions.extend(group_full::conditions(state, context));
    outlook.conditions.extend(oom_kill::conditions(state, context));
    outlook.conditions.extend(stall::conditions(state, context));
    outlook.conditions.extend(leak::conditions(state, context));
    outlook.conditions.extend(growing_program::conditions(state, context));
    outlook.conditions.extend(growing_object::conditions(state, context));
    outlook.conditions.extend(kernel_memory::conditions(state, context));
    outlook.capacities.extend(memory_full::capacity(state));
    outlook.capacities.extend(group_full::capacities(state));
    outlook
}

#[cfg(test)]
mod tests;
