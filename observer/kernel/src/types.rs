//! What the type information of one kernel offers of what the domains declare: offsets, type ids, helper functions.

use std::collections::{BTreeMap, BTreeSet};

use observer_core::hook::Point;
use serde::{Deserialize, Serialize};

use super::btf::Named;

/// What was found in the type information of a kernel. It depends on the build of the kernel only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelTypes {
    /// The offset of each kernel field in bytes, by the name of its global; or why there is none.
    pub fields: BTreeMap<String, Result<u32, NoField>>,
    /// Each attach point that the kernel has, by its name in the types.
    pub points: BTreeMap<String, PointType>,
    /// The helper functions that the kernel has, of those that an alternative needs, without `bpf_`.
    pub helpers: BTreeSet<String>,
}

/// Why a kernel field has no offset for the programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum NoField {
    #[error("this kernel has no `{path}`")]
    Missing { path: String },
    /// Widths in bytes.
    #[error("`{path}` is {found} bytes wide here, not {expected}")]
    OtherWidth { path: String, found: u32, expected: u32 },
    /// A survey that is older than the declaration of the field.
    #[error("`{path}` was not looked up")]
    NotLookedUp { path: String },
}

/// An attach point in the types of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointType {
    /// Its BTF type id; another number in each build.
    pub id: u32,
    /// The arguments that programs receive there, as [`super::btf::Btf::prototype`] writes it.
    pub prototype: String,
}

/// The kind and name that an attach point has in the kernel's types.
pub fn type_name(point: Point) -> (Named, String) {
    match point {
        Point::Iterator(name) => (Named::Function, format!("bpf_iter_{name}")),
        Point::BtfTracepoint(name) => (Named::Typedef, format!("btf_trace_{name}")),
        Point::Fentry(name) | Point::Fexit(name) => (Named::Function, name.to_owned()),
        // Kernels with programs in control groups have this function. Its arguments are not those of a program.
        Point::ControlGroup(_) => (Named::Function, "__cgroup_bpf_run_filter_sk".to_owned()),
    }
}

impl KernelTypes {
    /// The type id of an attach point; `None` if this kernel lacks it.
    pub fn id(&self, point: Point) -> Option<u32> {
        self.points.get(&type_name(point).1).map(|found| found.id)
    }
}
