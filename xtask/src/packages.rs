//! Packages that the project's commands need, with reasons, and their installation.
//!
//! The names are Debian's. On other systems it reports the missing programs and installs nothing.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::process;

/// A Debian package that one of the commands needs.
pub struct Package {
    /// The needed program, looked for in PATH, or the full path of a file.
    pub provides: &'static str,
    /// The package's name.
    pub name: &'static str,
    /// Why it is needed.
    pub reason: &'static str,
}

/// Packages for the tests, in addition to Rust and to every Debian's base. Workloads create namespaces, sockets and
/// files by system calls, without tools.
pub const TESTS: &[Package] = &[
    Package {
        provides: "cc",
        name: "gcc",
        reason: "links Rust, and builds the C workload without frame pointers",
    },
    Package { provides: "/usr/include/stdio.h", name: "libc6-dev", reason: "the C library, which both link" },
    Package { provides: "python3", name: "python3", reason: "the workload that allocates as Python does" },
    Package { provides: "javac", name: "openjdk-17-jdk-headless", reason: "the workload with a JVM's heap" },
    Package { provides: "go", name: "golang-go", reason: "the workload with Go's heap" },
    Package { provides: "mkfs.ext4", name: "e2fsprogs", reason: "filesystems for tests, in files" },
    Package { provides: "mkfs.xfs", name: "xfsprogs", reason: "the same for xfs" },
    Package { provides: "mkfs.btrfs", name: "btrfs-progs", reason: "the same for btrfs" },
];

/// Packages for the kernel matrix, which boots stock kernels under software emulation.
pub const EMULATION: &[Package] = &[
    Package { provides: "qemu-system-x86_64", name: "qemu-system-x86", reason: "the emulated machine" },
    Package {
        provides: "/bin/busybox",
        name: "busybox-static",
        reason: "the guest's shell, statically linked",
    },
    Package {
        provides: "mkfs.ext4",
        name: "e2fsprogs",
        reason: "the guest's disk, with the binaries under test",
    },
    Package { provides: "dpkg-deb", name: "dpkg", reason: "unpacks kernels without installing them" },
    Package { provides: "xz", name: "xz-utils", reason: "unpacks modules" },
    Package { provides: "zstd", name: "zstd", reason: "unpacks modules" },
    Package { provides: "ldd", name: "libc-bin", reason: "lists the libraries that the guest needs" },
    Package { provides: "ip", name: "iproute2", reason: "network namespaces and veth pairs in the guest" },
    Package {
        provides: "setpriv",
        name: "util-linux",
        reason: "runs observer with few capabilities in the guest",
    },
];

/// Packages for the benchmark: loads, and tools to compare with. Debian has no bandwhich, so cargo builds it.
pub const PEERS: &[Package] = &[
    Package { provides: "cc", name: "gcc", reason: "builds the minimal scanner of /proc" },
    Package { provides: "redis-server", name: "redis-server", reason: "a load" },
    Package { provides: "redis-benchmark", name: "redis-tools", reason: "a load" },
    Package { provides: "nginx", name: "nginx-light", reason: "a load" },
    Package { provides: "wrk", name: "wrk", reason: "the load on nginx" },
    Package { provides: "iperf3", name: "iperf3", reason: "a load" },
    Package { provides: "ip", name: "iproute2", reason: "network namespaces, and ss to compare with" },
    Package { provides: "lsof", name: "lsof", reason: "compared with disk" },
    Package { provides: "lsfd", name: "util-linux-extra", reason: "compared with disk" },
    Package { provides: "top", name: "procps", reason: "compared with mem, as is ps" },
    Package { provides: "pidstat", name: "sysstat", reason: "compared with mem" },
    Package { provides: "nethogs", name: "nethogs", reason: "compared with net" },
    Package { provides: "iftop", name: "iftop", reason: "compared with net" },
    Package { provides: "bpftrace", name: "bpftrace", reason: "counts the same events" },
];

/// Packages of bcc's tools, which are copied to a guest and measured there.
pub const BCC: &[Package] = &[
    Package { provides: "memleak-bpfcc", name: "bpfcc-tools", reason: "memleak, filetop and tcptop" },
    Package {
        provides: "/usr/lib/python3/dist-packages/bcc",
        name: "python3-bpfcc",
        reason: "their Python library",
    },
];

/// Packages for the guard against regressions.
pub const GUARD: &[Package] =
    &[Package { provides: "valgrind", name: "valgrind", reason: "counts instructions (callgrind)" }];

/// Packages for a build of bpf-linker against Debian's LLVM, in addition to that LLVM.
pub const LINKER: &[Package] = &[
    Package { provides: "cc", name: "gcc", reason: "links bpf-linker" },
    Package { provides: "/usr/include/zlib.h", name: "zlib1g-dev", reason: "LLVM links it" },
    Package { provides: "/usr/include/zstd.h", name: "libzstd-dev", reason: "LLVM links it" },
    Package { provides: "/usr/include/libxml2", name: "libxml2-dev", reason: "LLVM links it" },
];

/// Installs the missing packages.
///
/// # Errors
/// When a missing package cannot be installed: without root, without apt-get, or when apt-get fails.
pub fn ensure(packages: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = packages.iter().filter(|package| !is_installed(package.provides)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        println!("missing: {} (package {}): {}", package.provides, package.name, package.reason);
    }
    let mut names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    names.sort_unstable();
    names.dedup();
    install(&names)?;
    match missing.iter().find(|package| !is_installed(package.provides)) {
        None => Ok(()),
        Some(package) => {
            bail!("{} is still missing after package {} was installed", package.provides, package.name)
        }
    }
}

/// Installs packages by name, even if they are installed already.
///
/// # Errors
/// Without root, without apt-get, or when apt-get fails.
pub fn install(packages: &[&str]) -> Result<()> {
    if find("apt-get").is_none() {
        bail!(
            "this system has no apt-get: install the equivalents of the Debian packages {}",
            packages.join(" ")
        );
    }
    if !process::is_root() {
        bail!("installing needs root: apt-get install {}", packages.join(" "));
    }
    // A fresh machine has no package lists. Old lists name versions that a mirror no longer has, so a failure is
    // retried.
    if !is_known(packages) {
        process::run(apt_get().arg("update"))?;
    }
    if process::run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages)).is_ok() {
        return Ok(());
    }
    process::run(apt_get().arg("update"))?;
    process::run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages))
}

/// Whether apt's package lists contain all of these packages.
pub fn is_known(packages: &[&str]) -> bool {
    packages.iter().all(|package| {
        process::output(Command::new("apt-cache").args(["show", "--no-all-versions", package]))
            .is_ok_and(|shown| shown.starts_with("Package:"))
    })
}

/// Refreshes apt's package lists, if apt exists and this is root.
pub fn refresh() {
    if find("apt-get").is_some() && process::is_root() {
        let _ = process::run(apt_get().arg("update"));
    }
}

/// The path of a program in PATH, or in the folders that only root's PATH contains.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Whether the program or file exists.
fn is_installed(provided: &str) -> bool {
    if provided.starts_with('/') { Path::new(provided).exists() } else { find(provided).is_some() }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // No one can answer a question, and a package must not start its service.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").args([
        "-q",
        "-o",
        "Dpkg::Use-Pty=0",
    ]);
    command
}
