//! What a report is made from, in addition to the state of a domain.

use crate::{
    facts::session::{SessionFact, Timestamp},
    identity::process::Processes,
    report::{LossTotals, Report, Table},
    view::Request,
};

/// The inputs of a report, in addition to the domain's own state.
pub struct Context<'a> {
    pub session: &'a SessionFact,
    pub processes: &'a Processes,
    pub request: &'a Request,
    pub now: Timestamp,
    /// The time of the previous report, or of the start.
    pub previous: Timestamp,
    /// Whether this is the first report: then rates since the start are not yet known.
    pub first: bool,
}

impl Context<'_> {
    /// An empty report of the requested view, with its times and these tables.
    #[must_use]
    pub fn report(&self, tables: Vec<Table>) -> Report {
        Report {
            view: self.request.view.name,
            host: self.session.host.clone(),
            now: self.now,
            elapsed: self.now.since(self.previous),
            observed: self.now.since(self.session.began),
            loss: LossTotals::default(),
            headline: Vec::new(),
            totals: Vec::new(),
            tables,
            notes: Vec::new(),
        }
    }
}
