//! The instrument: reports on a terminal that takes keys.
//!
//! [`app::App`] is a pure model. It takes reports, keys, sizes and times as arguments, and yields frames and
//! [`command::Command`]s, plain values that the program carries out. Only [`terminal`] and [`run`] touch the terminal.

#![forbid(unsafe_code)]

pub mod action;
pub mod app;
pub mod bindings;
pub mod command;
pub mod draw;
mod ended;
pub mod filter;
mod hits;
pub mod input;
mod jump;
pub mod key;
mod listing;
mod menu;
mod prompt;
mod quantity;
pub mod run;
#[cfg(test)]
mod samples;
pub mod section;
pub mod settings;
pub mod sheet;
pub mod target;
pub mod terminal;
mod trace;
