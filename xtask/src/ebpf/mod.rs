//! `cargo xtask ebpf`: builds the kernel objects from source.
//!
//! The objects are committed, so that a build of observer needs only stable Rust. This rebuilds them, and `--check` proves
//! that the source gives the committed objects. Two builds with one toolchain are equal byte for byte on any machine. With
//! another toolchain, only the live tests can check the source.

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

/// The kernel objects: one per domain, a second one of net for older kernels, and the benchmark's floor, which observer does
/// not embed.
pub const OBJECTS: &[&str] = &["mem", "disk", "net", "net_older", "floor"];

/// The folder of the committed objects, and the folder of a rebuild.
const COMMITTED: &str = "observer/objects";
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
    let folder = root.join(COMMITTED);
    let recorded = Manifest::read(&folder).ok();
    let toolchain = Toolchain::ensure(recorded.as_ref().map(|recorded| &recorded.toolchain))?;
    let sources = sources::hash(root)?;
    let objects = objects::build(root, &toolchain, EMBEDDED, &folder)?;
    Manifest { sources, toolchain: toolchain.versions, objects }.write(&folder)?;
    println!("ebpf: written to {COMMITTED}");
    Ok(())
}

/// Builds objects that log on rare paths, for `observer -vv --objects FOLDER`.
///
/// # Errors
/// As for [`build`].
pub fn build_logging(root: &Path, folder: &Path) -> Result<()> {
    let recorded = Manifest::read(&root.join(COMMITTED))?;
    let toolchain = Toolchain::ensure(Some(&recorded.toolchain))?;
    objects::build(root, &toolchain, LOG, folder)?;
    println!("ebpf: written to {0}: `observer -vv --objects {0}` prints their log", folder.display());
    Ok(())
}

/// Proves that the source gives the committed objects.
///
/// # Errors
/// When they differ, or cannot be compared or tested.
pub fn check(root: &Path) -> Result<()> {
    let committed = Manifest::read(&root.join(COMMITTED))?;
    committed.verify(&root.join(COMMITTED))?;
    let sources = sources::hash(root)?;
    if sources != committed.sources {
        bail!(
            "the kernel side's source has changed since {COMMITTED} was built: run `cargo xtask ebpf` and commit"
        );
    }
    match rebuild(root, &committed)? {
        Rebuilt::Equal => println!("ebpf: the source gives the committed objects, byte for byte"),
        Rebuilt::OtherToolchain(toolchain) => {
            println!("ebpf: NOT COMPARED BYTE FOR BYTE: the committed objects were built with");
            println!("ebpf:     {}", committed.toolchain);
            println!("ebpf: and this machine has");
            println!("ebpf:     {toolchain}");
            println!("ebpf: instead, the live tests run on a rebuild with this toolchain");
            live::run(root, Some(&root.join(REBUILT)))?;
            println!("ebpf: rebuilt with another toolchain, and the live tests pass on the rebuilt objects");
        }
    }
    Ok(())
}

/// Rebuilds the objects in another folder, and returns the folder if they differ from the committed ones, because of another
/// toolchain or changed source. The live tests must then run on them as well.
///
/// # Errors
/// When the rebuild fails.
pub fn rebuilt_if_different(root: &Path) -> Result<Option<std::path::PathBuf>> {
    let committed = Manifest::read(&root.join(COMMITTED))?;
    let toolchain = Toolchain::ensure(Some(&committed.toolchain))?;
    let folder = root.join(REBUILT);
    let objects = objects::build(root, &toolchain, EMBEDDED, &folder)?;
    Ok((objects != Hashes::of(&root.join(COMMITTED))?).then_some(folder))
}

/// The result of a rebuild from unchanged source.
enum Rebuilt {
    Equal,
    OtherToolchain(toolchain::Versions),
}

fn rebuild(root: &Path, committed: &Manifest) -> Result<Rebuilt> {
    let toolchain = Toolchain::ensure(Some(&committed.toolchain))?;
    let folder = root.join(REBUILT);
    let objects = objects::build(root, &toolchain, EMBEDDED, &folder)?;
    if objects == committed.objects {
        return Ok(Rebuilt::Equal);
    }
    if toolchain.versions != committed.toolchain {
        return Ok(Rebuilt::OtherToolchain(toolchain.versions));
    }
    for name in OBJECTS {
        let size =
            |folder: &Path| fs::metadata(folder.join(format!("{name}.o"))).map_or(0, |found| found.len());
        if objects.of_object(name) != committed.objects.of_object(name) {
            println!(
                "ebpf: {name}.o: committed {} bytes, rebuilt {}",
                size(&root.join(COMMITTED)),
                size(&folder)
            );
        }
    }
    bail!(
        "the source does not give the committed objects with their toolchain: compare {COMMITTED} with {REBUILT}, or run `cargo xtask ebpf` and commit"
    )
}

/// Reads a file of the workspace.
fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
