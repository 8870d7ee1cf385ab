//! What a series of values says: its growth, its rate with an interval, and a verdict with its evidence.
