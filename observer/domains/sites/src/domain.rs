//! The interface between the sites domain and the engine: facts update the state, and reports come from the state.

use observer_core::{
    context::Context,
    domain::State,
    facts::{Fact, TaskId, process::ProcessFact, session::Timestamp},
    queries::HostQueries,
    report::Report,
    view::Request,
};

use crate::{queries::SitesQueries, report, state::SitesState};

/// The processes that are watched if none is chosen.
const GROWERS: usize = 8;
/// The same if processes are chosen by a name: those that grow most and have another name are among them.
const GROWERS_TO_CHOOSE_FROM: usize = 32;

impl State for SitesState {
    fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Sites(fact) => self.take(fact),
            Fact::Process(ProcessFact::Ended { id, .. }) => self.end(*id),
            _ => {}
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.expire(now.boot);
    }

    fn report(&self, context: &Context<'_>) -> Report {
        report::report(self, context)
    }

    fn queries(&self, shown: &Report, context: &Context<'_>) -> HostQueries {
        let rows = shown.tables.iter().flat_map(|table| &table.rows);
        let processes = rows.flat_map(|row| row.processes.iter().copied());
        let unread = processes.filter(|id| context.processes.unread(*id)).collect();
        let request = context.request;
        let own = SitesQueries {
            pids: request.pids.iter().copied().collect(),
            growers: growers(request),
            addresses: self.unnamed(),
        };
        HostQueries::of_names(unread, request.cmdline).with(own)
    }

    fn remembers(&self, id: TaskId) -> bool {
        self.knows(id)
    }

    fn delivered(&mut self, _now: Timestamp) {
        self.forget_ended();
    }
}

/// How many of the processes that grow most are watched for this request.
fn growers(request: &Request) -> usize {
    let named = request.comm.is_some() || request.unit.is_some() || request.container.is_some();
    match (request.pids.is_empty(), named) {
        (false, _) => 0,
        (true, true) => GROWERS_TO_CHOOSE_FROM,
        (true, false) => GROWERS,
    }
}
