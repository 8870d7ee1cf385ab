//! The lockdown mode of the running kernel.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// How far the kernel distrusts root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lockdown {
    #[default]
    None,
    Integrity,
    /// Refuses kprobes, tracefs, and every program that probes kernel memory.
    Confidentiality,
}

impl Lockdown {
    /// As `/sys/kernel/security/lockdown` says it; none where securityfs is not mounted, which cannot be told apart.
    #[must_use]
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
