//! The lockdown mode of the running kernel.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// How much the kernel restricts root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lockdown {
    #[default]
    None,
    Integrity,
    /// Rejects kprobes, tracefs, and every program that reads kernel memory by `bpf_probe_read_kernel`.
    Confidentiality,
}

impl Lockdown {
    /// From `/sys/kernel/security/lockdown`; [`Self::None`] also where securityfs is not mounted.
    pub fn read(root: &Path) -> Self {
        let text = std::fs::read_to_string(root.join("sys/kernel/security/lockdown")).unwrap_or_default();
        if text.contains("[confidentiality]") {
            Self::Confidentiality
        } else if text.contains("[integrity]") {
            Self::Integrity
        } else {
            Self::None
        }
    }
}
