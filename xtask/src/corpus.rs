//! `cargo xtask corpus`: records the corpus anew, or measures the verdicts on what is recorded.
//!
//! The work is done by the tests' `corpus`, which is linked with observer; this only prepares the machine and calls it.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    packages::{self, Need},
    process::{self, cargo},
};

/// What is to be done with the corpus.
#[derive(Args)]
pub struct Options {
    /// Measure on the recordings that are there, and record nothing
    #[arg(long)]
    eval: bool,
    /// With --eval: measure on the untouched part, too
    #[arg(long, requires = "eval")]
    untouched: bool,
}

const REASON: &str = "a program of the corpus";

/// The programs that the corpus observes.
const PROGRAMS: &[(&str, &str)] = &[
    ("beanstalkd", "beanstalkd"),
    ("bc", "bc"),
    ("dnsmasq", "dnsmasq-base"),
    ("etcd", "etcd-server"),
    ("gawk", "gawk"),
    ("git", "git"),
    ("go", "golang-go"),
    ("haproxy", "haproxy"),
    ("java", "openjdk-17-jre-headless"),
    ("javac", "openjdk-17-jdk-headless"),
    ("jq", "jq"),
    ("lighttpd", "lighttpd"),
    ("lua5.4", "lua5.4"),
    ("mawk", "mawk"),
    ("memcached", "memcached"),
    ("mosquitto", "mosquitto"),
    ("nginx", "nginx-light"),
    ("node", "nodejs"),
    ("perl", "perl"),
    ("php", "php-cli"),
    ("python3", "python3"),
    ("redis-server", "redis-server"),
    ("ruby", "ruby"),
    ("setpriv", "util-linux"),
    ("sqlite3", "sqlite3"),
    ("tclsh8.6", "tcl8.6"),
    ("tmux", "tmux"),
    ("unbound", "unbound"),
    ("varnishd", "varnish"),
    ("xz", "xz-utils"),
    ("/usr/lib/postgresql/15/bin/postgres", "postgresql-15"),
    ("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "libjemalloc2"),
    ("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2", "libmimalloc2.0"),
    ("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
];

/// Records, unless only figures are asked for, and prints the figures.
///
/// # Errors
/// When something is missing that cannot be installed, without root, or when no run lived to its end.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let corpus = |words: &[&str]| {
        let bins = ["build", "--release", "--package", "observer", "--package", "observer-tests", "--bins"];
        process::run(cargo(root).args(bins))?;
        process::run(std::process::Command::new(root.join("target/release/corpus")).args(words))
    };
    if options.eval {
        return corpus(if options.untouched { &["eval", "--untouched"] } else { &["eval"] });
    }
    if !process::is_root() {
        bail!("recording needs root; `cargo xtask corpus --eval` measures on what is recorded");
    }
    let need = |&(has, package): &(&'static str, &'static str)| Need { has, package, reason: REASON };
    packages::ensure(&PROGRAMS.iter().map(need).collect::<Vec<_>>())?;
    corpus(&["record"])?;
    corpus(&["eval", "--untouched"])
}
