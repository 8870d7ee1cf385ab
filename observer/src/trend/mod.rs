//! What a series of values says: its growth, its rate with an interval, and a verdict with its evidence.

pub mod slope;
pub mod verdict;
pub mod window;
