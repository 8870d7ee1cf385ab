//! `cargo xtask ebpf`: the kernel objects, from source.
//!
//! The objects are committed, so that building observer needs stable Rust alone; this rebuilds them, and `--check`
//! proves that what is committed is what the source gives. Two builds with one toolchain are equal byte for byte,
//! wherever they happen; under another toolchain only the live tests can tell whether the source is good.

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

/// The kernel objects: one a domain, another of net for older kernels, and the floor that the benchmark compares them with, which observer does not carry.
pub const OBJECTS: &[&str] = &["mem", "disk", "net", "net_older", "floor"];

/// Where the committed objects are, and where a rebuild that must not touch them goes.
const COMMITTED: &str = "observer/objects";
const REBUILT: &str = "target/ebpf/objects";

/// The features of `observer-ebpf` that the committed objects are built with: none.
const EMBEDDED: &str = "";
/// That of objects whose rare paths log.
const LOG: &str = "log";

/// Builds the objects into the place where they are committed, and writes down what they were built from and with.
///
/// # Errors
/// When the toolchain cannot be had, the source does not build, or an object holds a path of this machine.
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

/// Builds objects whose rare paths say where they were taken, for `observer -vv --objects FOLDER`.
///
/// # Errors
/// As for [`build`].
pub fn build_logging(root: &Path, folder: &Path) -> Result<()> {
    let recorded = Manifest::read(&root.join(COMMITTED))?;
    let toolchain = Toolchain::ensure(Some(&recorded.toolchain))?;
    objects::build(root, &toolchain, LOG, folder)?;
    println!("ebpf: written to {0}: `observer -vv --objects {0}` prints what they log", folder.display());
    Ok(())
}

/// Proves that the committed objects are what the source gives.
///
/// # Errors
/// When they are not, and when it cannot be proved.
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
        Rebuilt::Equal => println!("ebpf: the committed objects are what the source gives, byte for byte"),
        Rebuilt::OtherToolchain(toolchain) => {
            println!("ebpf: NOT COMPARED BYTE FOR BYTE: the committed objects were built with");
            println!("ebpf:     {}", committed.toolchain);
            println!("ebpf: and here is");
            println!("ebpf:     {toolchain}");
            println!("ebpf: instead the live tests run on what this toolchain makes of the source");
            live::run(root, Some(&root.join(REBUILT)))?;
            println!("ebpf: rebuilt with another toolchain, and the live tests pass on what was built");
        }
    }
    Ok(())
}

/// Rebuilds the objects beside the committed ones.
///
/// Gives the folder that they are in where the live tests must run on them too: where they differ, because of another
/// toolchain or because the source changed.
///
/// # Errors
/// When they cannot be rebuilt.
pub fn rebuilt_if_different(root: &Path) -> Result<Option<std::path::PathBuf>> {
    let committed = Manifest::read(&root.join(COMMITTED))?;
    let toolchain = Toolchain::ensure(Some(&committed.toolchain))?;
    let folder = root.join(REBUILT);
    let objects = objects::build(root, &toolchain, EMBEDDED, &folder)?;
    Ok((objects != Hashes::of(&root.join(COMMITTED))?).then_some(folder))
}

/// What a rebuild from unchanged source came to.
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
        "the committed objects are not what the source gives under the toolchain that they were built with: compare {COMMITTED} with {REBUILT}, or run `cargo xtask ebpf` and commit"
    )
}

/// Reads a file of the workspace.
fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
