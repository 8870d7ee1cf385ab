//! The list of domains: the only place that names all of them.

use observer_core::{
    domain::{Declaration, Domain},
    engine::Engine,
    view::{Request, View},
};
use observer_disk::Disk;
use observer_mem::Mem;
use observer_net::Net;
use observer_sites::Sites;

/// Every domain.
pub const ALL: &[&dyn Domain] = &[&Mem, &Disk, &Net, &Sites];

/// Examples at the end of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  observer                                what runs out on this machine, and because of which processes
  observer mem                            which processes grow, how fast, and when the memory is full
  observer disk --deleted-open            files that take space and that du cannot find
  observer net --top                      which processes use the network most
  observer mem --by unit --sort growth    systemd units by their growth
  observer net --once --json              one report, for a script
  observer record -o night.obs            records everything; then, on any machine:
  observer replay night.obs mem           the same views without root
  observer doctor                         what this kernel and these privileges allow

Observing needs root (or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE); replaying needs nothing.
Exit codes: 0 done, 1 failed, 2 wrong command line, 3 something is missing in the answer or was lost,
10 something is urgent (`overview --once`), 77 a privilege or kernel feature is missing.";

/// The names of all domains, in the order of [`ALL`].
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|domain| domain.declaration().name)
}

/// The domains that observe everything, and have a command of their own. The others watch what one view asks for, and
/// cost something only then.
pub fn general() -> impl Iterator<Item = &'static dyn Domain> {
    ALL.iter().copied().filter(|domain| domain.command().is_none())
}

/// The commands of domains, each with the views among its flags, its main one first.
pub fn commands() -> impl Iterator<Item = (&'static str, Vec<View>)> {
    general().map(|domain| {
        let name = domain.declaration().name;
        let others = ALL.iter().filter(|other| other.command() == Some(name));
        (name, domain.views().iter().chain(others.flat_map(|other| other.views())).copied().collect())
    })
}

/// The domain with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static dyn Domain> {
    ALL.iter().copied().find(|domain| domain.declaration().name == name)
}

/// The domain that answers `view`.
#[must_use]
pub fn of(view: View) -> &'static dyn Domain {
    *ALL.iter()
        .find(|domain| domain.views().contains(&view))
        .expect("a view is made only by a domain in this list")
}

/// The declarations of `domains`.
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
