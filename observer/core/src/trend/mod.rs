//! A series of values over time: its growth, its rate with an interval, and a verdict with its evidence.

pub mod envelope;
pub mod history;
pub mod leak;
pub mod series;
pub mod slope;
pub mod verdict;
pub mod window;
