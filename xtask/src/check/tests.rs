//! Each kind of violation, planted, must be caught; what only looks like one must not.

use std::path::PathBuf;

use super::*;

/// A small crate in the shape of the house.
const HOUSE: &[(&str, &str)] = &[
    (
        "lib.rs",
        "//! x\npub mod domains; pub mod engine; pub mod hook; pub mod kernel; pub mod observation;\npub mod render; pub mod report; pub mod run; pub mod source; pub mod text; pub mod error; pub mod cli;",
    ),
    ("main.rs", "//! x\nuse observer::{cli, error, run};\nfn main() { run::go(); }"),
    ("cli.rs", "//! x\n"),
    ("error.rs", "//! x\n"),
    ("run.rs", "//! x\nuse crate::{engine, kernel, render, source};\npub fn go() {}"),
    ("text.rs", "//! x\npub fn printable() {}"),
    ("hook.rs", "//! x\npub struct Hook;"),
    ("observation/mod.rs", "//! x\npub mod mem;\npub struct Observation;"),
    ("observation/mem.rs", "//! x\npub struct MemFact;"),
    ("report.rs", "//! x\nuse crate::text::printable;\npub struct Report;"),
    ("render/mod.rs", "//! x\nuse crate::report::Report;\npub mod table;"),
    ("render/table.rs", "//! x\nuse std::io::stdout;\nuse super::Report;"),
    ("engine.rs", "//! x\nuse crate::domains;\npub struct Engine;"),
    ("kernel/mod.rs", "//! x\npub mod load;\nuse crate::domains::{ALL, Declaration};"),
    ("kernel/load.rs", "//! x\nuse std::fs;\npub struct Loader;\npub fn load() { let _ = fs::read(\"x\"); }"),
    ("source/mod.rs", "//! x\nuse crate::{kernel::load::Loader, domains::Decode};"),
    (
        "domains/mod.rs",
        "//! x\npub mod mem;\npub mod net;\npub struct Declaration;\npub const ALL: &[Declaration] = &[];\npub trait Domain {}\npub trait Decode {}\npub fn all() { net::state::f(); }",
    ),
    ("domains/mem/mod.rs", "//! x\npub mod hooks; pub mod decode; pub mod state; pub mod report;"),
    ("domains/mem/hooks.rs", "//! x\nuse crate::hook::Hook;"),
    ("domains/mem/decode.rs", "//! x\nuse super::super::Decode;"),
    (
        "domains/mem/state.rs",
        "//! x\nuse crate::observation::mem::MemFact;\nuse std::{net::IpAddr, time::Duration, collections::HashMap};\npub fn f() {}",
    ),
    ("domains/mem/report.rs", "//! x\nuse super::state::f;"),
    ("domains/net/mod.rs", "//! x\npub mod hooks; pub mod decode; pub mod state; pub mod report;"),
    ("domains/net/hooks.rs", "//! x\n"),
    ("domains/net/decode.rs", "//! x\n"),
    ("domains/net/state.rs", "//! x\npub fn f() {}"),
    ("domains/net/report.rs", "//! x\n"),
];

fn house() -> Sources {
    HOUSE.iter().map(|(file, text)| (PathBuf::from("observer/src").join(file), (*text).to_owned())).collect()
}

fn judged(sources: &Sources) -> Verdict {
    let dependencies = ["aya", "libc", "regex", "tokio"].map(str::to_owned);
    judge(sources, &dependencies).unwrap()
}

/// The faults after `code` was appended to `file`.
fn planted(file: &str, code: &str) -> Vec<String> {
    planted_all(&[(file, code)])
}

fn planted_all(plants: &[(&str, &str)]) -> Vec<String> {
    let mut sources = house();
    for (file, code) in plants {
        let text =
            sources.entry(PathBuf::from("observer/src").join(file)).or_insert_with(|| "//! x\n".to_owned());
        text.push('\n');
        text.push_str(code);
    }
    judged(&sources).faults.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn caught(file: &str, code: &str) {
    let faults = planted(file, code);
    assert!(faults.iter().any(|fault| fault.contains(file)), "not caught in {file}: {code}\n{faults:#?}");
}

#[track_caller]
fn innocent(file: &str, code: &str) {
    let faults = planted(file, code);
    assert!(faults.is_empty(), "wrongly caught in {file}: {code}\n{faults:#?}");
}

#[test]
fn the_house_itself_is_clean() {
    let verdict = judged(&house());
    assert_eq!(verdict.faults, [], "{:#?}", verdict.faults);
    assert_eq!(verdict.warnings, []);
}

#[test]
fn a_finding_says_where_and_what() {
    let faults = planted("domains/mem/state.rs", "use crate::kernel::load::Loader;");
    assert_eq!(
        faults,
        [
            "observer/src/domains/mem/state.rs:5: `domains` must not know `kernel`, but names `crate::kernel::load::Loader`"
        ]
    );
}

#[test]
fn an_import_against_the_direction_is_caught() {
    for (file, code) in [
        ("observation/mem.rs", "use crate::domains::Declaration;"),
        ("observation/mem.rs", "use crate::{report::Report, text};"),
        ("hook.rs", "use crate::observation;"),
        ("domains/mem/state.rs", "use crate::engine::Engine;"),
        ("domains/mem/report.rs", "use crate::{domains, render};"),
        ("engine.rs", "use crate::run::go as start;"),
        ("engine.rs", "use crate::source::*;"),
        ("kernel/load.rs", "use crate::report::Report;"),
        ("kernel/mod.rs", "use crate::source;"),
        ("source/mod.rs", "use crate::engine::Engine;"),
        ("source/mod.rs", "use crate::report::Report;"),
        ("render/table.rs", "use crate::domains::ALL;"),
        ("render/table.rs", "use crate::observation::mem::MemFact;"),
        ("main.rs", "use observer::kernel::load::Loader;"),
        ("main.rs", "fn f() { observer::engine::Engine; }"),
    ] {
        caught(file, code);
    }
}

#[test]
fn a_full_path_is_caught_wherever_it_stands() {
    for code in [
        "fn g() { crate::kernel::load::load(); }",
        "struct S { loader: crate::kernel::load::Loader }",
        "fn g(x: Option<Vec<crate::kernel::load::Loader>>) {}",
        "impl crate::render::Draw for u8 {}",
        "fn g<T: crate::run::Run>() {}",
        "type L = crate::kernel::load::Loader;",
        "fn g() { let x = vec![1, crate::kernel::load::load()]; }",
        "fn g() { assert!(matches!(x, crate::run::State::On)); }",
        "macro_rules! sneak { () => { $crate::kernel::load::load() } }",
        "#[serde(with = \"crate::kernel::load\")] struct S;",
        "#[derive(crate::render::Draw)] struct S;",
        "fn g() { fn h() { use crate::kernel as k; k::load::load(); } }",
        "mod inner { pub fn g() { crate::kernel::load::load(); } }",
    ] {
        caught("domains/mem/state.rs", code);
    }
}

#[test]
fn a_path_by_super_is_caught() {
    caught("domains/mem/state.rs", "use super::super::super::kernel::load::Loader;");
    caught("domains/mem/state.rs", "fn g() { super::super::super::kernel::load::load(); }");
    caught("domains/mod.rs", "use super::kernel;");
    caught("domains/mem/state.rs", "mod inner { use super::super::super::super::render; }");
    caught("engine.rs", "use self::super::kernel;");
    innocent("domains/mem/state.rs", "use super::super::super::observation::Observation;");
    innocent("domains/mem/state.rs", "mod inner { use super::f; }");
}

#[test]
fn a_path_through_a_re_export_is_caught() {
    // What the middle may know, the end must not get from it.
    let through_report = [
        ("report.rs", "pub use crate::observation::mem::MemFact;"),
        ("render/table.rs", "use crate::report::MemFact;"),
    ];
    assert!(planted_all(&through_report).iter().any(|fault| fault.contains("render/table.rs")));
    let by_glob = [
        ("report.rs", "pub use crate::observation::mem::*;"),
        ("render/table.rs", "fn f(x: crate::report::MemFact) {}"),
    ];
    assert!(planted_all(&by_glob).iter().any(|fault| fault.contains("render/table.rs")));
    let renamed = [
        ("report.rs", "pub use crate::observation as facts;"),
        ("render/table.rs", "fn f(x: crate::report::facts::mem::MemFact) {}"),
    ];
    assert!(planted_all(&renamed).iter().any(|fault| fault.contains("render/table.rs")));
    // The crate's root is nobody's layer: it re-exports nothing, and what it did would be seen through.
    let through_root = [("lib.rs", "pub use kernel::load::Loader;"), ("engine.rs", "use crate::Loader;")];
    let faults = planted_all(&through_root);
    assert!(faults.iter().any(|fault| fault.contains("lib.rs")), "{faults:#?}");
    assert!(faults.iter().any(|fault| fault.contains("engine.rs")), "{faults:#?}");
    caught("engine.rs", "use crate::*;");
    caught("domains/mod.rs", "pub use crate::kernel::load::Loader;");
}

#[test]
fn a_re_export_in_a_circle_ends() {
    let circle = [("report.rs", "pub use self::a::X as Y;\nmod a { pub use super::Y as X; }")];
    let _ = planted_all(&circle);
    let globs =
        [("report.rs", "pub use self::a::*;\nmod a { pub use super::*; pub fn g() { missing::thing(); } }")];
    let _ = planted_all(&globs);
}

#[test]
fn a_domain_that_knows_another_is_caught() {
    caught("domains/mem/state.rs", "use crate::domains::net::state;");
    caught("domains/mem/state.rs", "fn g() { super::super::net::state::f(); }");
    caught("domains/bytes.rs", "use crate::domains::net::state;");
    innocent("domains/mem/state.rs", "use crate::domains::Declaration;");
    innocent("domains/mem/decode.rs", "use crate::domains::bytes::Reader;");
}

#[test]
fn the_inner_parts_of_a_domain_are_for_the_engine() {
    caught("kernel/load.rs", "use crate::domains::mem::state::f;");
    caught("source/mod.rs", "use crate::domains::mem::report;");
    caught("source/mod.rs", "use crate::domains::Domain;");
    innocent("source/mod.rs", "use crate::domains::mem::decode;");
    innocent("engine.rs", "use crate::domains::mem::state::f;");
}

#[test]
fn the_world_is_caught_in_the_pure_part() {
    for file in ["domains/mem/state.rs", "observation/mem.rs", "report.rs", "text.rs", "engine.rs", "hook.rs"]
    {
        for code in [
            "use std::fs;",
            "use std::{collections::BTreeMap, fs::File};",
            "fn g() { std::fs::read(\"/proc/1/stat\"); }",
            "fn g() { ::std::fs::read(\"x\"); }",
            "use std as s;\nfn g() { s::fs::read(\"x\"); }",
            "use std::{self as s};\nfn g() { s::process::exit(1); }",
            "extern crate std as s;\nfn g() { s::fs::read(\"x\"); }",
            "use std::*;",
            "use std::net::TcpStream;",
            "use std::process::Command;",
            "fn g() { std::process::abort(); }",
            "use std::time::Instant;\nfn g() { Instant::now(); }",
            "use std::time;\nfn g() { time::Instant::now(); }",
            "use std::time::Instant as Clock;\ntype C = Clock;",
            "use std::time::*;",
            "fn g() { let t = std::time::SystemTime::now(); }",
            "fn g() { <std::time::SystemTime>::now(); }",
            "fn g() { std::time::UNIX_EPOCH.elapsed(); }",
            "fn g() { std::thread::sleep(x); }",
            "fn g() { std::env::var(\"HOME\"); }",
            "use std::os::unix::net::UnixStream;",
            "fn g() { let _ = format!(\"{}\", std::fs::read_to_string(\"x\").unwrap()); }",
            "fn g() { println!(\"x\"); }",
            "fn g() { let _ = vec![eprintln!(\"x\")]; }",
            "fn g(p: &std::path::Path) -> bool { p.exists() }",
            "use libc::c_int;",
            "fn g() { libc::getpid(); }",
            "use aya::Ebpf;",
            "fn g(b: &mut aya::Ebpf) {}",
            "use ::aya as a;\nfn g(b: a::Ebpf) {}",
            "async fn g() { tokio::time::sleep(x).await; }",
            "unsafe extern \"C\" { fn getpid() -> i32; }",
            "fn g() { unsafe { core::arch::asm!(\"syscall\") } }",
            "#[path = \"kernel/load.rs\"] mod load;",
            "include!(\"kernel/load.rs\");",
        ] {
            caught(file, code);
        }
    }
}

#[test]
fn values_are_innocent_in_the_pure_part() {
    for code in [
        "use std::net::{IpAddr, Ipv4Addr, SocketAddr};",
        "use std::os::unix::ffi::OsStrExt;",
        "use std::time::Duration;\nfn g() { Duration::from_secs(1); }",
        "use std::io::Read;",
        "use regex::Regex;",
        "// std::fs::read is not called\nconst TEXT: &str = \"std::fs::read\";",
        "fn g() { let fs = 1; let process = fs; }",
        "#[cfg(test)]\nmod tests { fn g() { std::fs::read(\"golden\"); println!(\"x\"); } }",
        "#[test]\nfn g() { std::fs::read(\"golden\"); }",
        "struct S; impl S { fn now() {} }\nfn g() { S::now(); }",
    ] {
        innocent("domains/mem/state.rs", code);
    }
    innocent(
        "kernel/load.rs",
        "use std::time::Instant;\nfn g() { unsafe { libc::getpid() }; println!(\"x\"); }",
    );
}

#[test]
fn only_tests_may_touch_files_and_a_module_that_claims_otherwise_is_caught() {
    caught("domains/mem/state.rs", "#[cfg(not(test))]\nmod live { fn g() { std::fs::read(\"x\"); } }");
    caught("domains/mem/state.rs", "#[cfg(any(test, unix))]\nmod live { fn g() { std::fs::read(\"x\"); } }");
    let own_file = [
        ("domains/mem/state.rs", "#[cfg(test)]\nmod tests;"),
        ("domains/mem/state/tests.rs", "fn g() { std::fs::read(\"golden\"); }"),
    ];
    assert_eq!(planted_all(&own_file), [] as [String; 0]);
    // A test is no way round the direction.
    caught("domains/mem/state.rs", "#[cfg(test)]\nmod tests { use crate::kernel::load::Loader; }");
}

#[test]
fn a_module_without_a_layer_is_caught() {
    let faults = planted_all(&[("helper.rs", "pub fn f() {}")]);
    assert!(faults.iter().any(|fault| fault.contains("`helper` has no place")), "{faults:#?}");
}

#[test]
fn a_domain_without_one_of_its_files_is_caught() {
    for missing in ["hooks", "decode", "state", "report"] {
        let mut sources = house();
        sources.remove(Path::new(&format!("observer/src/domains/net/{missing}.rs")));
        let faults = judged(&sources).faults;
        assert!(
            faults.iter().any(|fault| fault.text.contains(&format!("{missing}.rs is missing"))),
            "{faults:#?}"
        );
    }
    let mut sources = house();
    let state = sources.remove(Path::new("observer/src/domains/net/state.rs")).unwrap();
    sources.insert("observer/src/domains/net/state/mod.rs".into(), state);
    assert_eq!(judged(&sources).faults, []);
}

#[test]
fn a_module_without_a_header_is_caught() {
    let mut sources = house();
    sources.insert("tests/src/workload.rs".into(), "use std::fs;\n".to_owned());
    sources.insert("observer/src/text.rs".into(), "// x\npub fn printable() {}".to_owned());
    let faults = judged(&sources).faults;
    let headers = faults.iter().filter(|fault| fault.text.contains("header"));
    let files: Vec<_> = headers.map(|fault| fault.file.to_string_lossy()).collect();
    assert_eq!(files, ["observer/src/text.rs", "tests/src/workload.rs"], "{faults:#?}");
}

#[test]
fn a_name_that_says_nothing_is_caught() {
    caught("source/mod.rs", "struct SocketManager;");
    caught("source/mod.rs", "pub mod utils { }");
    caught("source/mod.rs", "enum MemData { }");
    caught("source/helper.rs", "");
    innocent("source/mod.rs", "fn data() {}\nstruct Database;");
}

#[test]
fn a_long_file_is_a_warning_and_its_tables_and_tests_do_not_count() {
    let plain = "pub fn f() {}\n".repeat(401);
    let mut sources = house();
    sources.insert("observer/src/text.rs".into(), format!("//! x\n{plain}"));
    let verdict = judged(&sources);
    assert_eq!((verdict.faults.len(), verdict.warnings.len()), (0, 1), "{verdict:#?}");

    let table = format!("const TABLE: &[u8] = &[\n{}];\n", "1,\n".repeat(500));
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(500));
    sources.insert("observer/src/text.rs".into(), format!("//! x\n{table}{tests}"));
    assert_eq!(judged(&sources).warnings, []);
}

#[test]
fn what_a_crate_may_name_is_read_from_its_manifest() {
    let manifest =
        "[dependencies]\naya = \"1\"\nunicode-width = \"1\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"1\"";
    assert_eq!(dependencies(manifest).unwrap(), ["aya", "unicode_width", "libc"]);
}
