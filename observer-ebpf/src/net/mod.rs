//! What the two objects of the net domain have in common: all but how kernel memory is read (`crate::access`) and where what
//! is remembered of a socket is kept (`crate::kept`). What the programs do is in `programs`.

mod closed;
mod flow;
mod life;
mod orders;
mod pass;
mod programs;
mod share;
pub mod socket;
pub mod storage;
