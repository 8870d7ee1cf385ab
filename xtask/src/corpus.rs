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
    ("apache2", "apache2-bin"),
    ("as", "binutils"),
    ("bash", "bash"),
    ("bc", "bc"),
    ("beanstalkd", "beanstalkd"),
    ("bzip2", "bzip2"),
    ("column", "bsdextrautils"),
    ("convert", "imagemagick"),
    ("dash", "dash"),
    ("dc", "dc"),
    ("dnsmasq", "dnsmasq-base"),
    ("dot", "graphviz"),
    ("ed", "ed"),
    ("emacs", "emacs-nox"),
    ("erl", "erlang-base"),
    ("etcd", "etcd-server"),
    ("ffmpeg", "ffmpeg"),
    ("gawk", "gawk"),
    ("gdb", "gdb"),
    ("git", "git"),
    ("gnuplot", "gnuplot-nox"),
    ("go", "golang-go"),
    ("gojq", "gojq"),
    ("gp", "pari-gp"),
    ("guile", "guile-3.0"),
    ("haproxy", "haproxy"),
    ("influxd", "influxdb"),
    ("java", "openjdk-17-jre-headless"),
    ("javac", "openjdk-17-jdk-headless"),
    ("jq", "jq"),
    ("lighttpd", "lighttpd"),
    ("lua5.4", "lua5.4"),
    ("luajit", "luajit"),
    ("m4", "m4"),
    ("mariadbd", "mariadb-server-core"),
    ("mawk", "mawk"),
    ("memcached", "memcached"),
    ("mlr", "miller"),
    ("mosquitto", "mosquitto"),
    ("named", "bind9"),
    ("nats-server", "nats-server"),
    ("nginx", "nginx-light"),
    ("node", "nodejs"),
    ("perl", "perl"),
    ("php", "php-cli"),
    ("prometheus-node-exporter", "prometheus-node-exporter"),
    ("prometheus-pushgateway", "prometheus-pushgateway"),
    ("pypy3", "pypy3"),
    ("python3", "python3"),
    ("R", "r-base-core"),
    ("redis-server", "redis-server"),
    ("rsyslogd", "rsyslog"),
    ("ruby", "ruby"),
    ("sbcl", "sbcl"),
    ("screen", "screen"),
    ("setpriv", "util-linux"),
    ("sqlite3", "sqlite3"),
    ("squid", "squid"),
    ("ssh-agent", "openssh-client"),
    ("swipl", "swi-prolog-nox"),
    ("tarantool", "tarantool"),
    ("tclsh8.6", "tcl8.6"),
    ("tmux", "tmux"),
    ("unbound", "unbound"),
    ("varnishd", "varnish"),
    ("vim", "vim"),
    ("xz", "xz-utils"),
    ("zsh", "zsh"),
    ("zstd", "zstd"),
    ("/usr/lib/postgresql/15/bin/postgres", "postgresql-15"),
    ("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "libjemalloc2"),
    ("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2", "libmimalloc2.0"),
    ("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("/usr/share/java/h2.jar", "libh2-java"),
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
