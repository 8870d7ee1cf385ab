//! What the project's commands need of the machine, each with its reason, and how it is had.
//!
//! Knows Debian's names. On another system it says which program is missing and leaves the installing to its owner.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::process;

/// A program or file that something here needs.
pub struct Need {
    /// A program looked for in PATH, or a file by its full path.
    pub has: &'static str,
    /// The Debian package that brings it.
    pub package: &'static str,
    pub reason: &'static str,
}

/// What the tests need beside Rust and what every Debian has. Workloads make their namespaces, sockets and files
/// themselves, by system calls: a machine needs no tools for them.
pub const TESTS: &[Need] = &[
    Need {
        has: "cc",
        package: "gcc",
        reason: "links Rust, and builds the C workload without frame pointers",
    },
    Need {
        has: "/usr/include/stdio.h",
        package: "libc6-dev",
        reason: "the C library that both are linked with",
    },
    Need { has: "python3", package: "python3", reason: "the workload that allocates as Python does" },
    Need { has: "javac", package: "openjdk-17-jdk-headless", reason: "the workload with a JVM's heap" },
    Need { has: "go", package: "golang-go", reason: "the workload with Go's heap" },
    Need { has: "mkfs.ext4", package: "e2fsprogs", reason: "filesystems of the tests' own, in files" },
    Need { has: "mkfs.xfs", package: "xfsprogs", reason: "the same for xfs" },
    Need { has: "mkfs.btrfs", package: "btrfs-progs", reason: "the same for btrfs" },
];

/// What the kernel matrix needs: stock kernels are booted under software emulation.
pub const EMULATION: &[Need] = &[
    Need {
        has: "qemu-system-x86_64",
        package: "qemu-system-x86",
        reason: "the machine that the kernels run on",
    },
    Need { has: "/bin/busybox", package: "busybox-static", reason: "the guest's shell, without libraries" },
    Need { has: "mkfs.ext4", package: "e2fsprogs", reason: "the guest's disk, with the binaries under test" },
    Need { has: "dpkg-deb", package: "dpkg", reason: "unpacks kernels without installing them" },
    Need { has: "xz", package: "xz-utils", reason: "unpacks modules" },
    Need { has: "zstd", package: "zstd", reason: "unpacks modules" },
    Need { has: "ldd", package: "libc-bin", reason: "names the libraries that the guest needs" },
    Need { has: "ip", package: "iproute2", reason: "network namespaces and veth pairs in the guest" },
    Need {
        has: "setpriv",
        package: "util-linux",
        reason: "runs observer with few capabilities in the guest",
    },
];

/// What the benchmark needs: loads, and what people use where they do not use observer. bandwhich is no package of
/// Debian's and is built by cargo.
pub const PEERS: &[Need] = &[
    Need { has: "cc", package: "gcc", reason: "builds the minimal scanner of /proc" },
    Need { has: "redis-server", package: "redis-server", reason: "a load" },
    Need { has: "redis-benchmark", package: "redis-tools", reason: "a load" },
    Need { has: "nginx", package: "nginx-light", reason: "a load" },
    Need { has: "wrk", package: "wrk", reason: "the load on nginx" },
    Need { has: "iperf3", package: "iperf3", reason: "a load" },
    Need { has: "ip", package: "iproute2", reason: "network namespaces, and the peer ss" },
    Need { has: "lsof", package: "lsof", reason: "a peer of disk" },
    Need { has: "lsfd", package: "util-linux-extra", reason: "a peer of disk" },
    Need { has: "top", package: "procps", reason: "a peer of mem, as is ps" },
    Need { has: "pidstat", package: "sysstat", reason: "a peer of mem" },
    Need { has: "nethogs", package: "nethogs", reason: "a peer of net" },
    Need { has: "iftop", package: "iftop", reason: "a peer of net" },
    Need { has: "bpftrace", package: "bpftrace", reason: "a peer that counts the same events" },
];

/// What the peers need that are measured in a guest: they are here to be copied there.
pub const BCC: &[Need] = &[
    Need { has: "memleak-bpfcc", package: "bpfcc-tools", reason: "memleak, filetop and tcptop" },
    Need {
        has: "/usr/lib/python3/dist-packages/bcc",
        package: "python3-bpfcc",
        reason: "what they are written in",
    },
];

/// What the guard against regressions needs.
pub const GUARD: &[Need] =
    &[Need { has: "valgrind", package: "valgrind", reason: "counts instructions (callgrind)" }];

/// What a build of bpf-linker against Debian's LLVM needs beside that LLVM.
pub const LINKER: &[Need] = &[
    Need { has: "cc", package: "gcc", reason: "links bpf-linker" },
    Need { has: "/usr/include/zlib.h", package: "zlib1g-dev", reason: "LLVM is linked with it" },
    Need { has: "/usr/include/zstd.h", package: "libzstd-dev", reason: "LLVM is linked with it" },
    Need { has: "/usr/include/libxml2", package: "libxml2-dev", reason: "LLVM is linked with it" },
];

/// Installs the packages of what is missing.
///
/// # Errors
/// Where something is missing that cannot be installed: without root, without apt-get, or when apt-get fails.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !is_here(need.has)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} (package {}): {}", need.has, need.package, need.reason);
    }
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    install(&packages)?;
    match missing.iter().find(|need| !is_here(need.has)) {
        None => Ok(()),
        Some(need) => bail!("{} is still missing after package {} was installed", need.has, need.package),
    }
}

/// Installs packages by name, whether or not they are there already.
///
/// # Errors
/// Without root, without apt-get, or when apt-get fails.
pub fn install(packages: &[&str]) -> Result<()> {
    if find("apt-get").is_none() {
        bail!("there is no apt-get here: install what Debian calls {} by hand", packages.join(" "));
    }
    if !process::is_root() {
        bail!("only root can install them: apt-get install {}", packages.join(" "));
    }
    // A fresh machine or container has no lists. Old lists name versions that a mirror no longer holds: then once more.
    if !is_known(packages) {
        process::run(apt_get().arg("update"))?;
    }
    if process::run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages)).is_ok() {
        return Ok(());
    }
    process::run(apt_get().arg("update"))?;
    process::run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages))
}

/// Whether apt's present lists know every one of these packages.
pub fn is_known(packages: &[&str]) -> bool {
    packages.iter().all(|package| {
        process::output(Command::new("apt-cache").args(["show", "--no-all-versions", package]))
            .is_ok_and(|shown| shown.starts_with("Package:"))
    })
}

/// Refreshes apt's lists; without apt or root there is nothing to refresh.
pub fn refresh() {
    if find("apt-get").is_some() && process::is_root() {
        let _ = process::run(apt_get().arg("update"));
    }
}

/// Where a program is in PATH, or in the folders that only root's PATH has.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn is_here(has: &str) -> bool {
    if has.starts_with('/') { Path::new(has).exists() } else { find(has).is_some() }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // Nobody is there to answer a question, and a package that is to be tried in a test must not start its service.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").args([
        "-q",
        "-o",
        "Dpkg::Use-Pty=0",
    ]);
    command
}
