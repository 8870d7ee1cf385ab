//! The state of the net domain as the engine drives it.

use crate::views;
use observer_core::{
    context::Context,
    domain::State,
    facts::{Fact, TaskId, process::ProcessFact, session::Timestamp},
    problem::condition::Outlook,
    queries::HostQueries,
    report::Report,
};

use super::{capacity, problems, queries::NetQueries, report, state::NetState};

impl State for NetState {
    fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Session(session) => self.begin(session),
            Fact::Process(ProcessFact::Ended { id, .. } | ProcessFact::Unnamed { id }) => {
                self.end_process(*id)
            }
            Fact::Net(fact) => self.apply_net(fact),
            _ => {}
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.tick(now);
    }

    fn report(&self, context: &Context<'_>) -> Report {
        report::report(self, context)
    }

    fn queries(&self, shown: &Report, context: &Context<'_>) -> HostQueries {
        let rows = shown.tables.iter().flat_map(|table| &table.rows);
        let processes = rows.flat_map(|row| row.processes.iter().copied());
        let resolves = context.request.resolve && context.request.view == views::NET;
        let remotes = processes.clone().filter(|_| resolves).filter_map(|id| self.processes.get(&id)?.to());
        let queries = NetQueries {
            remotes: remotes.map(|(ip, _)| ip).filter(|ip| self.names.lack(*ip)).collect(),
            descriptors: capacity::asked(self.tally.processes()),
            namespaces: self.namespaces.lacking(),
            queues: self.queues_wanted(context.request.view == views::LISTEN),
        };
        let names = processes.filter(|id| context.processes.unread(*id)).collect();
        HostQueries::of_names(names, context.request.cmdline).with(queries)
    }

    fn outlook(&self, context: &Context<'_>) -> Outlook {
        problems::outlook(self, context)
    }

    fn remembers(&self, id: TaskId) -> bool {
        self.remembers(id)
    }

    fn delivered(&mut self, now: Timestamp) {
        self.delivered(now);
    }
}
