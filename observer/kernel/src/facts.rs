//! What a kernel offers: gathered once at the start, and a plain value after that.

use std::path::Path;

use observer_core::domain::Declaration;
use serde::{Deserialize, Serialize};

use super::{
    btf::BtfError,
    cache,
    control_group::{self, NoControlGroup},
    feature_test::{self, NoTrampolines},
    lockdown::Lockdown,
    privilege::Capabilities,
    survey::Survey,
    types::KernelTypes,
    uname,
};

/// The file of the kernel's type information, below the root of the file system.
pub const KERNEL_TYPES: &str = "sys/kernel/btf/vmlinux";

/// Everything that a plan depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    /// `uname -r`
    pub release: String,
    /// `uname -v`
    pub build: String,
    /// What the kernel denies to root.
    pub lockdown: Lockdown,
    /// What this process may do.
    pub capabilities: Capabilities,
    /// What the kernel's type information offers.
    pub types: KernelTypes,
    /// Whether programs can be attached to the entry and return of functions; else the kernel's answer.
    pub trampolines: Result<(), NoTrampolines>,
    /// Whether programs can be attached to the root control group; else why not.
    pub control_groups: Result<(), NoControlGroup>,
}

/// Where the facts are read from.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// The root of the file system: `/` except in tests.
    pub root: &'a Path,
    /// A file to read the kernel's types from, instead of the kernel's own.
    pub btf: Option<&'a Path>,
    /// The folder of the cache; `None` reads the types again and stores nothing.
    pub cache: Option<&'a Path>,
}

impl KernelFacts {
    /// Gathers what the hooks and fields of `domains` depend on.
    ///
    /// # Errors
    /// When the kernel's types cannot be read: nothing can be attached without them.
    pub fn gather(domains: &[&Declaration], origin: &Origin<'_>) -> Result<Self, BtfError> {
        let (release, build) = uname::release(origin.root);
        let types = find_types(domains, origin, &format!("{release} {build}"))?;
        let trampolines = feature_test::trampolines(&types, domains);
        let capabilities = Capabilities::own(origin.root);
        Ok(Self {
            release,
            build,
            lockdown: Lockdown::read(origin.root),
            capabilities,
            types,
            trampolines,
            control_groups: control_group::accepts_programs(origin.root, capabilities),
        })
    }
}

fn find_types(domains: &[&Declaration], origin: &Origin<'_>, build: &str) -> Result<KernelTypes, BtfError> {
    let own = origin.root.join(KERNEL_TYPES);
    let key = cache::Key::new(domains, build, &own);
    let cached = origin.cache.filter(|_| origin.btf.is_none()).map(|folder| cache::Entry::new(folder, &key));
    if let Some(types) = cached.as_ref().and_then(cache::Entry::read) {
        return Ok(types);
    }
    let types = Survey::read(domains, origin.btf.unwrap_or(&own))?.types(domains);
    if let Some(entry) = cached {
        entry.write(&types);
    }
    Ok(types)
}
