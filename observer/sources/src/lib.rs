//! Where facts come from: the live kernel ([`live`]), or a recording ([`replay`]). Writes recordings ([`record`]).
//!
//! ```no_run
//! use std::path::Path;
//!
//! use observer_core::facts::StreamItem;
//! use observer_sources::replay::Replay;
//!
//! for item in Replay::open(Path::new("night.obs"))? {
//!     match item? {
//!         StreamItem::Fact(fact) => println!("{fact:?}"),
//!         StreamItem::Tick(now) => println!("{} s after boot: a report is due", now.boot / 1_000_000_000),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub mod seek;
pub mod session;
