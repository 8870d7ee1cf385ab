//! Where facts come from: the live kernel, or a recording.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this crate reads facts from the kernel or from a file"
)]

mod attached_object;
pub mod changes;
pub mod clock;
pub mod frame;
pub mod live;
pub mod on_demand;
pub mod record;
pub mod replay;
pub mod session;
