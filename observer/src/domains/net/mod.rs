//! What net answers, and what it cannot see.

use super::Declaration;

mod bytes;
pub mod decode;
pub mod hooks;
pub mod report;
pub mod state;

/// The domain's entry in the list of domains.
pub const DECLARATION: Declaration = Declaration {
    name: "net",
    hooks: hooks::HOOKS,
    fields: observer_common::net::FIELDS,
    optional_fields: observer_common::net::OPTIONAL_FIELDS,
    decoder: |_page_size| Box::new(decode::NetDecoder::default()),
};
