//! What the domains declare that they need of a kernel: programs, helper functions, kernel fields.

use observer_common::field::Field;
use observer_core::{
    domain::Declaration,
    hook::{Attachment, Need},
};

/// Every program of `domains`.
pub fn attachments<'a>(domains: &'a [&Declaration]) -> impl Iterator<Item = &'static Attachment> + 'a {
    let hooks = domains.iter().flat_map(|domain| domain.hooks);
    hooks.flat_map(|hook| hook.alternatives).flat_map(|alternative| alternative.programs)
}

/// Every helper function that an alternative of `domains` needs and a kernel may lack.
pub fn helpers<'a>(domains: &'a [&Declaration]) -> impl Iterator<Item = &'static str> + 'a {
    let hooks = domains.iter().flat_map(|domain| domain.hooks);
    hooks.flat_map(|hook| hook.alternatives).flat_map(|alternative| alternative.needs).filter_map(|need| {
        match need {
            Need::Helper(name) | Need::NoHelper(name) => Some(*name),
            Need::Probing | Need::ProbingWhere { .. } => None,
        }
    })
}

/// Every field that programs of `domains` read.
pub fn fields<'a>(domains: &'a [&Declaration]) -> impl Iterator<Item = &'static Field> + 'a {
    let shared = observer_common::task::FIELDS.iter();
    shared.chain(domains.iter().flat_map(|domain| domain.fields))
}
