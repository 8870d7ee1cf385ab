//! Where facts come from: the live kernel, or a recording.

pub mod attention;
pub mod changes;
pub mod frame;
pub mod live;
mod observed;
pub mod record;
pub mod replay;
pub mod session;
