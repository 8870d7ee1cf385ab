//! The pure part of observer: takes facts, makes reports. It uses no clock, no file and no kernel.
//!
//! [`facts`] are the one input, and what a recording holds. A domain ([`domain`]) keeps them as its state and answers
//! with a [`report`]; [`engine`] drives one domain. What a report still lacks is a plain value, [`queries::HostQueries`].

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
