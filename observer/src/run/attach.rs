//! Facts, plan, privileges, loading: from the options of the command line to attached programs.

use std::path::Path;

use crate::cli;
use observer_core::{domain::Declaration, error::Error};
use observer_kernel::{
    cache,
    facts::{KernelFacts, Origin},
    load::{self, Loaded},
    plan::{DisabledHooks, LoadPlan, plan},
    privilege::REQUIRED,
};

/// Gathers the facts about the kernel and makes the plan.
///
/// # Errors
/// When the kernel's types cannot be read, or a requested alternative does not exist.
pub fn decide(domains: &[&'static Declaration], options: &cli::LiveOptions) -> Result<LoadPlan, Error> {
    let folder = Path::new(cache::FOLDER);
    let origin =
        Origin { root: Path::new("/"), btf: options.btf.as_deref(), cache: options.cache.then_some(folder) };
    let facts = KernelFacts::gather(domains, &origin).map_err(|error| {
        Error::unable("reading the kernel's type information (BTF)", error).advise(
            "The kernel must be built with CONFIG_DEBUG_INFO_BTF. In a container that hides it, pass a copy of the \
             host's /sys/kernel/btf/vmlinux with --btf FILE.",
        )
    })?;
    let mut plan =
        plan(facts, domains, DisabledHooks { passes: !options.iterators, events: !options.events });
    for (hook, number) in &options.alternatives {
        plan.force(hook, *number).map_err(|why| Error::usage("choosing with --way", why))?;
    }
    Ok(plan)
}

/// Loads and attaches the plan.
///
/// # Errors
/// When a capability is missing, or the kernel rejects the objects.
pub fn attach(plan: &LoadPlan, options: &cli::LiveOptions) -> Result<Loaded, Error> {
    let missing = REQUIRED.iter().filter(|capability| !plan.facts.capabilities.has(capability));
    let missing: Vec<&str> = missing.map(|capability| capability.name).collect();
    if !missing.is_empty() {
        let why = format!("it needs {}", missing.join(" and "));
        return Err(Error::unable("loading programs into the kernel", why)
            .advise("Run it as root. `observer doctor` lists what each privilege is for."));
    }
    load::load(plan, options.objects.as_deref())
}
