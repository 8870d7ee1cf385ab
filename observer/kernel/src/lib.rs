//! The kernel border: what this kernel offers, what is attached because of it, and how.
//!
//! [`facts`] are gathered (with [`btf`], [`feature_test`], [`cache`]), [`plan`] turns facts and the domains' hooks into a
//! [`plan::LoadPlan`], [`load`] executes it, [`map`] reads what the programs keep.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what is asked of the kernel is asked here"
)]

pub mod activity;
pub mod btf;
pub mod cache;
pub mod facts;
pub mod feature_test;
pub mod ids;
pub mod load;
mod loader;
pub mod log;
pub mod map;
pub mod names;
pub mod plan;
pub mod privilege;
pub mod program;
pub mod prototype;
pub mod rejection;
pub mod survey;
