//! Where observations come from: the live kernel, or a recording.

pub mod changes;
pub mod host;
