//! Where the wanted fields are in the runtime of each version of Go, on 64 bits.

/// Offsets in `gcControllerState` (`live`, `marked`, `in_use`, `mapped`) and in `mstats` (the others).
///
/// Those of 1.19 and of 1.21 to 1.27 were read from the debugging information of binaries that these versions built.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    pub live: u64,
    pub marked: u64,
    pub in_use: u64,
    pub mapped: u64,
    pub ended: u64,
    pub paused: u64,
    pub count: u64,
}

impl Fields {
    /// Those of Go 1.`minor`.
    pub fn of(minor: u32) -> Option<Self> {
        let (live, marked, in_use, mapped) = match minor {
            19 => (136, 184, 304, 344),
            20..=27 => (104, 152, 272, 312),
            _ => return None,
        };
        let (ended, paused, count) = if minor < 25 { (3592, 3600, 7704) } else { (3568, 3576, 7680) };
        Some(Self { live, marked, in_use, mapped, ended, paused, count })
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn a_version_without_a_known_layout_has_none() {
        assert!(Fields::of(18).is_none());
        assert!(Fields::of(28).is_none());
        assert!((19..=27).all(|minor| Fields::of(minor).is_some()));
    }
}
