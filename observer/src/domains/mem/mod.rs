//! What mem answers, and what it cannot see.

use super::Declaration;

pub mod decode;
pub mod hooks;
pub mod report;
pub mod state;

/// The domain's entry in the list of domains.
pub const DECLARATION: Declaration = Declaration {
    name: "mem",
    hooks: hooks::HOOKS,
    fields: observer_common::mem::FIELDS,
    optional_fields: &["MM_OWNER", "SIGNAL_MAX_RSS"],
    decoder: |page_size| Box::new(decode::MemDecoder::new(page_size)),
};
