//! The interface between the disk domain and the engine: facts update the state, and reports come from the state.

use super::{problems, report, state::DiskState};
use observer_core::{
    context::Context,
    domain::State,
    facts::{Fact, TaskId, process::ProcessFact, session::Timestamp},
    problem::condition::Outlook,
    queries::HostQueries,
    report::Report,
};

impl State for DiskState {
    fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Disk(fact) => self.take(fact),
            Fact::Session(session) => self.session(session),
            Fact::Process(ProcessFact::Ended { id, .. }) => self.growth.ended(*id),
            _ => {}
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.sample(now);
    }

    fn report(&self, context: &Context<'_>) -> Report {
        report::report(self, context)
    }

    fn draft(&self, context: &Context<'_>) -> Report {
        report::draft(self, context)
    }

    fn queries(&self, shown: &Report, context: &Context<'_>) -> HostQueries {
        self.queries_of(shown, &report::inodes(shown), context)
    }

    fn outlook(&self, context: &Context<'_>) -> Outlook {
        problems::outlook(self, context)
    }

    fn remembers(&self, id: TaskId) -> bool {
        self.names(id)
    }

    fn delivered(&mut self, _now: Timestamp) {
        self.writers.delivered();
        self.growth.delivered();
    }
}
