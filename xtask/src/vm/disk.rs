//! The guest's disk: an ext4 image with the tested binaries, their libraries, and a shell.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{packages, process};

/// The folder of the binaries in the guest, laid out like a target folder, because tests expect them beside themselves.
pub const BUILD: &str = "/observer/debug";

/// The binaries on this machine.
pub struct Binaries {
    pub observer: PathBuf,
    /// `None` if no live tests run.
    pub tests: Option<Tests>,
}

/// The live tests' binaries.
pub struct Tests {
    pub workload: PathBuf,
    pub live: PathBuf,
}

impl Binaries {
    /// Each binary with its path in the guest.
    pub fn programs(self) -> Additions {
        let mut programs = vec![(self.observer, Path::new(BUILD).join("observer"))];
        if let Some(tests) = self.tests {
            programs.push((tests.workload, Path::new(BUILD).join("workload")));
            programs.push((tests.live, Path::new(BUILD).join("deps/live")));
        }
        Additions { programs, trees: Vec::new() }
    }
}

/// Files on the disk in addition to the tools.
#[derive(Default)]
pub struct Additions {
    /// Programs of this machine, with their paths in the guest; their libraries are copied as well.
    pub programs: Vec<(PathBuf, PathBuf)>,
    /// Whole folders of this machine, with their paths in the guest.
    pub trees: Vec<(PathBuf, PathBuf)>,
}

/// Tools that tests run, if this machine has them. A test without its tool reports that.
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

/// The disk's size. The image is sparse, so it needs less on this machine.
const SIZE: &str = "2G";

/// The first process: sets up what a distribution would, runs the steps, and powers off.
const INIT: &str = include_str!("guest/init.sh");

/// Creates the disk image `image`.
///
/// # Errors
/// When a file is missing or mkfs.ext4 fails.
pub fn make(image: &Path, additions: &Additions) -> Result<()> {
    let root = image.with_extension("root");
    let _ = fs::remove_dir_all(&root);
    for folder in
        ["bin", "sbin", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "run", "tmp", "root", "var/cache"]
    {
        fs::create_dir_all(root.join(folder)).context("creating the guest's folders")?;
    }
    copy(&root, Path::new("/bin/busybox"), Path::new("/bin/busybox"))?;
    for (from, inside) in &additions.trees {
        let to = root.join(inside.strip_prefix("/").unwrap_or(inside));
        fs::create_dir_all(&to).with_context(|| format!("making {}", to.display()))?;
        process::output(Command::new("cp").arg("--archive").arg(from.join(".")).arg(&to))?;
    }
    for (from, inside) in &additions.programs {
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
    let mkfs = packages::find("mkfs.ext4").context("mkfs.ext4 is not installed")?;
    process::output(Command::new(mkfs).args(["-q", "-d"]).arg(&root).arg(image).arg(SIZE))?;
    fs::remove_dir_all(&root).context("removing the disk's source folder")
}

/// Copies a program to the path `inside` the guest, with its libraries.
fn copy(root: &Path, from: &Path, inside: &Path) -> Result<()> {
    copy_file(root, from, inside)?;
    // ldd fails on a static program, which has no libraries.
    let libraries = process::output(Command::new("ldd").arg(from)).unwrap_or_default();
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        copy_file(root, Path::new(library), Path::new(library))?;
    }
    Ok(())
}

fn copy_file(root: &Path, from: &Path, inside: &Path) -> Result<()> {
    let to = root.join(inside.strip_prefix("/").unwrap_or(inside));
    if to.exists() {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    // A link is followed, because its target may not be on the disk.
    fs::copy(from, &to).map(drop).with_context(|| format!("copying {} to the guest", from.display()))
}

fn write(root: &Path, name: &str, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = root.join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("making it executable")
}
