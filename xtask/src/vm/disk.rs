//! The guest's disk: an ext4 image with the binaries under test, what they are linked with, and a shell.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{packages, process};

/// Where the binaries are in the guest, laid out as in a build's folder: tests look for them beside themselves.
pub const BUILD: &str = "/observer/debug";

/// The folder of the binaries on this machine.
pub struct Binaries {
    pub observer: PathBuf,
    /// Where the live tests are to run.
    pub tests: Option<Tests>,
}

/// The live tests' binaries.
pub struct Tests {
    pub workload: PathBuf,
    pub live: PathBuf,
}

impl Binaries {
    /// Each with where it is in the guest.
    pub fn programs(self) -> More {
        let mut programs = vec![(self.observer, Path::new(BUILD).join("observer"))];
        if let Some(tests) = self.tests {
            programs.push((tests.workload, Path::new(BUILD).join("workload")));
            programs.push((tests.live, Path::new(BUILD).join("deps/live")));
        }
        More { programs, trees: Vec::new() }
    }
}

/// What is on the disk beside tools.
#[derive(Default)]
pub struct More {
    /// Files of this machine, with the libraries that they are linked with, and where each is in the guest.
    pub programs: Vec<(PathBuf, PathBuf)>,
    /// Folders with everything in them.
    pub trees: Vec<(PathBuf, PathBuf)>,
}

/// The field's own tools that tests ask, where this machine has them. A test whose tool is missing says so.
const TOOLS: &[&str] = &[
    "bash",
    "ip",
    "ss",
    "tc",
    "losetup",
    "mkfs.ext4",
    "mkfs.xfs",
    "mkfs.btrfs",
    "setpriv",
    "unshare",
    "ps",
    "lsof",
];

/// A disk is mostly a hole: it takes on this machine what is written in it.
const SIZE: &str = "2G";

/// What runs as the first process: brings up what a distribution would, does the steps, and ends the machine.
const INIT: &str = include_str!("guest/init.sh");

/// Makes the image `image`.
///
/// # Errors
/// When a file is missing or mkfs.ext4 fails.
pub fn make(image: &Path, more: &More) -> Result<()> {
    let root = image.with_extension("root");
    let _ = fs::remove_dir_all(&root);
    for folder in
        ["bin", "sbin", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "run", "tmp", "root", "var/cache"]
    {
        fs::create_dir_all(root.join(folder)).context("laying out the guest's disk")?;
    }
    copy(&root, Path::new("/bin/busybox"), Path::new("/bin/busybox"))?;
    for (from, inside) in &more.trees {
        let to = root.join(inside.strip_prefix("/").unwrap_or(inside));
        fs::create_dir_all(&to).with_context(|| format!("making {}", to.display()))?;
        process::output(Command::new("cp").arg("--archive").arg(from.join(".")).arg(&to))?;
    }
    for (from, inside) in &more.programs {
        copy(&root, from, inside)?;
    }
    for tool in TOOLS {
        if let Some(path) = packages::find(tool) {
            copy(&root, &path, &path)?;
        }
    }
    write(&root, "init", INIT)?;
    write(&root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")?;
    write(&root, "etc/group", "root:x:0:\nnogroup:x:65534:\n")?;
    write(&root, "etc/hosts", "127.0.0.1 localhost guest\n::1 localhost\n")?;
    let _ = fs::remove_file(image);
    let mkfs = packages::find("mkfs.ext4").context("mkfs.ext4 is not here")?;
    process::output(Command::new(mkfs).args(["-q", "-d"]).arg(&root).arg(image).arg(SIZE))?;
    fs::remove_dir_all(&root).context("removing what the disk was made of")
}

/// Copies a program to `inside` the guest, with the libraries that it is linked with.
fn copy(root: &Path, from: &Path, inside: &Path) -> Result<()> {
    place(root, from, inside)?;
    // A static program has none, and ldd fails on it.
    let libraries = process::output(Command::new("ldd").arg(from)).unwrap_or_default();
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        place(root, Path::new(library), Path::new(library))?;
    }
    Ok(())
}

fn place(root: &Path, from: &Path, inside: &Path) -> Result<()> {
    let to = root.join(inside.strip_prefix("/").unwrap_or(inside));
    if to.exists() {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    // A link is followed: what it points to may be left out.
    fs::copy(from, &to).map(drop).with_context(|| format!("copying {} to the guest", from.display()))
}

fn write(root: &Path, name: &str, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = root.join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("making it runnable")
}
