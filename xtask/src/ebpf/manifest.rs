//! The manifest of the committed objects: hashes of their sources, their toolchain, and hashes of the objects.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{read, toolchain::Versions};

const NAME: &str = "manifest.toml";
const HEADER: &str = "# What these objects were built from and with: written by `cargo xtask ebpf`, compared by `--check`.\n\
                      # Hashes are SHA-256.\n";

/// The manifest of one build.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Hash of everything that the objects depend on, except the toolchain; see `sources`.
    pub sources: String,
    pub toolchain: Versions,
    pub objects: Hashes,
}

/// The hash of each object, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(BTreeMap<String, String>);

impl Manifest {
    /// Reads the manifest in `folder`.
    ///
    /// # Errors
    /// When `folder` has no manifest, or it cannot be parsed.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}: run `cargo xtask ebpf`", path.display()))?;
        toml::from_str(&text)
            .with_context(|| format!("{} is damaged: run `cargo xtask ebpf`", path.display()))
    }

    /// Writes it to `folder`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        let text = toml::to_string(self).context("the manifest")?;
        fs::write(&path, format!("{HEADER}{text}"))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Compares the objects in `folder` with it.
    ///
    /// # Errors
    /// When an object differs or cannot be read.
    pub fn verify(&self, folder: &Path, objects: &[&str]) -> Result<()> {
        let found = Hashes::of(folder, objects)?;
        for name in objects {
            if found.of_object(name) != self.objects.of_object(name) {
                bail!(
                    "{} does not match its manifest: run `cargo xtask ebpf`",
                    folder.join(format!("{name}.o")).display()
                );
            }
        }
        Ok(())
    }
}

impl Hashes {
    /// The hashes of `objects` in `folder`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn of(folder: &Path, objects: &[&str]) -> Result<Self> {
        let hash = |name: &&str| Ok(((*name).to_owned(), sha256(&read(&folder.join(format!("{name}.o")))?)));
        objects.iter().map(hash).collect::<Result<_>>().map(Self)
    }

    /// The hash of one object.
    pub fn of_object(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// SHA-256 of `bytes`, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
