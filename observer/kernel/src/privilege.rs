//! Which capabilities observer has, and what each is for.

use std::path::Path;

/// A capability and what observer needs it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    pub name: &'static str,
    /// Its bit in `CapEff`.
    pub bit: u32,
    /// What fails without it.
    pub purpose: &'static str,
    /// The only domain that needs it; `None` if all do.
    pub domain: Option<&'static str>,
}

impl Capability {
    /// Whether it improves the observation of `domain`.
    pub fn serves(&self, domain: &str) -> bool {
        self.domain.is_none_or(|only| only == domain)
    }
}

/// Without these nothing can be observed. `CAP_SYS_ADMIN` contains them.
pub const REQUIRED: &[Capability] = &[
    Capability { name: "CAP_BPF", bit: 39, purpose: "load programs and maps into the kernel", domain: None },
    Capability {
        name: "CAP_PERFMON",
        bit: 38,
        purpose: "attach them to tracepoints and read kernel memory",
        domain: None,
    },
];

/// Without these some values stay unknown.
pub const HELPFUL: &[Capability] = &[
    Capability {
        name: "CAP_SYS_PTRACE",
        bit: 19,
        purpose: "read the executable and the descriptors of other users' processes",
        domain: None,
    },
    Capability {
        name: "CAP_DAC_READ_SEARCH",
        bit: 2,
        purpose: "read paths and states of deleted files that other users' processes hold",
        domain: Some("disk"),
    },
];

/// Needed only by programs in control groups, without which scans find what these programs report at once.
pub const NET_ADMIN: Capability = Capability {
    name: "CAP_NET_ADMIN",
    bit: 12,
    purpose: "attach programs to control groups",
    domain: Some("net"),
};

/// Needed only by kernels that [count locked memory](counts_locked_memory), where the limit is not raised otherwise.
pub const LOCKED_MEMORY: Capability = Capability {
    name: "CAP_SYS_RESOURCE",
    bit: 24,
    purpose: "raise the limit of locked memory, which kernels before 5.11 count programs and maps against",
    domain: None,
};

const SYS_ADMIN: u32 = 21;

/// The effective capabilities as a bit mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Those of this process; all of them if `/proc` does not report them, so that the kernel's own answer decides.
    pub fn own(root: &Path) -> Self {
        let status = std::fs::read_to_string(root.join("proc/self/status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        Self(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(u64::MAX))
    }

    /// Whether it has the capability, or the one that contains it.
    pub const fn has(self, capability: &Capability) -> bool {
        let contained = matches!(capability.bit, 12 | 38 | 39) && self.0 & (1 << SYS_ADMIN) != 0;
        contained || self.0 & (1 << capability.bit) != 0
    }
}

/// Whether a kernel of this release counts programs and maps as locked memory: those before 5.11 do. An unreadable
/// release counts as newer.
pub fn counts_locked_memory(release: &str) -> bool {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (5, 11))
}

/// The limit of locked memory, in bytes; `None` where there is none.
pub fn memory_lock_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Memlock).current
}

/// Kernels before 5.11 count programs and maps against the limit of locked memory: those of every process of the user
/// together, and of ended ones until they are freed. Beyond the limit they answer as if a privilege were missing. Later
/// kernels do not, and a container may reject the change.
pub fn raise_memory_lock_limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_before_5_11_count_locked_memory() {
        assert!(["5.10.0-46-cloud-amd64", "5.4.0", "4.18.0-553.el8"].into_iter().all(counts_locked_memory));
        assert!(!["5.11.0", "6.1.0-56-cloud-amd64", "7.2.13", ""].into_iter().any(counts_locked_memory));
    }

    #[test]
    fn mem_and_net_need_no_capability_of_the_disk_domain() {
        let wanted = |domain| {
            let serving = REQUIRED.iter().chain(HELPFUL).filter(move |capability| capability.serves(domain));
            serving.map(|capability| capability.name).collect::<Vec<_>>()
        };
        assert_eq!(wanted("mem"), ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"]);
        assert_eq!(wanted("net"), wanted("mem"));
        assert_eq!(wanted("disk"), ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
    }
}
