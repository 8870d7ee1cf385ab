//! Where in its code a process takes memory: programs that keep memory at one place and churn at another one, built
//! here, stripped and without frame pointers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use observer_sources::replay::Replay;
use observer_tests::{Observer, number, require_root, rows};
use serde_json::Value;

/// A program in a folder of its own.
struct Program {
    child: Child,
    folder: PathBuf,
}

impl Program {
    /// Compiles `source` and starts it.
    fn built(name: &str, source: &str, compiler: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("observer-sites-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [text, program] = [folder.join("source"), folder.join("program")];
        fs::write(&text, source).unwrap();
        let built = Command::new(compiler[0])
            .args(&compiler[1..])
            .arg("-o")
            .arg(&program)
            .arg(&text)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Self::started(folder, &mut Command::new(program))
    }

    fn started(folder: PathBuf, command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { child, folder }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Keeps one in ten objects at `keeper`, and frees those of `churner` after about a second. Both have the same sizes.
const C: &str = r"
#include <stdlib.h>
#include <string.h>
#include <time.h>
static unsigned seed = 1;
static unsigned chance(void) { return (seed = seed * 1103515245u + 12345u) >> 8; }
static void fill(char *to, size_t size, unsigned mark) {
  for (size_t at = 0; at + 4 <= size; at += 4) { unsigned value = chance() ^ mark; memcpy(to + at, &value, 4); }
}
__attribute__((noinline)) void *keeper(size_t size) { char *to = malloc(size); fill(to, size, 1); return to; }
__attribute__((noinline)) void *churner(size_t size) { char *to = malloc(size); fill(to, size, 2); return to; }
static void *live[20000];
void *volatile kept;
int main(void) {
  struct timespec pause = {0, 1000000};
  for (;;) {
    for (int count = 0; count < 20; count++) {
      unsigned place = chance() % 20000;
      free(live[place]);
      live[place] = churner(16 + chance() % 2000);
      if (count % 10 == 0) kept = keeper(16 + chance() % 2000);
    }
    nanosleep(&pause, 0);
  }
}
";

fn own_rows(report: &Value, pid: u32) -> Vec<&Value> {
    rows(report).iter().filter(|row| row["pid"] == pid).collect()
}

/// The name of the site, or the place in its file.
fn site(row: &Value) -> String {
    let site = &row["site"];
    site["function"].as_str().map_or_else(|| format!("{}", site["offset"]), str::to_owned)
}

fn judged<'a>(report: &'a Value, pid: u32, judgement: &str) -> Vec<&'a Value> {
    own_rows(report, pid).into_iter().filter(|row| row["judgement"] == judgement).collect()
}

#[test]
fn a_leak_is_separated_from_a_site_that_allocates_ten_times_as_much() {
    require_root();
    for (name, flags, names) in [("named", &["-g"][..], true), ("stripped", &["-s"], false)] {
        let compiler = [&["gcc", "-O2", "-fomit-frame-pointer", "-xc"][..], flags].concat();
        let program = Program::built(name, C, &compiler);
        let pid = program.pid();
        let mut observer = Observer::start(&["mem", "--where", "-p", &pid.to_string(), "--json"]);
        let (leak, most) = observer.wait_for(|report| {
            let leak = judged(report, pid, "leaks").into_iter().next()?.clone();
            let most = own_rows(report, pid);
            let most = most.into_iter().max_by_key(|row| row["samples"].as_u64())?.clone();
            Some((leak, most))
        });
        assert_ne!(site(&leak), site(&most), "{leak:#}\n{most:#}");
        assert_eq!(most["judgement"], "churns", "{most:#}");
        assert!(number(&leak, "kept_share_low") > number(&most, "kept_share_high"), "{leak:#}\n{most:#}");
        assert!(number(&leak, "keeps_low") <= number(&leak, "keeps"), "{leak:#}");
        if names {
            assert_eq!([site(&leak), site(&most)], ["keeper", "churner"]);
            assert_eq!(leak["path"].as_array().unwrap().last().unwrap()["function"], "_start", "{leak:#}");
        } else {
            assert!(leak["site"]["module"].as_str().unwrap().ends_with("/program"), "{leak:#}");
        }
    }
}

const RUST: &str = r#"
use std::{collections::HashMap, thread::sleep, time::Duration};
#[inline(never)]
fn remember(cache: &mut HashMap<u64, Vec<u8>>, key: u64) { cache.insert(key, (0..4000u64).map(|at| (at ^ key) as u8).collect()); }
#[inline(never)]
fn forget(key: u64) -> usize { let bytes: Vec<u8> = (0..3000u64).map(|at| (at * 7 ^ key) as u8).collect(); bytes.iter().filter(|byte| **byte == 7).count() }
fn main() {
    let mut cache = HashMap::new();
    let mut sum = 0;
    for key in 0.. { remember(&mut cache, key); sum += forget(key); sleep(Duration::from_millis(1)); }
    println!("{sum}");
}
"#;

#[test]
fn the_site_of_a_rust_program_is_its_own_function_and_not_the_standard_library() {
    require_root();
    let program =
        Program::built("rust", RUST, &["rustc", "-O", "-g", "--crate-type=bin", "--crate-name=program"]);
    let pid = program.pid();
    let mut observer = Observer::start(&["mem", "--where", "-p", &pid.to_string(), "--json"]);
    let leak = observer.wait_for(|report| judged(report, pid, "leaks").first().copied().cloned());
    assert!(site(&leak).contains("remember"), "{leak:#}");
    assert_eq!(leak["site"]["language"], "rust", "{leak:#}");
    assert!(Path::new(leak["site"]["file"].as_str().unwrap()).ends_with("source"), "{leak:#}");
}

/// A secret in memory and on the stack of the program, and in what it reads.
const SECRET: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <time.h>
int main(void) {
  volatile char stack[4096];
  struct timespec pause = {0, 200000};
  for (unsigned at = 0; at + 16 < sizeof stack; at += 16) memcpy((char *)stack + at, "PlantedSecret42", 16);
  for (;;) {
    char *to = malloc(5000);
    for (unsigned at = 0; at + 16 < 5000; at += 16) memcpy(to + at, "PlantedSecret42", 16);
    nanosleep(&pause, 0);
  }
}
"#;

#[test]
fn a_recording_has_names_and_no_byte_of_a_stack_or_of_memory() {
    require_root();
    let program = Program::built("secret", SECRET, &["gcc", "-O0", "-xc"]);
    let file = program.folder.join("recording");
    let path = file.to_str().unwrap();
    let pid = program.pid().to_string();
    let done = Observer::run(&["mem", "--where", "-p", &pid, "--json", "--count", "5", "--record", path]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let last = done.reports.last().unwrap();
    assert!(!own_rows(last, program.pid()).is_empty(), "{last:#}");
    // A replay needs neither the process nor its files, and its reports are the same.
    let replayed = Observer::run(&["replay", path, "mem", "--where", "--json"]);
    assert_eq!(replayed.reports.last().unwrap()["rows"], last["rows"]);
    let facts = Replay::open(&file).unwrap().map(|item| format!("{:?}", item.unwrap()));
    let facts: Vec<String> = facts.chain([replayed.stdout]).collect();
    assert!(facts.iter().any(|fact| fact.contains("Fault(")), "it has samples");
    // As text, and as the numbers that a derived form of bytes has.
    for secret in ["PlantedSecret", "80, 108, 97, 110, 116, 101, 100"] {
        assert!(!facts.iter().any(|fact| fact.contains(secret)), "{secret} is in what was written");
    }
}

const PYTHON: &str = r"
import time
kept = []
def remember(n):
    kept.append([str(n + at) * 20 for at in range(100)])
def count(n):
    return sum(at * n for at in range(1000))
def main():
    n = 0
    while True:
        remember(n)
        n += 1 + count(n) % 2
        time.sleep(0.002)
main()
";

#[test]
fn a_python_program_has_its_functions_and_lines() {
    require_root();
    let folder = std::env::temp_dir().join(format!("observer-sites-python-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let script = folder.join("leak.py");
    fs::write(&script, PYTHON).unwrap();
    let program = Program::started(folder, Command::new("/usr/bin/python3").arg(&script));
    let pid = program.pid();
    let mut observer = Observer::start(&["mem", "--where", "-p", &pid.to_string(), "--json"]);
    let row = observer.wait_for(|report| {
        let most = own_rows(report, pid).into_iter().max_by_key(|row| row["samples"].as_u64())?;
        (most["samples"].as_u64()? > 30).then(|| most.clone())
    });
    let of_leak = |frame: &&Value| {
        frame["language"] == "python" && frame["file"].as_str().unwrap().ends_with("leak.py")
    };
    let frames: Vec<&Value> = row["path"].as_array().unwrap().iter().filter(of_leak).collect();
    let names: Vec<&str> = frames.iter().filter_map(|frame| frame["function"].as_str()).collect();
    assert_eq!(names.last(), Some(&"<module>"), "{row:#}");
    assert!(names.contains(&"main") && names.contains(&"remember"), "{row:#}");
    assert_ne!(row["judgement"], "leaks", "content of small objects of Python separates nothing");
    let line = frames.iter().find(|frame| frame["function"] == "main").unwrap()["line"].as_u64();
    assert_eq!(line, Some(11), "{row:#}");
}
