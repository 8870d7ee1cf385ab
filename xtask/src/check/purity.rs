//! The part between facts and reports sees no clock, no file and no kernel; everything of that kind is an argument.

use super::{
    Finding, layering,
    mentions::Kind,
    modules::{Named, Tree},
};

/// Crates that touch nothing outside the program. One that is missing here must not be named in the pure part.
const PURE_CRATES: &[&str] = &[
    "observer_common",
    "hashbrown",
    "serde",
    "serde_json",
    "smallvec",
    "postcard",
    "regex",
    "triomphe",
    "unicode_width",
];

/// What `std::net` holds beside sockets: plain values.
const ADDRESSES: &[&str] =
    &["AddrParseError", "IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6"];

const WRITING_MACROS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

/// Methods without arguments, of paths and addresses, that ask the system.
const ASKING_METHODS: &[&str] =
    &["canonicalize", "exists", "read_dir", "read_link", "symlink_metadata", "to_socket_addrs", "try_exists"];

/// Every mention in the pure part, outside its tests, that reaches for the world.
pub fn judge(tree: &Tree, dependencies: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for named in tree.mentions.iter().filter(|named| !named.mention.test) {
        let Some(layer) = named.module.first().filter(|name| layering::is_pure(name)) else { continue };
        if let Some(what) = reach(tree, named, dependencies) {
            let text = format!("`{layer}` sees no clock, no file and no kernel, but names {what}");
            findings.push(Finding { file: named.file.clone(), line: named.mention.line, text });
        }
    }
    findings
}

/// What of the world a mention reaches for; `None` where it is innocent.
fn reach(tree: &Tree, named: &Named, dependencies: &[String]) -> Option<String> {
    let mention = &named.mention;
    let name = mention.segments.last()?;
    match &mention.kind {
        Kind::Construct => return Some(format!("`{name}`")),
        Kind::Method => {
            return ASKING_METHODS
                .contains(&name.as_str())
                .then(|| format!("`.{name}()`, which asks the system"));
        }
        Kind::Macro if WRITING_MACROS.contains(&name.as_str()) => {
            return Some(format!("`{name}!`, which writes"));
        }
        Kind::Macro if name == "include" => {
            return Some("`include!`, which hides what it includes".to_owned());
        }
        _ => {}
    }
    tree.resolve(named).into_iter().find_map(|path| {
        let (first, rest) = path.split_first()?;
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let reaches = match first.as_str() {
            "std" => of_std(&rest, mention.kind == Kind::Glob),
            "core" | "alloc" | "crate" => false,
            other => dependencies.iter().any(|name| name == other) && !PURE_CRATES.contains(&other),
        };
        reaches.then(|| format!("`{}`", path.join("::")))
    })
}

/// Whether a path below `std` leads out of the program. With a glob, whether anything below it does.
fn of_std(path: &[&str], glob: bool) -> bool {
    match path {
        [] | ["os" | "time" | "io"] => glob,
        ["fs" | "process" | "env" | "thread", ..] => true,
        ["net", name, ..] => !ADDRESSES.contains(name),
        ["net"] => true,
        ["os", "raw", ..] | ["os", "unix" | "linux", "ffi", ..] => false,
        ["os", "unix" | "linux"] => glob,
        ["os", ..] => true,
        ["time", name, ..] => !matches!(*name, "Duration" | "TryFromFloatSecsError"),
        ["io", name, ..] => matches!(*name, "stdin" | "stdout" | "stderr" | "Stdin" | "Stdout" | "Stderr"),
        _ => false,
    }
}
