//! What this kernel offers: gathered once, from its type information, and a plain value from then on.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    btf::{BtfError, Named},
    cache, feature_test, names,
    names::Lockdown,
    privilege::Capabilities,
    survey::Survey,
};
use observer_core::{
    domain::Declaration,
    hook::{Attachment, Need, Point},
};

/// Where the kernel says what its types are.
pub const KERNEL_TYPES: &str = "sys/kernel/btf/vmlinux";

/// Everything that a plan depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    /// `uname -r`
    pub release: String,
    /// `uname -v`
    pub build: String,
    pub lockdown: Lockdown,
    pub capabilities: Capabilities,
    pub types: KernelTypes,
    /// Whether programs can be attached to the entry and return of functions; the kernel's refusal otherwise.
    pub trampolines: Result<(), String>,
}

/// What was found in the kernel's type information; depends on nothing but the kernel's build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelTypes {
    /// Offset of each field by the name of its global, or why there is none.
    pub fields: BTreeMap<String, Result<u32, String>>,
    /// Each place that a program can be attached to, by the name that it has in the types.
    pub points: BTreeMap<String, PointType>,
    /// Helper functions that the kernel has, of those that some way needs.
    pub helpers: BTreeSet<String>,
}

/// A place as the kernel's types tell of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointType {
    pub id: u32,
    /// What programs are handed there, as [`super::btf::Btf::prototype`] writes it.
    pub prototype: String,
}

/// Where facts come from.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// The root of the file system: `/`, but for tests.
    pub root: &'a Path,
    /// Kernel types from another file than the kernel's own.
    pub btf: Option<&'a Path>,
    /// A folder for what was found, or `None` to look anew and keep nothing.
    pub cache: Option<&'a Path>,
}

/// The name that a place has in the kernel's types.
#[must_use]
pub fn type_name(point: Point) -> (Named, String) {
    match point {
        Point::Iterator(name) => (Named::Function, format!("bpf_iter_{name}")),
        Point::BtfTracepoint(name) => (Named::Typedef, format!("btf_trace_{name}")),
        Point::Fentry(name) | Point::Fexit(name) => (Named::Function, name.to_owned()),
    }
}

impl KernelFacts {
    /// Gathers what the hooks and fields of `domains` depend on.
    ///
    /// # Errors
    /// When the kernel's types cannot be read: nothing can be attached without them.
    pub fn gather(domains: &[&Declaration], origin: &Origin<'_>) -> Result<Self, BtfError> {
        let (release, build) = names::release(origin.root);
        let types = KernelTypes::find(domains, origin, &format!("{release} {build}"))?;
        let trampolines = feature_test::trampolines(&types, domains);
        Ok(Self {
            release,
            build,
            lockdown: Lockdown::read(origin.root),
            capabilities: Capabilities::own(origin.root),
            types,
            trampolines,
        })
    }
}

impl KernelTypes {
    fn find(domains: &[&Declaration], origin: &Origin<'_>, build: &str) -> Result<Self, BtfError> {
        let own = origin.root.join(KERNEL_TYPES);
        let key = cache::Key::new(domains, build, &own);
        let cached =
            origin.cache.filter(|_| origin.btf.is_none()).map(|folder| cache::Entry::new(folder, &key));
        if let Some(types) = cached.as_ref().and_then(cache::Entry::read) {
            return Ok(types);
        }
        let types = Self::read(domains, origin.btf.unwrap_or(&own))?;
        if let Some(entry) = cached {
            entry.write(&types);
        }
        Ok(types)
    }

    /// Looks everything up in the type information at `path`.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn read(domains: &[&Declaration], path: &Path) -> Result<Self, BtfError> {
        Ok(Survey::read(domains, path)?.types(domains))
    }

    /// The type id of the place that `point` names.
    #[must_use]
    pub fn id(&self, point: Point) -> Option<u32> {
        self.points.get(&type_name(point).1).map(|place| place.id)
    }
}

/// Every program of `domains`.
pub fn attachments<'a>(domains: &'a [&Declaration]) -> impl Iterator<Item = &'static Attachment> + 'a {
    let hooks = domains.iter().flat_map(|domain| domain.hooks);
    hooks.flat_map(|hook| hook.alternatives).flat_map(|alternative| alternative.programs)
}

/// Every helper function that some way of `domains` needs and a kernel may lack.
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
pub fn fields<'a>(
    domains: &'a [&Declaration],
) -> impl Iterator<Item = &'static observer_common::field::Field> + 'a {
    let shared = observer_common::task::FIELDS.iter();
    shared.chain(domains.iter().flat_map(|domain| domain.fields))
}
