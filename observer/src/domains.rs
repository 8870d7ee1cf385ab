//! The list of domains: the one place that names them all.

use observer_core::{
    domain::Declaration,
    engine::Engine,
    view::{Request, View},
};

/// Every domain that there is.
pub const ALL: &[Declaration] =
    &[observer_mem::DECLARATION, observer_disk::DECLARATION, observer_net::DECLARATION];

/// The domain that answers `view`.
#[must_use]
pub fn of(view: View) -> &'static Declaration {
    ALL.iter()
        .find(|domain| domain.views.contains(&view))
        .expect("every view belongs to a domain that is listed")
}

/// An engine with the empty state of the domain that answers `request`.
#[must_use]
pub fn engine(request: Request) -> Engine {
    let state = (of(request.view).state)(&request);
    Engine::new(request, state)
}
