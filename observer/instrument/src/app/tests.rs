//! Flows through the model: keys in, frames and commands out. Frames are compared with files in `src/snapshots`;
//! OBSERVER_KEEP_FRAMES=1 writes them again.

#![allow(clippy::disallowed_methods, reason = "frames are compared with files")]

use std::{env, fs, path::Path};

use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::{
    draw::{self, Palette, Style},
    key::Key,
    samples,
};

const SECOND: u64 = 1_000_000_000;
const STYLE: Style = Style { palette: Palette { coloured: true }, ascii: false, braille: true };

/// An instrument that has seen reports for some seconds, with its screen.
struct Bench {
    app: App,
    terminal: Terminal<TestBackend>,
    style: Style,
    second: u64,
}

impl Bench {
    fn new(columns: u16, rows: u16) -> Self {
        Self::with(columns, rows, Settings::default(), Start::default())
    }

    fn with(columns: u16, rows: u16, settings: Settings, start: Start) -> Self {
        let terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        let mut bench =
            Self { app: App::new(samples::pages(), settings, start), terminal, style: STYLE, second: 0 };
        for _ in 0..4 {
            bench.tick();
        }
        bench
    }

    /// The next second's reports.
    fn tick(&mut self) {
        let frame = Frame { reports: samples::reports(self.second), moment: Moment::Now };
        self.app.take(frame, self.second * SECOND);
        self.second += 1;
    }

    /// Keys, as the configuration spells them, separated by blanks.
    fn keys(&mut self, keys: &str) -> &mut Self {
        for key in keys.split_whitespace() {
            let now = self.second * SECOND;
            self.app.handle(Input::Key(key.parse::<Key>().unwrap()), now);
        }
        self
    }

    fn type_in(&mut self, text: &str) -> &mut Self {
        for character in text.chars() {
            let now = self.second * SECOND;
            self.app.handle(Input::Key(Key::character(character)), now);
        }
        self
    }

    fn click(&mut self, text: &str) -> &mut Self {
        let lines = self.screen();
        let (y, line) = lines.iter().enumerate().find(|(_, line)| line.contains(text)).unwrap();
        let x = line.find(text).unwrap();
        let now = self.second * SECOND;
        self.app.handle(Input::Click { x: x as u16, y: y as u16 }, now);
        self
    }

    /// The lines on the screen.
    fn screen(&mut self) -> Vec<String> {
        let (app, style) = (&mut self.app, self.style);
        self.terminal
            .draw(|frame| {
                draw::draw(app, frame.buffer_mut(), style);
            })
            .unwrap();
        let buffer = self.terminal.backend().buffer();
        let columns = usize::from(buffer.area.width);
        let mut lines = Vec::new();
        for line in buffer.content.chunks(columns) {
            let mut text = String::new();
            let mut covered = 0;
            for cell in line {
                if covered == 0 {
                    text.push_str(cell.symbol());
                    covered = observer_faces::width::width(cell.symbol()).max(1);
                }
                covered -= 1;
            }
            lines.push(text.trim_end().to_owned());
        }
        lines
    }

    fn has(&mut self, text: &str) -> bool {
        self.screen().iter().any(|line| line.contains(text))
    }

    /// The commands of rows at the cursor, from its line on the screen.
    fn selected(&self) -> String {
        let row = self.app.listing().unwrap().selected().unwrap();
        row.cells[0].number().unwrap().to_string()
    }
}

/// Compares a frame with its file.
fn snapshot(name: &str, lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/snapshots").join(format!("{name}.txt"));
    let text = lines.join("\n") + "\n";
    if env::var_os("OBSERVER_KEEP_FRAMES").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{name} differs; OBSERVER_KEEP_FRAMES=1 writes it again\n{text}");
}

#[test]
fn each_page_is_right_at_each_size() {
    for (columns, rows) in [(80, 24), (40, 12), (300, 80)] {
        for (name, keys) in [
            ("overview", "1"),
            ("mem", "2"),
            ("disk", "3"),
            ("net", "4"),
            ("process", "2 enter"),
            ("filesystem", "3 enter"),
            ("help", "?"),
            ("columns", "2 c"),
        ] {
            let mut bench = Bench::new(columns, rows);
            bench.keys(keys);
            bench.tick();
            snapshot(&format!("{name}-{columns}x{rows}"), &bench.screen());
        }
    }
}

#[test]
fn a_frame_in_ascii_has_nothing_else() {
    let mut bench = Bench::new(80, 24);
    bench.style = Style { ascii: true, braille: false, ..STYLE };
    for keys in ["1", "2", "enter", "escape 3", "4", "?", "?"] {
        bench.keys(keys);
        let lines = bench.screen();
        assert!(lines.iter().all(|line| line.is_ascii()), "{lines:#?}");
    }
    bench.keys("2 enter");
    snapshot("process-ascii", &bench.screen());
}

#[test]
fn no_size_is_too_small_and_no_line_has_a_control_character() {
    for columns in [1, 2, 5, 11, 20, 33, 79] {
        for rows in [1, 2, 3, 4, 7, 11, 23] {
            let mut bench = Bench::new(columns, rows);
            for keys in
                ["1", "2", "enter", "escape", "v", "3", "4", "?", "? s", "escape c", "escape n", "escape /"]
            {
                bench.keys(keys);
                for line in bench.screen() {
                    assert!(!line.chars().any(char::is_control), "{line:?}");
                    assert!(
                        observer_faces::width::width(&line) <= usize::from(columns),
                        "{columns}: {line:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_screen_can_change_its_size_at_any_time() {
    let mut bench = Bench::new(80, 24);
    bench.keys("2 end down down enter");
    for (columns, rows) in [(20, 5), (200, 60), (40, 12), (1, 1), (80, 24)] {
        bench.terminal.backend_mut().resize(columns, rows);
        bench.terminal.resize(ratatui::layout::Rect::new(0, 0, columns, rows)).unwrap();
        bench.app.handle(Input::Resized, 0);
        assert_eq!(bench.screen().len(), usize::from(rows));
    }
}

#[test]
fn without_colours_weights_remain() {
    let mut bench = Bench::new(80, 24);
    bench.style.palette = Palette { coloured: false };
    for keys in ["1", "2", "enter", "escape space"] {
        bench.keys(keys);
        bench.screen();
        let buffer = bench.terminal.backend().buffer();
        let reset = ratatui::style::Color::Reset;
        assert!(buffer.content.iter().all(|cell| cell.fg == reset && cell.bg == reset));
        assert!(buffer.content.iter().any(|cell| !cell.modifier.is_empty()));
    }
}

#[test]
fn a_filter_applies_while_it_is_typed_and_escape_removes_it() {
    let mut bench = Bench::new(100, 24);
    bench.keys("2 /").type_in("rss>100M and unit~service");
    assert!(bench.has("restic") && !bench.has("systemd"));
    bench.keys("enter");
    assert!(bench.has("4 of 9"), "{:#?}", bench.screen());
    bench.keys("escape");
    assert!(bench.has("systemd"));
    bench.keys("/").type_in("rss>");
    assert!(bench.has("compare `rss` with a value") && bench.has("systemd"));
    bench.keys("enter");
    assert!(bench.has("compare `rss` with a value"));
}

#[test]
fn the_cursor_stays_on_its_process_on_the_way_through_pages() {
    let mut bench = Bench::new(100, 24);
    bench.keys("2 s").keys("down down enter").keys("down down");
    let held = bench.selected();
    bench.keys("tab tab backtab 2");
    for _ in 0..9 {
        bench.tick();
    }
    assert_eq!(bench.selected(), held);
    bench.keys("r");
    assert_eq!(bench.selected(), held, "the order is another and the row the same");
}

#[test]
fn a_group_adds_up_and_opens_as_a_unit() {
    let mut bench = Bench::new(120, 40);
    bench.keys("2 g down enter");
    assert!(bench.has("by unit") && bench.has("legacy.service"));
    bench.keys("/").type_in("jobs").keys("enter enter");
    let lines = bench.screen();
    assert!(lines.iter().any(|line| line.contains("unit jobs.service")), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains("[2001:db8::0]:443")),
        "connections are joined: {lines:#?}"
    );
}

#[test]
fn the_page_of_a_process_joins_all_domains() {
    let mut bench = Bench::new(120, 50);
    bench.keys("2 down enter");
    for text in
        ["process 1204 legacyd", "anon", "/var/log/legacy/debug.log", "writers", "[2001:db8::1]:443", "RSS"]
    {
        assert!(bench.has(text), "{text}: {:#?}", bench.screen());
    }
    bench.keys("escape");
    assert!(bench.has("worker.py"));
}

#[test]
fn a_page_asks_for_its_views_and_the_page_of_a_process_for_all() {
    let mut bench = Bench::new(80, 24);
    bench.app.commands();
    bench.keys("4");
    assert_eq!(bench.app.commands(), [Command::Watch(vec!["net", "connections"])]);
    bench.keys("enter");
    let all = vec!["overview", "mem", "disk", "deleted-open", "net", "connections"];
    assert_eq!(bench.app.commands(), [Command::Watch(all)]);
}

#[test]
fn a_pause_holds_the_screen_while_observation_continues() {
    let mut bench = Bench::new(80, 24);
    bench.keys("2 space");
    let before = bench.screen();
    bench.tick();
    bench.tick();
    assert_eq!(bench.screen(), before);
    assert!(bench.has("paused"));
    bench.keys("space");
    assert!(bench.has("10:00:05"), "the newest report is shown at once: {:#?}", bench.screen());
}

#[test]
fn what_has_ended_is_kept_and_shown_on_demand() {
    let mut bench = Bench::new(100, 24);
    bench.keys("2");
    assert!(!bench.has("cc1") && bench.has("1 ended"), "{:#?}", bench.screen());
    bench.keys("x");
    assert!(bench.has("cc1 (ended)"));
}

#[test]
fn going_back_in_time_leaves_the_present_until_end() {
    let mut bench = Bench::new(80, 24);
    bench.keys("2").app.commands();
    bench.keys("left");
    assert_eq!(bench.app.commands(), [Command::Seek(Seek::Earlier(1))]);
    let newest = samples::mem(3).now.wall;
    let moment = Moment::Past { newest, answers: Seek::Earlier(1) };
    bench.app.take(Frame { reports: samples::reports(1), moment }, 4 * SECOND);
    assert!(bench.has("10:00:01") && bench.has("2 s ago"), "{:#?}", bench.screen());
    bench.tick();
    assert!(bench.has("10:00:01"), "a new report does not move the time");
    bench.keys("3");
    assert!(bench.has("10:00:01"), "every page is at that time");
    bench.keys("end");
    assert!(bench.has("10:00:04"));
    bench.app.commands();
    bench.keys("j").type_in("9:59").keys("enter");
    assert!(matches!(bench.app.commands()[..], [Command::Seek(Seek::At(_))]));
    bench.keys("j").type_in("noon").keys("enter");
    assert!(bench.has("is no time"));
}

#[test]
fn what_is_shown_is_exported() {
    let mut bench = Bench::new(80, 24);
    bench.keys("2 /").type_in("restic").keys("enter e ctrl+u").type_in("x.csv").keys("enter");
    let commands = bench.app.commands();
    let Some(Command::Export { path, bytes }) = commands.last() else { panic!("{commands:?}") };
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(path.to_str(), Some("x.csv"));
    assert!(
        text.starts_with("pid,comm,uid,unit,container,rss,") && text.contains("\r\n7721,restic,1000,"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 2);
    bench.keys("e").keys("enter");
    let commands = bench.app.commands();
    let Some(Command::Export { path, bytes }) = commands.last() else { panic!("{commands:?}") };
    assert_eq!(path.to_str(), Some("observer-mem-20261120-100003.json"));
    assert!(bytes.starts_with(b"{\"schema\":\"observer.v1\",\"view\":\"mem\"") && bytes.ends_with(b"}\n"));
}

#[test]
fn the_next_command_is_copied() {
    let mut bench = Bench::new(80, 24);
    bench.keys("1 down y");
    let commands = bench.app.commands();
    assert_eq!(commands.last(), Some(&Command::Copy("observer mem --where -p 24117".to_owned())));
    assert!(bench.has("copied"));
}

#[test]
fn the_mouse_chooses_pages_rows_and_columns() {
    let mut bench = Bench::new(100, 24);
    bench.click("3 disk");
    assert!(bench.has("/var"));
    bench.click("2 mem").click("7721");
    assert_eq!(bench.selected(), "7721");
    bench.click("RSS");
    assert!(bench.has("RSS↓"));
    bench.click("RSS");
    assert!(bench.has("RSS↑"));
    bench.app.handle(Input::Wheel(3), 9 * SECOND);
    bench.click("7721").click("7721");
    assert!(bench.has("process 7721 restic"));
}

#[test]
fn keys_are_what_the_configuration_says() {
    let settings = Settings::read("[keys]\nquit = \"ctrl+x\"\npage-2 = \"m\"").unwrap();
    let mut bench = Bench::with(100, 24, settings, Start::default());
    bench.keys("m q");
    assert!(bench.has("worker.py"));
    bench.app.commands();
    bench.keys("ctrl+x");
    assert_eq!(bench.app.commands(), [Command::Quit]);
}

#[test]
fn columns_are_chosen() {
    let mut bench = Bench::new(200, 24);
    bench.keys("2");
    assert!(!bench.has("SHMEM"));
    bench.keys("c").type_in("s").keys("space escape");
    assert!(bench.has("SHMEM"), "{:#?}", bench.screen());
}
