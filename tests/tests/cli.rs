//! The command line and its output, without root: errors contain advice, output fits its terminal, and a closed pipe is
//! no error.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use observer::domains;
use observer_core::{
    facts::{
        Fact, TaskId,
        mem::{Machine, MemFact, Memory},
        process::ProcessFact,
        session::{SessionFact, Timestamp},
    },
    report::CommonNote,
};
use observer_sources::record::Recorder;
use observer_tests::{TempDir, observer_path};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use serde_json::Value;

const SECOND: u64 = 1_000_000_000;
const NAMES: [&[u8]; 4] = [b"server", b"\x1b]0;x\x07", "漢字漢字".as_bytes(), b"an-old-long-nam"];

/// A recording of four processes, one with a name that would change the terminal's title.
fn recording(path: &Path, seconds: u64) {
    let mut recorder = Recorder::create(path).unwrap();
    let at = |second: u64| Timestamp { boot: second * SECOND, wall: (1_800_000_000 + second) * SECOND };
    recorder.push(&Fact::Session(Box::new(SessionFact {
        began: at(100),
        host: "host".to_owned(),
        kernel: "6.18".to_owned(),
        ..SessionFact::default()
    })));
    let machine = Machine { total: 1 << 34, free: 1 << 33, available: Some(1 << 33), ..Machine::default() };
    recorder.push(&Fact::Mem(MemFact::Machine(machine.into())));
    for second in 100..=100 + seconds {
        for (tgid, name) in (1000..).zip(NAMES) {
            let id = TaskId { start: SECOND, tgid };
            if second == 100 {
                let met = ProcessFact::Met { id, comm: name[..].into(), uid: 1000, kernel_thread: false };
                recorder.push(&Fact::Process(met));
            }
            let anon = ((tgid as i64 - 900) << 20) + ((second as i64) << 12);
            let memory = Memory { anon, virt: 2 * anon, ..Memory::default() };
            recorder.push(&Fact::Mem(MemFact::Counters { id, memory, page_tables: 0 }));
        }
        recorder.tick(at(second));
    }
    recorder.finish().unwrap();
}

fn observer(arguments: &[&str]) -> Command {
    let mut command = Command::new(observer_path());
    command.args(arguments).stdin(Stdio::null());
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    observer(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The output of a command on a terminal of this size.
fn in_terminal(columns: u16, rows: u16, command: &mut Command) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let inner = File::options().read(true).write(true).open(name).unwrap();
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&inner, size).unwrap();
    let mut child = command.stdout(inner).stderr(Stdio::null()).spawn().unwrap();
    // The command also holds the inner end. Drop it, so that the child is the last to close it.
    command.stdout(Stdio::null());
    let mut outer = File::from(terminal);
    let mut written = Vec::new();
    let mut buffer = [0; 4096];
    // Reading from a terminal without an inner end is an error.
    while let Ok(length @ 1..) = outer.read(&mut buffer) {
        written.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    text(&written)
}

/// The lines of the last frame, without escape sequences.
fn last_frame(written: &str) -> Vec<String> {
    let frame = written.rsplit("\x1b[H").next().unwrap();
    let mut lines = Vec::new();
    for line in frame.split("\r\n") {
        let mut plain = String::new();
        let mut rest = line;
        while let Some(start) = rest.find("\x1b[") {
            plain.push_str(&rest[..start]);
            let sequence = &rest[start + 2..];
            let end = sequence.find(|character: char| character.is_ascii_alphabetic()).unwrap();
            rest = &sequence[end + 1..];
        }
        plain.push_str(rest);
        // The terminal driver adds a carriage return before each line break.
        lines.push(plain.trim_end_matches('\r').to_owned());
    }
    lines
}

fn width(line: &str) -> usize {
    line.chars()
        .map(|character| if ('漢'..='字').contains(&character) || character == '字' { 2 } else { 1 })
        .sum()
}

#[test]
fn a_wrong_command_line_is_an_error_with_advice() {
    for (arguments, advice) in [
        (&["mem", "--colour"][..], "--help"),
        (&["memory"], "mem"),
        (&["mem", "--interval", "0"], "from 0.01"),
        (&["mem", "--interval", "NaN"], "from 0.01"),
        (&["mem", "--once", "--count", "2"], "cannot be used with"),
        (&["mem", "--by", "remote"], "observer net"),
        (&["mem", "-c", "["], "escape"),
        // Checked before privileges and kernel types.
        (&["mem", "--btf", "/absent", "--sort", "resident"], "rss"),
        (&["net", "--sort", "-bandwidth"], "tx_rate"),
        (&["disk", "--deleted-open", "--sort", "x"], "allocated"),
        (&["record"], "--output"),
        (&["overview", "--once", "--count", "2"], "cannot be used with"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let message = text(&output.stderr);
        assert!(message.contains(advice), "{arguments:?}: {message}");
    }
}

#[test]
fn help_is_an_answer() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for command in ["overview", "mem", "disk", "net", "record", "replay", "doctor"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    assert!(!help.contains("--without"), "options for tests are hidden");
}

#[test]
fn a_foreign_file_is_no_recording() {
    let folder = TempDir::new("cli");
    let foreign = folder.file("foreign");
    fs::write(&foreign, "this is no recording\n".repeat(100)).unwrap();
    for path in [foreign.as_path(), &folder.file("absent"), folder.path(), Path::new("/dev/null")] {
        let output = run(&["replay", path.to_str().unwrap(), "mem", "--json"]);
        assert_eq!(output.status.code(), Some(1), "{}", path.display());
        assert!(output.stdout.is_empty());
        assert!(text(&output.stderr).contains(path.to_str().unwrap()), "{}", text(&output.stderr));
    }
}

#[test]
fn a_replay_is_one_object_a_line() {
    let folder = TempDir::new("cli");
    let file = folder.file("r");
    recording(&file, 5);
    let file = file.to_str().unwrap();
    let output = run(&["replay", file, "mem", "--json", "--sort", "rss"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let reports: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reports.len(), 5, "the baseline is no report");
    for report in &reports {
        assert_eq!(report["schema"], "observer.v1");
        assert_eq!(report["elapsed"], 1.0);
        let rows = report["rows"].as_array().unwrap();
        let sizes: Vec<u64> = rows.iter().map(|row| row["rss"].as_u64().unwrap()).collect();
        assert!(sizes.len() == 4 && sizes.is_sorted_by(|left, right| left >= right), "{sizes:?}");
        assert!(rows.iter().any(|row| row["comm"] == "\\x1b]0;x\\x07"), "{rows:?}");
    }
    let chosen =
        run(&["replay", file, "mem", "--json", "--count", "2", "-p", "1001", "-p", "1000", "-c", "^s"]);
    let lines = text(&chosen.stdout);
    assert_eq!(lines.lines().count(), 2);
    let report: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(report["rows"].as_array().unwrap().len(), 1);
    assert_eq!(report["rows"][0]["comm"], "server");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = TempDir::new("cli");
    let file = folder.file("r");
    recording(&file, 5);
    for arguments in [
        &["replay", file.to_str().unwrap(), "mem", "--json"][..],
        &["replay", file.to_str().unwrap(), "mem", "--plain"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = observer(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let folder = TempDir::new("cli");
    let file = folder.file("r");
    recording(&file, 1);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let child = observer(&["replay", file.to_str().unwrap(), "mem", "--json"])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("No space left"), "{}", text(&output.stderr));
}

#[test]
fn piped_output_has_no_control_characters() {
    let folder = TempDir::new("cli");
    let file = folder.file("r");
    recording(&file, 2);
    let mut command = observer(&["replay", file.to_str().unwrap(), "mem"]);
    let output = command.env("TERM", "xterm").output().unwrap();
    let shown = text(&output.stdout);
    assert!(shown.contains("\\x1b]0;x\\x07"), "{shown}");
    assert!(shown.chars().all(|character| character == '\n' || !character.is_control()), "{shown:?}");
}

#[test]
fn colour_is_for_terminals_and_can_be_disabled() {
    let folder = TempDir::new("cli");
    let file = folder.file("r");
    recording(&file, 2);
    let shown = |variables: &[(&str, &str)]| {
        let mut command = observer(&["replay", file.to_str().unwrap(), "mem"]);
        command.env("TERM", "xterm").envs(variables.iter().copied());
        in_terminal(80, 24, &mut command)
    };
    assert!(shown(&[]).contains("\x1b[1m"));
    for rejection in [("NO_COLOR", "1"), ("CLICOLOR", "0")] {
        let shown = shown(&[rejection]);
        assert!(
            !shown.contains("m\x1b") && !shown.contains("\x1b[1m") && !shown.contains("\x1b[2m"),
            "{shown:?}"
        );
        assert!(shown.contains("\x1b[H"), "it still redraws in place");
    }
    assert!(!shown(&[("TERM", "dumb")]).contains('\x1b'));
}

#[test]
fn the_narrowest_terminal_shows_name_and_size() {
    let folder = TempDir::new("cli");
    let file = folder.file("r");
    recording(&file, 3);
    for (columns, rows) in [(20, 24), (20, 8), (40, 12), (80, 24), (200, 50)] {
        let mut command = observer(&["replay", file.to_str().unwrap(), "mem", "--sort", "rss"]);
        let written = in_terminal(columns, rows, command.env("TERM", "xterm"));
        let lines = last_frame(&written);
        assert!(lines.len() <= usize::from(rows), "{columns}x{rows}: {lines:#?}");
        for line in &lines {
            assert!(width(line) <= usize::from(columns), "{columns}: {line:?}");
        }
        assert!(lines.iter().any(|line| line.contains("COMMAND") && line.contains("RSS")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("an-") && line.contains("103 MiB")), "{lines:#?}");
    }
}

/// Codes and effect on the exit code must agree. The effect of `missing` depends on the columns of the missing hook.
#[test]
fn documented_and_declared_notes_are_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let documented = fs::read_to_string(root.join("docs/notes.md")).unwrap();
    let documented: BTreeSet<(String, bool)> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(code, rest)| (code.to_owned(), rest.ends_with("| yes |") && code != "missing"))
        .collect();
    let declared = domains::ALL.iter().map(|domain| domain.notes()).chain([CommonNote::ALL]).flatten();
    let declared: BTreeSet<(String, bool)> =
        declared.map(|kind| (kind.code.to_owned(), kind.incomplete)).collect();
    assert_eq!(documented, declared);
    assert!(declared.len() > 30, "{declared:?}");
}

#[test]
fn documented_and_declared_kinds_of_problems_are_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let documented = fs::read_to_string(root.join("docs/problems.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        let kind = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some((kind, cells.get(5)?.clone()))
    };
    let documented: BTreeSet<(String, String)> = documented.lines().filter_map(row).collect();
    let kinds = domains::ALL.iter().flat_map(|domain| domain.problems());
    let declared: BTreeSet<(String, String)> =
        kinds.map(|kind| (kind.name.to_owned(), format!("{}, {}", kind.confirm, kind.linger))).collect();
    assert_eq!(documented, declared);
}
