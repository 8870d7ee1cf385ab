//! Where facts come from: the live kernel, or a recording.

mod attached_object;
pub mod changes;
pub mod frame;
pub mod live;
pub mod on_demand;
pub mod record;
pub mod replay;
pub mod session;
