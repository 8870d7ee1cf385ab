//! Made-up reports for tests: every page has rows, and names of many scripts and widths.

use observer_core::{
    facts::{TaskId, session::Timestamp},
    report::{
        Column, CommonNote, Emphasis, LossTotals, Merge, Notation, Note, Report, Row, Subject, Table, Unit,
        Value,
    },
    view::GroupBy,
};

use crate::section::Page;

const MIB: u64 = 1 << 20;
/// 2026-11-20 10:00:00 UTC.
const WALL: u64 = 1_795_168_800_000_000_000;
const BOOT: u64 = 5_000_000_000_000;

/// (process id, command, unit, MiB resident, growth in MiB a minute, verdict, reason)
type Sample = (u64, &'static str, Option<&'static str>, u64, f64, &'static str, &'static str);

const PROCESSES: [Sample; 9] = [
    (
        24117,
        "worker.py",
        Some("jobs.service"),
        1900,
        38.1,
        "leak",
        "grew 2.2 GiB in the last 58 min, every low point higher than the last",
    ),
    (
        1204,
        "legacyd",
        Some("legacy.service"),
        180,
        1.5,
        "growing",
        "grew 14 MiB in the last 9 min; 6 min more to tell",
    ),
    (7721, "restic", Some("backup.service"), 640, -2.0, "shrinking", "gave back 12 MiB in the last minute"),
    (902, "漢字処理サーバー", Some("漢字.service"), 512, 0.0, "stable", "flat for 40 min"),
    (903, "שלום-עולם", None, 96, 0.0, "stable", "flat for 40 min"),
    (904, "naïve-café ☕", None, 64, 0.0, "stable", "flat for 40 min"),
    (905, "\\x1b]0;title\\x07", None, 32, 0.0, "unknown", "7 s more needed"),
    (
        906,
        "an-old-long-nam",
        Some("a-unit-with-a-very-long-name-that-does-not-fit@instance.service"),
        16,
        0.0,
        "stable",
        "flat for 40 min",
    ),
    (1, "systemd", Some("init.scope"), 12, 0.0, "stable", "flat for 2 h"),
];

/// The identity of a process of the samples.
pub fn id(pid: u64) -> TaskId {
    TaskId { start: 7, tgid: pid }
}

/// The pages of the program.
pub fn pages() -> Vec<Page> {
    let page = |title, views: &[&'static str]| Page { title, views: views.to_vec() };
    vec![
        page("overview", &["overview"]),
        page("mem", &["mem"]),
        page("disk", &["disk", "deleted-open"]),
        page("net", &["net", "connections"]),
    ]
}

/// Every report of one second, counted from the first.
pub fn reports(second: u64) -> Vec<Report> {
    vec![overview(second), mem(second), disk(second), deleted(second), net(second), connections(second)]
}

fn report(view: &'static str, second: u64, headline: &[&str], tables: Vec<Table>) -> Report {
    Report {
        view,
        host: "web-3".to_owned(),
        now: Timestamp { boot: BOOT + second * 1_000_000_000, wall: WALL + second * 1_000_000_000 },
        elapsed: 1.0,
        observed: 3600.0 + second as f64,
        loss: LossTotals::default(),
        headline: headline.iter().map(|sentence| (*sentence).to_owned()).collect(),
        totals: Vec::new(),
        tables,
        notes: Vec::new(),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn process_columns() -> Vec<Column> {
    vec![
        Column::label("pid").shown("PID", 1),
        Column::label("command").human("COMMAND", 0),
        Column::label("comm").same(),
        Column::label("uid").same(),
        Column::label("unit").shown("UNIT", 8).same(),
        Column::label("container").same(),
    ]
}

fn process_cells((pid, command, unit, ..): &Sample) -> Vec<Value> {
    vec![
        Value::Unsigned(*pid),
        text(command),
        text(command),
        Value::Unsigned(if *pid < 1000 { 0 } else { 1000 }),
        Value::text(*unit),
        Value::Missing,
    ]
}

/// The memory of processes after some seconds: the first one grows.
pub fn mem(second: u64) -> Report {
    let mut columns = process_columns();
    let gauge = |name| Column::gauge(name, Unit::Bytes).adding();
    columns.extend([
        gauge("rss").shown("RSS", 0),
        gauge("anon"),
        gauge("file"),
        gauge("shmem"),
        gauge("swap"),
        Column::gauge("rate_interval", Unit::BytesPerSecond).human("RATE", 4).noted(Notation::PerMinute),
        Column::trend("trend", Unit::Bytes, "TREND", 6),
        Column::text("verdict").shown("VERDICT", 2),
        Column::text("reason").shown("WHY", 5),
    ]);
    let row = |sample: &Sample| {
        let (pid, _, _, rss, rate, verdict, reason) = *sample;
        let rss = rss * MIB + (rate.max(0.0) * MIB as f64 / 60.0) as u64 * second;
        let rate = rate * MIB as f64 / 60.0;
        let mut cells = process_cells(sample);
        cells.extend([
            Value::Unsigned(rss),
            Value::Unsigned(rss / 4 * 3),
            Value::Unsigned(rss / 4),
            Value::Unsigned(0),
            Value::Unsigned(0),
            Value::Interval { value: rate, low: rate - 7000.0, high: rate + 7000.0 },
            Value::Series((0..30).map(|step| rss as f64 + rate * f64::from(step)).collect()),
            text(verdict),
            text(reason),
        ]);
        let emphasis = match verdict {
            "leak" => Emphasis::Alarm,
            "growing" => Emphasis::Notice,
            _ => Emphasis::Plain,
        };
        let details = if verdict == "leak" {
            vec!["memory is full in about 3 h 40 min".to_owned()]
        } else {
            Vec::new()
        };
        Row {
            subject: Subject::Process(id(pid)),
            processes: vec![id(pid)],
            cells,
            emphasis,
            details,
            ended: false,
        }
    };
    let mut rows: Vec<Row> = PROCESSES.iter().map(row).collect();
    if second == 1 {
        let ended = (4711, "cc1", None, 90, 0.0, "unknown", "it ended; at most 90 MiB was resident");
        rows.push(Row { ended: true, ..row(&ended) });
    }
    let kinds = vec![Column::label("account").shown("WHERE MEMORY IS", 0), gauge("bytes").shown("SIZE", 0)];
    let account = |(name, bytes): (&str, u64)| Row {
        cells: vec![text(name), Value::Unsigned(bytes)],
        ..Row::default()
    };
    let accounts =
        [("processes", 3300 * MIB), ("file cache", 9000 * MIB), ("kernel", 700 * MIB)].map(account).to_vec();
    let headline = [
        "Memory 23.5 GiB, 61 % used, growing by 41 MiB a minute: full in about 3 h 40 min.",
        "24117 worker.py leaks.",
    ];
    let tables = vec![Table::of_processes("rows", columns, rows), Table::new("accounts", kinds, accounts)];
    let note = Note::new(CommonNote::Blind, "Seen in part: page faults (a sample of every tenth).");
    Report { notes: vec![note], ..report("mem", second, &headline, tables) }
}

fn disk(second: u64) -> Report {
    let columns = vec![
        Column::label("mount").shown("MOUNT", 0),
        Column::gauge("size", Unit::Bytes).shown("SIZE", 2),
        Column::gauge("used", Unit::Bytes).shown("USED", 1),
        Column::gauge("grows", Unit::BytesPerSecond).shown("GROWS", 0).noted(Notation::Signed),
        Column::text("full_in").shown("FULL IN", 0),
    ];
    let row = |(dev, mount, used, grows, full): (u32, &str, u64, f64, Option<&str>)| Row {
        subject: Subject::Filesystem { dev },
        cells: vec![
            text(mount),
            Value::Unsigned(40_000 * MIB),
            Value::Unsigned(used * MIB + (grows * second as f64) as u64),
            Value::Real(grows),
            Value::text(full),
        ],
        emphasis: if full.is_some() { Emphasis::Alarm } else { Emphasis::Plain },
        ..Row::default()
    };
    let rows = vec![
        row((1, "/var", 39_000, 4.4 * MIB as f64, Some("9 to 12 min"))),
        row((2, "/", 12_000, 0.0, None)),
        row((3, "/srv/ein sehr langer Pfad mit Leerzeichen/und/vielen/Verzeichnissen", 900, 0.0, None)),
    ];
    let mut writing = process_columns();
    writing.extend([
        Column::gauge("written", Unit::Bytes).shown("WROTE", 0).adding(),
        Column::gauge("rate", Unit::BytesPerSecond).shown("RATE", 0).adding(),
    ]);
    let writers = PROCESSES[1..3].iter().map(|sample| {
        let mut cells = process_cells(sample);
        cells.extend([Value::Unsigned(sample.3 * MIB), Value::Real(sample.3 as f64 * 30_000.0)]);
        Row {
            subject: Subject::Process(id(sample.0)),
            processes: vec![id(sample.0)],
            cells,
            ..Row::default()
        }
    });
    let tables = vec![
        Table::new("filesystems", columns, rows),
        Table::of_processes("writers", writing, writers.collect()),
    ];
    report("disk", second, &["/var is full in 9 to 12 min: 1204 legacyd writes 4.4 MiB/s."], tables)
}

fn deleted(second: u64) -> Report {
    let columns = vec![
        Column::text("path").shown("FILE", 0),
        Column::label("mount"),
        Column::gauge("allocated", Unit::Bytes).shown("TAKES", 0).adding(),
        Column::text("held_by").human("HELD BY", 1),
    ];
    let row = Row {
        subject: Subject::Process(id(1204)),
        processes: vec![id(1204)],
        cells: vec![
            text("/var/log/legacy/debug.log"),
            text("/var"),
            Value::Unsigned(8200 * MIB),
            text("1204 legacyd"),
        ],
        details: vec!["truncate -s 0 /proc/1204/fd/7 frees it".to_owned()],
        ..Row::default()
    };
    report(
        "deleted-open",
        second,
        &["1 deleted file takes 8 GiB."],
        vec![Table::of_processes("rows", columns, vec![row])],
    )
}

fn net(second: u64) -> Report {
    let mut columns = process_columns();
    columns.extend([
        Column::gauge("tx_rate", Unit::BytesPerSecond).shown("SENDS", 0).noted(Notation::Bits).adding(),
        Column::gauge("rx_rate", Unit::BytesPerSecond).shown("RECEIVES", 0).noted(Notation::Bits).adding(),
        Column::gauge("share", Unit::Ratio).shown("SHARE", 1).merged(Merge::Sum),
        Column::text("limited_by").shown("LIMITED BY", 2),
    ]);
    let rows = PROCESSES[..4].iter().map(|sample| {
        let mut cells = process_cells(sample);
        let rate = sample.3 as f64 * 12_000.0;
        cells.extend([Value::Real(rate), Value::Real(rate / 7.0), Value::Real(rate / 4e7), text("network")]);
        Row {
            subject: Subject::Process(id(sample.0)),
            processes: vec![id(sample.0)],
            cells,
            ..Row::default()
        }
    });
    let links =
        vec![Column::label("link").shown("LINK", 0), Column::gauge("use", Unit::Ratio).shown("USE", 0)];
    let link = Row {
        subject: Subject::Link { name: b"eth0".to_vec() },
        cells: vec![text("eth0"), Value::Real(0.71)],
        ..Row::default()
    };
    let tables =
        vec![Table::of_processes("rows", columns, rows.collect()), Table::new("links", links, vec![link])];
    report("net", second, &["eth0 is 71 % used; 24117 worker.py sends most."], tables)
}

fn connections(second: u64) -> Report {
    let mut columns = process_columns();
    columns.extend([
        Column::label("remote").shown("REMOTE", 0).key_of(GroupBy::Remote),
        Column::gauge("rtt", Unit::Seconds).shown("RTT", 1),
        Column::text("limited_by").shown("LIMITED BY", 1),
        Column::text("evidence").shown("WHY", 3),
    ]);
    let rows = PROCESSES[..3].iter().enumerate().map(|(place, sample)| {
        let mut cells = process_cells(sample);
        cells.extend([
            text(&format!("[2001:db8::{place}]:443")),
            Value::Real(0.02 * (place + 1) as f64),
            text("receiver"),
            text("the peer's window is full 84 % of the time"),
        ]);
        let cookie = place as u64;
        Row {
            subject: Subject::Connection { cookie },
            processes: vec![id(sample.0)],
            cells,
            ..Row::default()
        }
    });
    report("connections", second, &[], vec![Table::of_processes("rows", columns, rows.collect())])
}

fn overview(second: u64) -> Report {
    let columns = vec![
        Column::label("severity"),
        Column::label("kind"),
        Column::text("text"),
        Column::text("evidence"),
        Column::text("next"),
    ];
    let row = |severity: &str, emphasis, pid, what: &str, evidence: &str, next: &str| Row {
        subject: Subject::Process(id(pid)),
        processes: vec![id(pid)],
        cells: vec![text(severity), text("leak"), text(what), text(evidence), text(next)],
        emphasis,
        ..Row::default()
    };
    let rows = vec![
        row(
            "now",
            Emphasis::Alarm,
            1204,
            "/var is full in 9 to 12 min: legacyd (legacy.service) appends 4.4 MiB/s to /var/log/legacy/debug.log, deleted 12 min ago.",
            "it grew 264 MiB in the last minute, 1.1 GiB are left",
            "truncate -s 0 /proc/1204/fd/7",
        ),
        row(
            "soon",
            Emphasis::Notice,
            24117,
            "worker.py (jobs.service) leaks 38 MiB a minute: memory is full in about 3 h 40 min.",
            "every low point of 58 min is higher than the last",
            "observer mem --where -p 24117",
        ),
        row(
            "watch",
            Emphasis::Plain,
            7721,
            "eth0 is 71 % used; restic (backup.service) takes 84 % of it.",
            "",
            "observer limit -p 7721 --tx 400mbit",
        ),
    ];
    report(
        "overview",
        second,
        &["2 things run out on web-3; 1 thing is worth a look."],
        vec![Table::new("problems", columns, rows)],
    )
}
