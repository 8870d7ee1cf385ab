//! From the facts of the mem domain to its state.

use crate::{
    domains::{Context, Domain},
    observation::{Observation, session::Moment},
    report::Report,
    wants::Wants,
};

/// What is known in the mem domain.
#[derive(Debug, Default)]
pub struct MemState;

impl Domain for MemState {
    fn apply(&mut self, _fact: &Observation) {}

    fn report(&self, context: &Context<'_>) -> Report {
        super::report::report(self, context)
    }

    fn wants(&self, _shown: &Report, _context: &Context<'_>) -> Wants {
        Wants::default()
    }

    fn delivered(&mut self, _now: Moment) {}
}
