//! The instrument on a real terminal: keys in, screens out. Over a recording, so without root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{Read as _, Write},
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use observer_tests::{TempDir, observer_path};
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// A screen has come by then even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program on a terminal.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    parser: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn open(columns: u16, rows: u16, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::of(&observer_path(), columns, rows, arguments, variables)
    }

    fn of(program: &Path, columns: u16, rows: u16, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        for name in ["NO_COLOR", "CLICOLOR", "LC_ALL", "LC_CTYPE", "XDG_CONFIG_HOME"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("HOME", "/nonexistent");
        command.cwd("/");
        variables.iter().for_each(|(name, value)| command.env(name, value));
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(wide(rows), wide(columns), 0)));
        let (mut reader, screen) = (pair.master.try_clone_reader().unwrap(), Arc::clone(&parser));
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                screen.lock().unwrap().process(&buffer[..length]);
            }
        });
        let keyboard = pair.master.take_writer().unwrap();
        Self { master: pair.master, keyboard, child, parser }
    }

    /// The instrument over the recording of a busy minute.
    fn replay(columns: u16, rows: u16) -> Self {
        Self::open(columns, rows, &["replay", minute().to_str().unwrap()], &[])
    }

    fn send(&mut self, keys: &str) -> &mut Self {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
        self
    }

    fn screen(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    fn is_alternate(&self) -> bool {
        self.parser.lock().unwrap().screen().alternate_screen()
    }

    /// Waits until the screen is as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> &Self {
        let began = Instant::now();
        while !wanted(&self.screen()) {
            assert!(began.elapsed() < PATIENCE, "{what}:\n{}", self.screen());
            thread::sleep(Duration::from_millis(5));
        }
        self
    }

    fn shows(&self, text: &str) -> &Self {
        self.until(&format!("`{text}` is not shown"), |screen| screen.contains(text))
    }

    fn hides(&self, text: &str) -> &Self {
        self.until(&format!("`{text}` is shown"), |screen| !screen.contains(text))
    }

    /// Waits for the end. The terminal must be as it was.
    fn ends(mut self) -> ExitStatus {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}", self.screen());
            thread::sleep(Duration::from_millis(5));
        };
        thread::sleep(Duration::from_millis(100));
        assert!(!self.is_alternate(), "the alternate screen is left:\n{}", self.screen());
        let parser = self.parser.lock().unwrap();
        let screen = parser.screen();
        assert!(!screen.hide_cursor() && !screen.bracketed_paste(), "the terminal is as it was");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        status
    }

    fn signal(&self, name: &str) {
        let process = self.child.process_id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &process]).status().unwrap().success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn wide(cells: u16) -> NonZero<u16> {
    NonZero::new(cells).unwrap()
}

fn minute() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/minute.recording")
}

#[test]
fn pages_and_the_page_of_a_process_are_reached_by_keys() {
    let mut terminal = Terminal::replay(100, 30);
    terminal.shows("end of the recording").shows("1 overview");
    terminal.send("2").shows("worker-40").shows("VERDICT");
    terminal.send("\t").shows("WRITES");
    terminal.send("4").shows("RECEIVES");
    terminal.send("2\x1b[B\x1b[B\r").shows("process 3").shows("anon");
    terminal.send("\x1b").shows("VERDICT");
    terminal.send("?").shows("the first page");
    terminal.send(" ").hides("the first page");
    terminal.send("q");
    assert!(terminal.ends().success());
}

#[test]
fn a_filter_narrows_rows_and_an_error_in_it_is_explained() {
    let mut terminal = Terminal::replay(120, 30);
    terminal.shows("end of the recording");
    terminal.send("2/rss>40M and comm~^worker-4").shows("worker-40").hides("worker-30 ");
    terminal.send("\r").shows(" of 3");
    terminal.send("\x1b").shows("worker-30 ");
    terminal.send("/size>1M").shows("has no column `size`");
    terminal.send("\x03q");
    assert!(terminal.ends().success());
}

#[test]
fn time_steps_and_jumps_on_every_page() {
    let mut terminal = Terminal::replay(100, 24);
    terminal.shows("14:14:").shows("end of the recording");
    terminal.send("2\x1b[D").shows("1 s before the end");
    terminal.send("\x1b[D\x1b[D").shows("3 s before the end");
    terminal.send("3").shows("3 s before the end");
    terminal.send("\x1b[C").shows("2 s before the end");
    terminal.send("j14:13:40\r").shows("14:13:40 UTC");
    terminal.send("\x1b[H").until("the oldest report", |screen| screen.contains("14:13:2"));
    terminal.send("\x1b[F").shows("end of the recording");
    terminal.send("jnever\r").shows("is no time");
    terminal.send("q");
    assert!(terminal.ends().success());
}

#[test]
fn what_is_shown_is_written_to_a_new_file_for_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new("instrument");
    let file = folder.file("shown.csv");
    let mut terminal = Terminal::replay(100, 24);
    terminal.shows("end of the recording");
    terminal.send("2/worker-40\re\x15").shows("write to: ");
    terminal.send(&format!("{}\r", file.display())).shows("written: ");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("pid,start,comm,") && text.contains(",worker-40,"), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    terminal.send(&format!("e\x15{}\r", file.display())).shows("exists");
    terminal.send("q");
    assert!(terminal.ends().success());
}

#[test]
fn a_terminal_of_any_size_is_filled_and_can_change_it() {
    for (columns, rows) in [(80, 24), (40, 12), (300, 80)] {
        let mut terminal = Terminal::replay(columns, rows);
        terminal.shows("1 overview");
        terminal.send("2").shows("RSS");
        let (other_columns, other_rows) = (columns / 2 + 20, rows / 2 + 8);
        let size = PtySize { rows: other_rows, cols: other_columns, pixel_width: 0, pixel_height: 0 };
        terminal.parser.lock().unwrap().screen_mut().set_size(wide(other_rows), wide(other_columns));
        terminal.master.resize(size).unwrap();
        terminal.send("3").shows("WRITES");
        terminal.send("q");
        assert!(terminal.ends().success());
    }
}

#[test]
fn the_terminal_is_given_back_on_a_signal() {
    for name in ["TERM", "INT", "HUP"] {
        let terminal = Terminal::replay(80, 24);
        terminal.shows("end of the recording");
        assert!(terminal.is_alternate());
        terminal.signal(name);
        assert!(terminal.ends().success(), "{name}");
    }
}

#[test]
fn the_terminal_is_given_back_while_stopped() {
    let mut terminal = Terminal::replay(80, 24);
    terminal.shows("end of the recording");
    let process = terminal.child.process_id().unwrap();
    terminal.send("\x1a");
    let began = Instant::now();
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().chars().next().unwrap()
    };
    while state() != 'T' || terminal.is_alternate() {
        assert!(began.elapsed() < PATIENCE, "{}", state());
        thread::sleep(Duration::from_millis(5));
    }
    terminal.signal("CONT");
    terminal.shows("end of the recording");
    assert!(terminal.is_alternate());
    terminal.send("2").shows("worker-40");
    terminal.send("q");
    assert!(terminal.ends().success());
}

#[test]
fn the_locale_and_the_environment_decide_about_symbols_and_colours() {
    let path = minute();
    let mut terminal =
        Terminal::open(100, 30, &["replay", path.to_str().unwrap()], &[("LANG", "C"), ("NO_COLOR", "1")]);
    terminal.shows("end of the recording");
    terminal.send("2\r").shows("process 3");
    assert!(terminal.screen().is_ascii(), "{}", terminal.screen());
    let parser = terminal.parser.lock().unwrap();
    let (rows, columns) = parser.screen().size();
    for (row, column) in (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column))) {
        let cell = parser.screen().cell(row, column).unwrap();
        assert_eq!((cell.fgcolor(), cell.bgcolor()), (vt100::Color::Default, vt100::Color::Default));
    }
    drop(parser);
    terminal.send("q");
    assert!(terminal.ends().success());
}

#[test]
fn keys_are_configured_and_an_error_in_the_file_names_its_line() {
    let folder = TempDir::new("instrument");
    fs::create_dir_all(folder.file("observer")).unwrap();
    let file = folder.file("observer/config.toml");
    let variables = [("XDG_CONFIG_HOME", file.parent().unwrap().parent().unwrap().to_str().unwrap())];
    let path = minute();
    let arguments = ["replay", path.to_str().unwrap()];
    fs::write(&file, "[keys]\nquit = \"x\"\n").unwrap();
    let mut terminal = Terminal::open(80, 24, &arguments, &variables);
    terminal.shows("end of the recording");
    terminal.send("q2").shows("worker-40");
    terminal.send("x");
    assert!(terminal.ends().success());
    fs::write(&file, "[keys]\n\nleave = \"x\"\n").unwrap();
    let terminal = Terminal::open(80, 24, &arguments, &variables);
    terminal.shows("line 3").shows("observer config --show");
    assert_eq!(terminal.ends().exit_code(), 2);
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    let terminal = Terminal::of(env!("CARGO_BIN_EXE_panic_on_screen").as_ref(), 100, 24, &[], &[]);
    terminal.shows("on the screen");
    assert!(!terminal.ends().success());
}
