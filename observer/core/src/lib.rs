//! The pure part of observer: takes facts, makes reports. It uses no clock, no file and no kernel.
//!
//! [`facts`] are the one input, and what a recording holds. A domain ([`domain`]) keeps them as its state and answers
//! with a [`report`]; [`engine`] drives one domain. What a report still lacks is a plain value, [`queries::HostQueries`].
//!
//! ```
//! use observer_core::{
//!     context::Context,
//!     domain::State,
//!     engine::Engine,
//!     facts::{Fact, loss::SkippedFact, session::Timestamp},
//!     queries::HostQueries,
//!     report::{Column, Report, Total, Unit, Value},
//!     view::{Request, View},
//! };
//!
//! /// The state of a domain that counts facts.
//! struct Count(u64);
//!
//! impl State for Count {
//!     fn apply(&mut self, _fact: &Fact) {
//!         self.0 += 1;
//!     }
//!
//!     fn report(&self, context: &Context<'_>) -> Report {
//!         let facts = Total::new(Column::gauge("facts", Unit::Count), Value::Unsigned(self.0));
//!         Report { totals: vec![facts], ..context.report(Vec::new()) }
//!     }
//!
//!     // It has no trends, asks the host nothing, and shows no rates.
//!     fn tick(&mut self, _now: Timestamp) {}
//!     fn queries(&self, _shown: &Report, _context: &Context<'_>) -> HostQueries {
//!         HostQueries::default()
//!     }
//!     fn delivered(&mut self, _now: Timestamp) {}
//! }
//!
//! let mut engine = Engine::new(Request::new(View::new("count")), Box::new(Count(0)));
//! engine.apply(&Fact::Session(Box::default()));
//! engine.apply(&Fact::Skipped(SkippedFact::default()));
//! let report = engine.report(Timestamp::default(), None)?.expect("a session has begun");
//! assert_eq!(report.total("facts"), Some(&Value::Unsigned(2)));
//! # Ok::<(), observer_core::report::shape::UnknownColumn>(())
//! ```

#![forbid(unsafe_code)]

pub mod bytes;
pub mod context;
pub mod domain;
pub mod engine;
pub mod error;
pub mod facts;
pub mod hook;
pub mod identity;
pub mod overview;
pub mod problem;
pub mod queries;
pub mod report;
pub mod severity;
pub mod text;
pub mod trend;
pub mod units;
pub mod view;
