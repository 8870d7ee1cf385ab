//! Which capabilities observer has, and what each is for.

use std::path::Path;

/// A capability and why observer wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    pub name: &'static str,
    /// Its bit in `CapEff`.
    pub bit: u32,
    /// What fails without it.
    pub purpose: &'static str,
}

/// Without these nothing can be observed. `CAP_SYS_ADMIN` contains them.
pub const REQUIRED: &[Capability] = &[
    Capability { name: "CAP_BPF", bit: 39, purpose: "load programs and maps into the kernel" },
    Capability { name: "CAP_PERFMON", bit: 38, purpose: "attach them to tracepoints and read kernel memory" },
];

/// Without these some answers stay unknown.
pub const HELPFUL: &[Capability] = &[
    Capability {
        name: "CAP_SYS_PTRACE",
        bit: 19,
        purpose: "read the executable and the descriptors of other users' processes",
    },
    Capability {
        name: "CAP_DAC_READ_SEARCH",
        bit: 2,
        purpose: "read the state of files in directories of other users",
    },
];

const SYS_ADMIN: u32 = 21;

/// The effective capabilities as a bit mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Those of this process; all of them where `/proc` does not tell, so that the kernel's own answer decides.
    #[must_use]
    pub fn own(root: &Path) -> Self {
        let status = std::fs::read_to_string(root.join("proc/self/status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        Self(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(u64::MAX))
    }

    /// Whether it has the capability, or the one that contains it.
    #[must_use]
    pub const fn has(self, capability: &Capability) -> bool {
        let contained = matches!(capability.bit, 38 | 39) && self.0 & (1 << SYS_ADMIN) != 0;
        contained || self.0 & (1 << capability.bit) != 0
    }
}
