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

/// Every program and map that user space names is in this object.
mod names {
    use observer_common::{net_maps, net_programs, symbols_exist};

    use super::{closed::NET_CLOSED, flow::NET_FLOWS, programs::*};

    net_programs!(symbols_exist);
    net_maps!(symbols_exist);
}
