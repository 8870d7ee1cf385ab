//! What the committed objects were built from and with, and what they are: written beside them.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{OBJECTS, read, toolchain::Versions};

const NAME: &str = "manifest.toml";
const HEADER: &str = "# What these objects were built from and with: written by `cargo xtask ebpf`, compared by `--check`.\n\
                      # Hashes are SHA-256.\n";

/// The record of one build.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Hash of everything that the objects depend on beside the toolchain; see `sources`.
    pub sources: String,
    pub toolchain: Versions,
    pub objects: Hashes,
}

/// The hash of each object, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(BTreeMap<String, String>);

impl Manifest {
    /// # Errors
    /// When there is none in `folder`, or it is not of this form.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}: run `cargo xtask ebpf`", path.display()))?;
        toml::from_str(&text)
            .with_context(|| format!("{} is damaged: run `cargo xtask ebpf`", path.display()))
    }

    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        let text = toml::to_string(self).context("the manifest")?;
        fs::write(&path, format!("{HEADER}{text}"))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// # Errors
    /// When the objects in `folder` are not those that this describes.
    pub fn verify(&self, folder: &Path) -> Result<()> {
        let found = Hashes::of(folder)?;
        for name in OBJECTS {
            if found.of_object(name) != self.objects.of_object(name) {
                bail!(
                    "{} is not what its manifest says: run `cargo xtask ebpf`",
                    folder.join(format!("{name}.o")).display()
                );
            }
        }
        Ok(())
    }
}

impl Hashes {
    /// Of the objects in `folder`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn of(folder: &Path) -> Result<Self> {
        let hash = |name: &&str| Ok(((*name).to_owned(), sha256(&read(&folder.join(format!("{name}.o")))?)));
        OBJECTS.iter().map(hash).collect::<Result<_>>().map(Self)
    }

    pub fn of_object(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The hash of `bytes`, as hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
