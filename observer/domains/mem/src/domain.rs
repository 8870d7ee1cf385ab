//! The interface between the mem domain and the engine: facts update the state, and reports come from the state.

use super::{problems, report, state::MemState};
use observer_core::{
    context::Context,
    domain::State,
    facts::{Fact, TaskId, process::ProcessFact, session::Timestamp},
    problem::condition::Outlook,
    queries::HostQueries,
    report::Report,
};

impl State for MemState {
    fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Mem(fact) => self.take(fact),
            Fact::Process(ProcessFact::Met { id, comm, uid, kernel_thread: false }) => {
                self.meet(*id, (comm.clone(), *uid));
            }
            Fact::Process(ProcessFact::Ended { id, at }) => self.end(*id, *at),
            _ => {}
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.sample(now);
        self.objects.sample(now);
        self.machine.sample(now, self.objects.unread());
        self.pressure.sample(now);
    }

    fn report(&self, context: &Context<'_>) -> Report {
        report::report(self, context)
    }

    fn draft(&self, context: &Context<'_>) -> Report {
        report::draft(self, context)
    }

    fn queries(&self, shown: &Report, context: &Context<'_>) -> HostQueries {
        self.queries(shown, context)
    }

    fn outlook(&self, context: &Context<'_>) -> Outlook {
        problems::outlook(self, context)
    }

    fn remembers(&self, id: TaskId) -> bool {
        self.pressure.names(id) || self.departed.has(id)
    }

    fn delivered(&mut self, now: Timestamp) {
        self.forget_ended(now);
    }
}

#[cfg(test)]
pub(crate) mod tests;
