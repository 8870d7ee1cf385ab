//! The list of domains: the one place that names them all.

use observer_core::{
    domain::{Declaration, Domain},
    engine::Engine,
    view::{Request, View},
};
use observer_disk::Disk;
use observer_mem::Mem;
use observer_net::Net;

/// Every domain that there is.
pub const ALL: &[&dyn Domain] = &[&Mem, &Disk, &Net];

/// The domain that answers `view`.
#[must_use]
pub fn of(view: View) -> &'static dyn Domain {
    *ALL.iter()
        .find(|domain| domain.views().contains(&view))
        .expect("every view belongs to a domain that is listed")
}

/// What all of `domains` attach.
#[must_use]
pub fn declarations(domains: &[&dyn Domain]) -> Vec<&'static Declaration> {
    domains.iter().map(|domain| domain.declaration()).collect()
}

/// An engine with the empty state of the domain that answers `request`.
#[must_use]
pub fn engine(request: Request) -> Engine {
    let state = of(request.view).state(&request);
    Engine::new(request, state)
}
