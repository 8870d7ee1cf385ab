//! `cargo xtask corpus`: records the corpus again, or measures the verdicts on the recordings.
//!
//! It prepares the machine and runs the tests' program `corpus`, which links observer.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    packages::{self, Package},
    process::{self, cargo},
};

/// Options of the corpus; without any, it is recorded and measured.
#[derive(Args)]
pub struct Options {
    /// Measure the verdicts on the existing recordings, and record nothing
    #[arg(long)]
    eval: bool,
    /// With --eval: also measure on the untouched part
    #[arg(long, requires = "eval")]
    untouched: bool,
    /// Check the labels of the untouched part, with more requests than its runs get; records nothing
    #[arg(long, conflicts_with = "eval")]
    check_labels: bool,
}

const REASON: &str = "a program of the corpus";

/// The programs that the corpus observes: the program or a file, and its Debian package.
const PROGRAMS: &[(&str, &str)] = &[
    ("apache2", "apache2-bin"),
    ("as", "binutils"),
    ("aspell", "aspell"),
    ("bash", "bash"),
    ("bc", "bc"),
    ("beanstalkd", "beanstalkd"),
    ("bison", "bison"),
    ("brotli", "brotli"),
    ("busybox", "busybox-static"),
    ("bzip2", "bzip2"),
    ("c++", "g++"),
    ("caddy", "caddy"),
    ("carbon-cache", "graphite-carbon"),
    ("cc", "gcc"),
    ("collectd", "collectd-core"),
    ("column", "bsdextrautils"),
    ("convert", "imagemagick"),
    ("cpp", "cpp"),
    ("csi", "chicken-bin"),
    ("cvc5", "cvc5"),
    ("dash", "dash"),
    ("datamash", "datamash"),
    ("dc", "dc"),
    ("diff", "diffutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("dot", "graphviz"),
    ("duk", "duktape"),
    ("ecl", "ecl"),
    ("ed", "ed"),
    ("emacs", "emacs-nox"),
    ("erl", "erlang-base"),
    ("etcd", "etcd-server"),
    ("expect", "expect"),
    ("ffmpeg", "ffmpeg"),
    ("flac", "flac"),
    ("fpc", "fp-compiler"),
    ("fzf", "fzf"),
    ("gawk", "gawk"),
    ("gdb", "gdb"),
    ("gdc", "gdc"),
    ("gearmand", "gearman-job-server"),
    ("gforth", "gforth"),
    ("git", "git"),
    ("gjs", "gjs"),
    ("gnuplot", "gnuplot-nox"),
    ("go", "golang-go"),
    ("gojq", "gojq"),
    ("gp", "pari-gp"),
    ("gprolog", "gprolog"),
    ("gpsdecode", "gpsd-clients"),
    ("grep", "grep"),
    ("gs", "ghostscript"),
    ("gsi", "gambc"),
    ("gst-launch-1.0", "gstreamer1.0-tools"),
    ("guile", "guile-3.0"),
    ("haproxy", "haproxy"),
    ("hledger", "hledger"),
    ("hunspell", "hunspell"),
    ("icont", "icont"),
    ("iconx", "iconx"),
    ("influxd", "influxdb"),
    ("java", "openjdk-17-jre-headless"),
    ("javac", "openjdk-17-jdk-headless"),
    ("jq", "jq"),
    ("knotd", "knot"),
    ("ksh", "ksh"),
    ("lame", "lame"),
    ("ledger", "ledger"),
    ("lighttpd", "lighttpd"),
    ("lp_solve", "lp-solve"),
    ("lua5.4", "lua5.4"),
    ("luajit", "luajit"),
    ("m4", "m4"),
    ("mariadbd", "mariadb-server-core"),
    ("mawk", "mawk"),
    ("mbuffer", "mbuffer"),
    ("mcs", "mono-mcs"),
    ("memcached", "memcached"),
    ("minisat", "minisat"),
    ("mlr", "miller"),
    ("mono", "mono-runtime"),
    ("mosquitto", "mosquitto"),
    ("mosquitto_sub", "mosquitto-clients"),
    ("mpd", "mpd"),
    ("musl-gcc", "musl-tools"),
    ("named", "bind9"),
    ("nats-server", "nats-server"),
    ("newlisp", "newlisp"),
    ("nginx", "nginx-light"),
    ("ngircd", "ngircd"),
    ("ngspice", "ngspice"),
    ("nickle", "nickle"),
    ("nim", "nim"),
    ("node", "nodejs"),
    ("nsd", "nsd"),
    ("nvim", "neovim"),
    ("ocaml", "ocaml-interp"),
    ("octave-cli", "octave"),
    ("openssl", "openssl"),
    ("original-awk", "original-awk"),
    ("perl", "perl"),
    ("php", "php-cli"),
    ("picolisp", "picolisp"),
    ("prometheus-alertmanager", "prometheus-alertmanager"),
    ("prometheus-node-exporter", "prometheus-node-exporter"),
    ("prometheus-pushgateway", "prometheus-pushgateway"),
    ("protoc", "protobuf-compiler"),
    ("pypy3", "pypy3"),
    ("python3", "python3"),
    ("R", "r-base-core"),
    ("racket", "racket"),
    ("rapper", "raptor2-utils"),
    ("redis-server", "redis-server"),
    ("rg", "ripgrep"),
    ("rsvg-convert", "librsvg2-bin"),
    ("rsyslogd", "rsyslog"),
    ("ruby", "ruby"),
    ("sbcl", "sbcl"),
    ("screen", "screen"),
    ("setpriv", "util-linux"),
    ("socat", "socat"),
    ("sox", "sox"),
    ("sponge", "moreutils"),
    ("sqlite3", "sqlite3"),
    ("squid", "squid"),
    ("ssh-agent", "openssh-client"),
    ("swipl", "swi-prolog-nox"),
    ("syslog-ng", "syslog-ng-core"),
    ("tarantool", "tarantool"),
    ("tcc", "tcc"),
    ("tclsh8.6", "tcl8.6"),
    ("tcsh", "tcsh"),
    ("tidy", "tidy"),
    ("tinyproxy", "tinyproxy"),
    ("tmux", "tmux"),
    ("troff", "groff-base"),
    ("unbound", "unbound"),
    ("urxvt", "rxvt-unicode"),
    ("varnishd", "varnish"),
    ("vim", "vim"),
    ("w3m", "w3m"),
    ("xmllint", "libxml2-utils"),
    ("xterm", "xterm"),
    ("Xvfb", "xvfb"),
    ("xz", "xz-utils"),
    ("yash", "yash"),
    ("z3", "z3"),
    ("zsh", "zsh"),
    ("zstd", "zstd"),
    ("/usr/bin/ipython3", "ipython3"),
    ("/usr/games/stockfish", "stockfish"),
    ("/usr/include/gc.h", "libgc-dev"),
    ("/usr/lib/postgresql/15/bin/postgres", "postgresql-15"),
    ("/usr/lib/python3/dist-packages/tornado/web.py", "python3-tornado"),
    ("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "libjemalloc2"),
    ("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2", "libmimalloc2.0"),
    ("/usr/lib/x86_64-linux-gnu/libtbbmalloc_proxy.so.2", "libtbbmalloc2"),
    ("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("/usr/share/doc/ruby-webrick/copyright", "ruby-webrick"),
    ("/usr/share/fonts/X11/misc/6x13-ISO8859-1.pcf.gz", "xfonts-base"),
    ("/usr/share/hunspell/en_US.dic", "hunspell-en-us"),
    ("/usr/share/java/clojure.jar", "clojure"),
    ("/usr/share/java/h2.jar", "libh2-java"),
    ("/usr/share/java/js.jar", "rhino"),
    ("/usr/share/perl5/Mojolicious.pm", "libmojolicious-perl"),
];

/// Records, unless only figures are requested, and prints the figures.
///
/// # Errors
/// When a missing package cannot be installed, without root, or when no run reached its end.
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
        bail!("recording needs root; `cargo xtask corpus --eval` measures on the existing recordings");
    }
    let package =
        |&(provides, name): &(&'static str, &'static str)| Package { provides, name, reason: REASON };
    packages::ensure(&PROGRAMS.iter().map(package).collect::<Vec<_>>())?;
    if options.check_labels {
        return corpus(&["labels", "untouched"]);
    }
    corpus(&["record"])?;
    corpus(&["eval", "--untouched"])
}
