//! The compiler that can build for the kernel's virtual machine, and where it is had.
//!
//! The target has no prebuilt `core`, so a compiler serves only together with the source of its own library
//! (`rust-src`): that is what is looked for, not the compiler's channel. rustup's nightly is taken where it has that
//! source or can fetch it, else Debian's packages, which bring both; `RUSTC_BOOTSTRAP` opens unstable flags to a compiler
//! of any channel. The toolchain that the committed objects were built with comes first, for with it alone a rebuild
//! can be compared byte for byte.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::linker::{self, Linker};
use crate::{packages, process};

/// Debian's compiler, its library's source and cargo, of one version and newer than the ones without `-web`.
const DEBIAN: &[&str] = &["rustc-web", "rust-web-src", "cargo-web"];

/// Everything that a build for the kernel needs.
#[derive(Debug)]
pub struct Toolchain {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    /// The folder of the library's source.
    pub library: PathBuf,
    pub linker: Linker,
    pub versions: Versions,
}

/// What decides, beside the source, every byte of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// As `rustc --version` says it, the commit and the builder included.
    pub rustc: String,
    pub rustc_llvm: String,
    pub linker: String,
    pub linker_llvm: String,
}

impl fmt::Display for Versions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, rustc_llvm, linker, linker_llvm } = self;
        write!(out, "{rustc} with LLVM {rustc_llvm}, {linker} with LLVM {linker_llvm}")
    }
}

/// A compiler with the source of its library.
#[derive(Clone, Debug)]
struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    library: PathBuf,
    version: String,
    llvm: String,
}

impl Toolchain {
    /// Finds a toolchain, or sets one up: the `recorded` one where that is possible.
    ///
    /// # Errors
    /// When none is here and none can be had, with what was tried.
    pub fn ensure(recorded: Option<&Versions>) -> Result<Self> {
        let compiler = compiler(recorded)?;
        let linker = linker::ensure(&compiler.llvm, recorded)?;
        let versions = Versions {
            rustc: compiler.version,
            rustc_llvm: compiler.llvm,
            linker: linker.version.clone(),
            linker_llvm: linker.llvm.clone(),
        };
        println!("ebpf: {versions}");
        Ok(Self { cargo: compiler.cargo, rustc: compiler.rustc, library: compiler.library, linker, versions })
    }
}

fn compiler(recorded: Option<&Versions>) -> Result<Compiler> {
    let is_recorded = |found: &Compiler| recorded.is_some_and(|recorded| recorded.rustc == found.version);
    let here = present();
    if let Some(found) = here.iter().find(|found| is_recorded(found)) {
        return Ok(found.clone());
    }
    // A distribution says in its compiler's version that it built it; what it built comes from its packages.
    let from_debian = recorded.is_some_and(|recorded| recorded.rustc.contains("built from a source tarball"));
    if from_debian {
        match debian() {
            Ok(found) => return Ok(found),
            Err(error) => {
                println!("ebpf: the recorded compiler cannot be had from Debian's packages: {error:#}")
            }
        }
    }
    if let Some(found) = here.into_iter().next() {
        return Ok(found);
    }
    let nightly = nightly();
    let Err(no_nightly) = nightly else { return nightly };
    let debian = if from_debian { Err(anyhow::anyhow!("tried above")) } else { debian() };
    debian.map_err(|no_debian| {
        anyhow::anyhow!(
            "no compiler with the source of its library: rustup: {no_nightly:#}; Debian's packages: {no_debian:#}"
        )
    })
}

/// The compilers on this machine that have their library's source, rustup's nightlies before the system's own.
fn present() -> Vec<Compiler> {
    let listed = process::output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    let nightlies = names.filter(|name| name.starts_with("nightly")).filter_map(|name| of_rustup(name).ok());
    nightlies.chain(of_system().ok()).collect()
}

fn of_rustup(name: &str) -> Result<Compiler> {
    let which = |program: &str| {
        process::output(Command::new("rustup").args(["which", "--toolchain", name, program]))
            .map(PathBuf::from)
    };
    examine(which("cargo")?, which("rustc")?)
}

fn of_system() -> Result<Compiler> {
    examine("/usr/bin/cargo".into(), "/usr/bin/rustc".into())
}

fn examine(cargo: PathBuf, rustc: PathBuf) -> Result<Compiler> {
    let sysroot = process::output(Command::new(&rustc).args(["--print", "sysroot"]))?;
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    if !library.join("core/src/lib.rs").is_file() {
        bail!("{} has no rust-src: {} is missing", rustc.display(), library.display());
    }
    if !cargo.is_file() {
        bail!("{} is missing", cargo.display());
    }
    let said = process::output(Command::new(&rustc).arg("-vV"))?;
    let version = said.lines().next().unwrap_or_default().to_owned();
    let llvm = said.lines().find_map(|line| line.strip_prefix("LLVM version: "));
    let llvm = llvm.with_context(|| format!("{} does not say its LLVM", rustc.display()))?.to_owned();
    Ok(Compiler { cargo, rustc, library, version, llvm })
}

fn nightly() -> Result<Compiler> {
    if packages::find("rustup").is_none() {
        bail!("there is no rustup here");
    }
    process::run(Command::new("rustup").args([
        "toolchain",
        "install",
        "nightly",
        "--profile",
        "minimal",
        "--component",
        "rust-src",
        "--no-self-update",
    ]))?;
    of_rustup("nightly")
}

fn debian() -> Result<Compiler> {
    packages::install(DEBIAN)?;
    of_system()
}
