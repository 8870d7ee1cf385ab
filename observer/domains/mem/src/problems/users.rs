//! Which process uses memory: the one that grows fastest, or else the one that holds most.

use crate::{
    process::{ProcessMemory, process_bytes},
    state::MemState,
};
use observer_core::{context::Context, facts::TaskId, trend::slope::Trend, units};

/// A process that is named as the cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub id: TaskId,
    /// Bytes that only its exit frees.
    held: f64,
    /// Its rate of growth; `None` unless the whole interval is above zero.
    pub trend: Option<Trend>,
}

/// The processes for which `concerns` is true: those that grow, the fastest first, then the others, the largest first.
pub(super) fn users(state: &MemState, concerns: impl Fn(&ProcessMemory) -> bool) -> Vec<User> {
    let living = state.processes.iter().filter(|(_, process)| !process.ended && concerns(process));
    let users = living.filter_map(|(id, process)| {
        let held = process_bytes(process.memory()?);
        let last = state.last_assessment(process).filter(|last| last.verdict.grows());
        Some(User { id: *id, held, trend: last.and_then(|last| last.trend).filter(|trend| trend.low > 0.0) })
    });
    let mut users: Vec<User> = users.collect();
    let rate = |user: &User| user.trend.map_or(0.0, |trend| trend.rate);
    users.sort_by(|one, other| {
        let by_rate = rate(other).total_cmp(&rate(one));
        by_rate.then(other.held.total_cmp(&one.held)).then(one.id.cmp(&other.id))
    });
    users
}

impl User {
    /// A clause about it.
    pub(super) fn words(&self, context: &Context<'_>) -> String {
        let name = context.processes.introduced(self.id);
        match self.trend {
            Some(trend) => format!("{name} grows {} a minute", units::minute_rate(trend.rate, None)),
            None => format!("{name} holds most, {}", units::bytes(self.held)),
        }
    }
}

/// The command that shows a process.
pub(super) fn command(id: TaskId) -> String {
    format!("observer mem -p {}", id.pid())
}
