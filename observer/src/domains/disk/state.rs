//! From the facts of the disk domain to its state.

use crate::{
    domains::{Context, Domain},
    observation::{Observation, session::Moment},
    report::Report,
    wants::Wants,
};

/// What is known in the disk domain.
#[derive(Debug, Default)]
pub struct DiskState;

impl Domain for DiskState {
    fn apply(&mut self, _fact: &Observation) {}

    fn report(&self, context: &Context<'_>) -> Report {
        super::report::report(self, context)
    }

    fn wants(&self, _shown: &Report, _context: &Context<'_>) -> Wants {
        Wants::default()
    }

    fn delivered(&mut self, _now: Moment) {}
}
