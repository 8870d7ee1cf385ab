//! Reports of every view, as samples for the tests of the outputs.

use observer_core::report::{
    Column, CommonNote, Emphasis, Hidden, LossTotals, Notation, Note, Report, Row, Table, Unit, Value,
};

const MIB: f64 = 1_048_576.0;

/// One of each view, and an empty one.
pub(super) fn all() -> Vec<Report> {
    let quiet = report("mem", "Nothing happens.", Vec::new());
    vec![mem(), deleted_open(), net(), overview(), long(100), quiet]
}

pub(super) fn overview() -> Report {
    let columns = vec![
        Column::label("severity"),
        Column::label("urgency").human("", 0),
        Column::text("problem").human("", 0).noted(Notation::Sentence),
    ];
    let row = |severity, urgency, emphasis, problem, details: &[&str]| Row {
        cells: vec![words(severity), words(urgency), words(problem)],
        emphasis,
        details: details.iter().map(|detail| (*detail).to_owned()).collect(),
        ..Row::default()
    };
    let full = "/var is full in 9 to 12 min: legacyd (legacy.service) appends 4.4 MiB/s to /var/log/legacy/debug.log, \
                deleted 12 min ago.";
    let rows = vec![
        row("now", "NOW", Emphasis::Alarm, full, &["→ truncate -s 0 /proc/1204/fd/7"]),
        row("watch", "watch", Emphasis::Plain, "eth0 is 71 % used.", &[]),
    ];
    report("overview", "1 thing runs out on web-3.", vec![Table::new("problems", columns, rows)])
}

pub(super) fn report(view: &'static str, headline: &str, tables: Vec<Table>) -> Report {
    let mut report = Report {
        view,
        host: "host".to_owned(),
        now: Default::default(),
        elapsed: 1.0,
        observed: 700.0,
        loss: LossTotals::default(),
        headline: vec![headline.to_owned()],
        totals: Vec::new(),
        tables,
        notes: Vec::new(),
    };
    report.now.wall = 1_795_168_800_123_456_789;
    report
}

fn bytes(mib: f64) -> Value {
    Value::Unsigned((mib * MIB) as u64)
}

fn words(text: &str) -> Value {
    if text.is_empty() { Value::Missing } else { Value::Text(text.to_owned()) }
}

fn mem_columns() -> Vec<Column> {
    vec![
        Column::label("pid").shown("PID", 1),
        Column::label("comm").shown("COMMAND", 0),
        Column::label("unit").shown("UNIT", 8),
        Column::gauge("rss", Unit::Bytes).shown("RSS", 0).adding(),
        Column::gauge("growth", Unit::Bytes).shown("1 MIN", 3).noted(Notation::Signed).adding(),
        Column::gauge("rate", Unit::BytesPerSecond).shown("RATE", 5).noted(Notation::PerMinute),
        Column::trend("trend", Unit::Bytes, "TREND", 6),
        Column::label("verdict").shown("VERDICT", 1),
        Column::label("reason").shown("", 7),
    ]
}

pub(super) fn mem() -> Report {
    let row =
        |pid, comm, unit, rss, growth: f64, (rate, width): (f64, f64), trend: &[f64], verdict, reason| Row {
            cells: vec![
                Value::Unsigned(pid),
                words(comm),
                words(unit),
                bytes(rss),
                Value::Signed((growth * MIB) as i64),
                Value::Interval {
                    value: rate * MIB / 60.0,
                    low: (rate - width) * MIB / 60.0,
                    high: (rate + width) * MIB / 60.0,
                },
                Value::Series(trend.to_vec()),
                words(verdict),
                words(reason),
            ],
            ..Row::default()
        };
    let rows = vec![
        Row {
            emphasis: Emphasis::Alarm,
            ..row(
                24117,
                "worker.py",
                "jobs.service",
                1945.6,
                38.2,
                (38.1, 0.4),
                &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
                "leak",
                "every low point is higher than the last, for 11 min",
            )
        },
        Row {
            emphasis: Emphasis::Notice,
            ..row(
                3310,
                "java",
                "app.service",
                4300.9,
                2.9,
                (3.0, 2.1),
                &[3.0, 5.0, 2.0, 4.0, 3.0, 6.0, 5.0, 7.0],
                "growing",
                "12 min more needed to rule out a warm-up",
            )
        },
        row(812, "redis-server", "redis.service", 2150.4, 0.1, (0.0, 0.0), &[90.0, 91.0, 90.0], "stable", ""),
        Row {
            ended: true,
            emphasis: Emphasis::Faint,
            ..row(9, "漢字のプロセス", "", 0.7, 0.0, (0.0, 0.0), &[], "unknown", "")
        },
    ];
    let main = Table {
        hidden: Hidden { rows: 214, sums: vec![("rss", 3174.4 * MIB)] },
        ..Table::of_processes("rows", mem_columns(), rows)
    };
    report(
        "mem",
        "Memory 23.5 GiB, 61 % used, growing by 41 MiB a minute: full in about 3 h 40 min. One leak suspected: worker.py.",
        vec![main],
    )
}

pub(super) fn deleted_open() -> Report {
    let columns = vec![
        Column::gauge("allocated", Unit::Bytes).shown("ALLOCATED", 0).adding(),
        Column::gauge("rate", Unit::BytesPerSecond).shown("GROWS", 3).noted(Notation::Signed),
        Column::label("path").shown("FILE", 0),
        Column::label("held_by").human("HELD BY", 1),
        Column::label("deleted").human("DELETED", 5),
        Column::label("holders"),
    ];
    let first = Row {
        cells: vec![
            bytes(7270.4),
            Value::Real(4.4 * MIB),
            words("/var/log/legacy/debug.log"),
            words("1204 legacyd (legacy.service)"),
            words("12 min ago by 998 logrotate"),
            Value::List(vec![Value::Object(vec![
                ("pid", Value::Unsigned(1204)),
                ("append", Value::Flag(true)),
            ])]),
        ],
        emphasis: Emphasis::Alarm,
        details: vec![
            "opened for append: `truncate -s 0 /proc/1204/fd/7` frees it without a restart".to_owned(),
        ],
        ..Row::default()
    };
    let second = Row {
        cells: vec![
            bytes(180.0),
            Value::Missing,
            words("/var/tmp/sort.8Jx"),
            words("4410 sort, 4411 sort (session)"),
            words("before start"),
            Value::List(Vec::new()),
        ],
        ..Row::default()
    };
    let main = Table::of_processes("rows", columns, vec![first, second]);
    Report {
        notes: vec![Note::new(
            CommonNote::Blind,
            "files deleted before observer started have the name they had last, which may be in a directory that has \
             been moved since",
        )],
        ..report(
            "deleted-open",
            "/var (ext4, 40 GiB) holds 7.3 GiB in 2 deleted files. Freeing them: restart legacy.service, or see below.",
            vec![main],
        )
    }
}

pub(super) fn net() -> Report {
    let columns = vec![
        Column::label("pid").shown("PID", 1),
        Column::label("comm").shown("COMMAND", 0),
        Column::label("unit").shown("UNIT", 8),
        Column::gauge("tx_rate", Unit::BytesPerSecond).shown("SENDS", 0).noted(Notation::Bits).adding(),
        Column::gauge("rx_rate", Unit::BytesPerSecond).shown("RECEIVES", 1).noted(Notation::Bits).adding(),
        Column::gauge("share", Unit::Ratio).shown("SHARE", 2),
        Column::gauge("tx", Unit::Bytes).shown("SINCE START", 5).adding(),
        Column::label("to").shown("TO", 4),
        Column::label("limited_by").shown("LIMITED BY", 6),
    ];
    let row = |pid, comm, unit, (tx, rx): (f64, f64), share, since, to, limited| Row {
        cells: vec![
            Value::Unsigned(pid),
            words(comm),
            words(unit),
            Value::Real(tx * 125_000.0),
            Value::Real(rx * 125_000.0),
            Value::Real(share),
            bytes(since),
            words(to),
            words(limited),
        ],
        ..Row::default()
    };
    let rows = vec![
        Row {
            emphasis: Emphasis::Notice,
            ..row(
                7721,
                "restic",
                "backup.service",
                (768.0, 1.1),
                0.84,
                39_116.8,
                "s3.example:443",
                "the link; its queue holds 38 ms",
            )
        },
        row(
            1833,
            "postgres",
            "pg.service",
            (92.0, 4.0),
            0.1,
            1126.4,
            "10.0.0.7:5432",
            "the receiver reads slowly",
        ),
        row(2210, "curl", "", (0.3, 8.8), 0.01, 40.0, "mirror:443", "latency: 81 ms a round trip"),
    ];
    let links = Table::new(
        "links",
        vec![
            Column::label("interface").shown("LINK", 0),
            Column::gauge("speed", Unit::BitsPerSecond).shown("SPEED", 2),
            Column::gauge("tx_rate", Unit::BytesPerSecond).shown("SENDS", 0).noted(Notation::Bits),
            Column::gauge("rx_rate", Unit::BytesPerSecond).shown("RECEIVES", 0).noted(Notation::Bits),
            Column::gauge("use", Unit::Ratio).shown("USE", 0),
            Column::gauge("drops", Unit::Count).shown("DROPS", 1),
        ],
        vec![Row {
            cells: vec![
                words("eth0"),
                Value::Unsigned(1_000_000_000),
                Value::Real(114e6),
                Value::Real(2e6),
                Value::Real(0.91),
                Value::Unsigned(12_345),
            ],
            ..Row::default()
        }],
    );
    Report {
        loss: LossTotals { ring: 12, map_full: 1, names: 3, unattributed: 4096, skipped: 0 },
        ..report(
            "net",
            "eth0 sends 912 Mbit/s of 1 Gbit/s (91 %): backup takes 84 % of it and adds 38 ms to every round trip.",
            vec![Table::of_processes("rows", columns, rows), links],
        )
    }
}

/// A report with more rows than a terminal has.
pub(super) fn long(rows: u64) -> Report {
    let row = |number: u64| Row {
        cells: vec![Value::Unsigned(number), words(&format!("worker-{number}")), bytes(number as f64)],
        details: if number.is_multiple_of(7) { vec!["a detail below it".to_owned()] } else { Vec::new() },
        ..Row::default()
    };
    let columns = vec![
        Column::label("pid").shown("PID", 1),
        Column::label("comm").shown("COMMAND", 0),
        Column::gauge("rss", Unit::Bytes).shown("RSS", 0).adding(),
    ];
    let main = Table::of_processes("rows", columns, (1..=rows).map(row).collect());
    report("mem", "Memory 23.5 GiB, 61 % used.", vec![main])
}
