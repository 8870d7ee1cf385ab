//! `cargo xtask ebpf`: builds the kernel objects from source.
//!
//! The objects are committed, so that a build of observer needs only stable Rust. This rebuilds them, and `--check`
//! proves that the source gives the committed objects. Two builds with one toolchain are equal byte for byte on any
//! machine. With another toolchain, only the live tests can check the source.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

mod linker;
mod manifest;
mod objects;
mod sources;
mod strip;
mod toolchain;

use manifest::{Hashes, Manifest};
use toolchain::Toolchain;

use crate::live;

/// A crate that kernel objects are built from.
pub struct EbpfCrate {
    pub package: &'static str,
    /// The folder of the source for the kernel.
    pub source: &'static str,
    /// The folder of the committed objects and their manifest.
    pub committed: &'static str,
    pub objects: &'static [&'static str],
}

impl EbpfCrate {
    const fn of(
        package: &'static str,
        source: &'static str,
        committed: &'static str,
        objects: &'static [&'static str],
    ) -> Self {
        Self { package, source, committed, objects }
    }
}

/// The objects of observer: one per domain, a second one of net for older kernels, and the benchmark's floor, which
/// observer does not embed.
pub const OBSERVER: EbpfCrate = EbpfCrate::of(
    "observer-ebpf",
    "observer-ebpf",
    "observer/objects",
    &["mem", "disk", "net", "net_older", "sites", "floor"],
);

/// Every crate with kernel objects.
const CRATES: &[EbpfCrate] = &[
    OBSERVER,
    EbpfCrate::of("observer-load-domain", "tests/load-domain/src/ebpf", "tests/load-domain", &["load_time"]),
];

/// The folder of a rebuild.
const REBUILT: &str = "target/ebpf/objects";

/// The features of `observer-ebpf` in the committed objects: none.
const EMBEDDED: &str = "";
/// The feature of objects that log on rare paths.
const LOG: &str = "log";

/// Builds the committed objects and their manifest.
///
/// # Errors
/// When no toolchain is available, the build fails, or an object contains a path of this machine.
pub fn build(root: &Path) -> Result<()> {
    let recorded = Manifest::read(&root.join(OBSERVER.committed)).ok();
    let toolchain = Toolchain::ensure(recorded.as_ref().map(|recorded| &recorded.toolchain))?;
    for built in CRATES {
        let folder = root.join(built.committed);
        let sources = sources::hash(root, built)?;
        let objects = objects::build(root, &toolchain, built, EMBEDDED, &folder)?;
        Manifest { sources, toolchain: toolchain.versions.clone(), objects }.write(&folder)?;
        println!("ebpf: written to {}", built.committed);
    }
    Ok(())
}

/// Builds objects that log on rare paths, for `observer -vv --objects FOLDER`.
///
/// # Errors
/// As for [`build`].
pub fn build_logging(root: &Path, folder: &Path) -> Result<()> {
    let recorded = Manifest::read(&root.join(OBSERVER.committed))?;
    let toolchain = Toolchain::ensure(Some(&recorded.toolchain))?;
    objects::build(root, &toolchain, &OBSERVER, LOG, folder)?;
    println!("ebpf: written to {0}: `observer -vv --objects {0}` prints their log", folder.display());
    Ok(())
}

/// Proves that the source gives the committed objects.
///
/// # Errors
/// When they differ, or cannot be compared or tested.
pub fn check(root: &Path) -> Result<()> {
    let mut other = false;
    for built in CRATES {
        let folder = root.join(built.committed);
        let committed = Manifest::read(&folder)?;
        committed.verify(&folder, built.objects)?;
        if sources::hash(root, built)? != committed.sources {
            bail!(
                "the source of {} has changed since {} was built: run `cargo xtask ebpf` and commit",
                built.package,
                built.committed
            );
        }
        match rebuild(root, built, &committed)? {
            Rebuilt::Equal => {
                println!("ebpf: {}: the source gives the committed objects, byte for byte", built.committed);
            }
            Rebuilt::OtherToolchain(toolchain) => {
                println!("ebpf: {}: NOT COMPARED BYTE FOR BYTE: built with", built.committed);
                println!("ebpf:     {}", committed.toolchain);
                println!("ebpf: and this machine has");
                println!("ebpf:     {toolchain}");
                other = true;
            }
        }
    }
    if other {
        println!("ebpf: instead, the live tests run on a rebuild with this toolchain");
        live::run(root, Some(&root.join(REBUILT)))?;
        println!("ebpf: rebuilt with another toolchain, and the live tests pass on the rebuilt objects");
    }
    Ok(())
}

/// Rebuilds the objects in another folder, and returns the folder if they differ from the committed ones, because of
/// another toolchain or changed source. The live tests must then run on them as well.
///
/// # Errors
/// When the rebuild fails.
pub fn rebuilt_if_different(root: &Path) -> Result<Option<std::path::PathBuf>> {
    let committed = Manifest::read(&root.join(OBSERVER.committed))?;
    let toolchain = Toolchain::ensure(Some(&committed.toolchain))?;
    let folder = root.join(REBUILT);
    let mut differ = false;
    for built in CRATES {
        let objects = objects::build(root, &toolchain, built, EMBEDDED, &folder)?;
        differ |= objects != Hashes::of(&root.join(built.committed), built.objects)?;
    }
    Ok(differ.then_some(folder))
}

/// The result of a rebuild from unchanged source.
enum Rebuilt {
    Equal,
    OtherToolchain(toolchain::Versions),
}

fn rebuild(root: &Path, built: &EbpfCrate, committed: &Manifest) -> Result<Rebuilt> {
    let toolchain = Toolchain::ensure(Some(&committed.toolchain))?;
    let folder = root.join(REBUILT);
    let objects = objects::build(root, &toolchain, built, EMBEDDED, &folder)?;
    if objects == committed.objects {
        return Ok(Rebuilt::Equal);
    }
    if toolchain.versions != committed.toolchain {
        return Ok(Rebuilt::OtherToolchain(toolchain.versions));
    }
    let place = root.join(built.committed);
    for name in built.objects {
        let size =
            |folder: &Path| fs::metadata(folder.join(format!("{name}.o"))).map_or(0, |found| found.len());
        if objects.of_object(name) != committed.objects.of_object(name) {
            println!("ebpf: {name}.o: committed {} bytes, rebuilt {}", size(&place), size(&folder));
        }
    }
    bail!(
        "the source does not give the committed objects with their toolchain: compare {} with {REBUILT}, or run `cargo xtask ebpf` and commit",
        built.committed
    )
}

/// Reads a file of the workspace.
fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
