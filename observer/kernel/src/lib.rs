//! The kernel side of user space: what this kernel offers, what is attached because of it, and how.
//!
//! At the start, [`facts`] are gathered from the kernel's type information ([`btf`], [`survey`], [`cache`]), from
//! feature tests and from `/proc`. [`plan`] chooses an alternative of each hook that the domains declare. [`load`]
//! loads and attaches the plan. From then on, [`map`] reads the maps of the programs, and [`activity`] their cost.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use observer_core::domain::KernelSide as _;
//! use observer_kernel::{
//!     facts::{KernelFacts, Origin},
//!     load::load,
//!     plan::{DisabledHooks, plan},
//! };
//!
//! let domains = [observer_mem::Mem.declaration()];
//! let origin = Origin { root: Path::new("/"), btf: None, cache: None };
//! let facts = KernelFacts::gather(&domains, &origin)?;
//! let plan = plan(facts, &domains, DisabledHooks::default());
//! // Needs CAP_BPF and CAP_PERFMON. Dropping the result detaches everything.
//! let loaded = load(&plan, None)?;
//! for outcome in &loaded.outcomes {
//!     println!("{}: {:?}", outcome.hook.name, outcome.alternative.map(|alternative| alternative.name));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "only this crate queries the kernel"
)]

pub mod activity;
pub mod btf;
pub mod cache;
mod control_group;
pub mod declared;
pub mod facts;
pub mod feature_test;
mod ids;
pub mod load;
mod loader;
pub mod lockdown;
pub mod log;
pub mod map;
pub mod plan;
pub mod privilege;
pub mod program;
pub mod prototype;
pub mod rejection;
pub mod survey;
pub mod surveyed;
pub mod types;
mod uname;
