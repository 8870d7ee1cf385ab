//! Shaping moves, merges and hides rows. It never changes their sums.

use regex::Regex;

use super::*;
use crate::{
    facts::{TaskId, process::ProcessFact},
    report::{Emphasis, Hidden, LossTotals, Row, Subject, Unit, Value},
    view::View,
};

/// The processes of these tests are called after their parity, and every third has no unit.
fn parity() -> Processes {
    let mut processes = Processes::default();
    for tgid in 1..=200_u64 {
        let (id, comm) = (process(tgid), if tgid.is_multiple_of(2) { "even" } else { "odd" });
        processes.apply(&ProcessFact::Met { id, comm: comm.as_bytes().into(), uid: 0, kernel_thread: false });
        let cgroup = match tgid % 3 {
            0 => "/user.slice".to_owned(),
            rest => format!("/system.slice/u{rest}.service"),
        };
        processes.apply(&ProcessFact::Named { id, exe: None, cgroup: Some(cgroup.into()), cmdline: None });
    }
    processes
}

fn process(tgid: u64) -> TaskId {
    TaskId { start: 1000, tgid }
}

fn row(tgid: u64, rss: Option<u64>) -> Row {
    Row {
        subject: Subject::Process(process(tgid)),
        processes: vec![process(tgid)],
        cells: vec![
            Value::Unsigned(tgid),
            Value::Text(if tgid.is_multiple_of(2) { "even" } else { "odd" }.to_owned()),
            Value::text((!tgid.is_multiple_of(3)).then(|| format!("u{}.service", tgid % 3))),
            Value::unsigned(rss),
            Value::Real(0.5),
            Value::Text("stable".to_owned()),
        ],
        ..Row::default()
    }
}

fn report(rows: Vec<Row>) -> Report {
    let columns = vec![
        Column::label("pid").shown("PID", 0),
        Column::label("comm").shown("COMMAND", 0).same(),
        Column::label("unit").shown("UNIT", 5).same(),
        Column::gauge("rss", Unit::Bytes).shown("RSS", 0).adding(),
        Column::gauge("rtt", Unit::Seconds),
        Column::text("verdict").shown("VERDICT", 1),
    ];
    let links = Table::new(
        "links",
        vec![
            Column::label("interface").shown("LINK", 0),
            Column::gauge("speed", Unit::BitsPerSecond).shown("SPEED", 0),
        ],
        [3, 9, 5]
            .map(|speed| Row {
                cells: vec![Value::Text(format!("eth{speed}")), Value::Unsigned(speed)],
                ..Row::default()
            })
            .to_vec(),
    );
    Report {
        view: "mem",
        host: String::new(),
        now: Default::default(),
        elapsed: 1.0,
        observed: 1.0,
        loss: LossTotals::default(),
        headline: Vec::new(),
        totals: Vec::new(),
        tables: vec![Table::of_processes("rows", columns, rows), links],
        notes: Vec::new(),
    }
}

fn shaped(rows: Vec<Row>, change: impl FnOnce(&mut Request)) -> Report {
    let mut report = report(rows);
    let mut request = Request::new(View::new("mem"));
    change(&mut request);
    shape(&mut report, &request, &parity()).expect("every column exists");
    report
}

fn column(table: &Table, name: &str) -> Vec<Value> {
    let at = table.position(name).expect("the column exists");
    table.rows.iter().map(|row| row.cells[at].clone()).collect()
}

fn sum(values: &[Value]) -> u64 {
    values.iter().map(|value| if let Value::Unsigned(number) = value { *number } else { 0 }).sum()
}

fn sorted(column: &str, ascending: bool) -> Option<Sort> {
    Some(Sort { column: column.to_owned(), ascending })
}

/// Rows of changing, large sizes: their sum is not exact in floats.
fn many(count: u64) -> Vec<Row> {
    (1..=count).map(|tgid| row(tgid, Some((1 << 53) + tgid * 2_654_435_761 % 9973))).collect()
}

#[test]
fn only_the_requested_processes_stay() {
    let by_number = shaped(many(10), |request| request.pids = vec![3, 7, 99]);
    assert_eq!(column(&by_number.tables[0], "pid"), [Value::Unsigned(3), Value::Unsigned(7)]);

    let by_name = shaped(many(10), |request| request.comm = Regex::new("^odd$").ok());
    assert_eq!(by_name.tables[0].rows.len(), 5);

    let both = shaped(many(10), |request| {
        request.comm = Regex::new("odd").ok();
        request.pids = vec![3, 4];
    });
    assert_eq!(column(&both.tables[0], "pid"), [Value::Unsigned(3)]);
    assert_eq!(both.tables[1].rows.len(), 3, "links are about no process");
}

#[test]
fn a_unit_and_a_container_are_selected_by_their_names() {
    let by_unit = shaped(many(9), |request| request.unit = Regex::new("^u1[.]service$").ok());
    assert_eq!(column(&by_unit.tables[0], "pid"), [1, 4, 7].map(Value::Unsigned));
    let both = shaped(many(9), |request| {
        request.unit = Regex::new("u1").ok();
        request.comm = Regex::new("even").ok();
    });
    assert_eq!(column(&both.tables[0], "pid"), [Value::Unsigned(4)]);
    let by_container = shaped(many(9), |request| request.container = Regex::new("").ok());
    assert_eq!(by_container.tables[0].rows.len(), 0, "none is in a container");
    assert_eq!(by_container.tables[1].rows.len(), 3, "links are about no process");
}

#[test]
fn a_socket_in_the_namespace_of_a_container_is_selected_and_grouped_with_it() {
    let mut report = report(many(2));
    let table = &mut report.tables[0];
    table.columns.push(Column::label("netns_container").key_of(GroupBy::Container));
    table.rows[1].cells.push(Value::Text("web".to_owned()));
    let request = Request { container: Regex::new("^web$").ok(), ..Request::new(View::new("connections")) };
    let mut selected = report.clone();
    shape(&mut selected, &request, &parity()).unwrap();
    assert_eq!(column(&selected.tables[0], "pid"), [Value::Unsigned(2)]);
    let request = Request { by: GroupBy::Container, ..Request::new(View::new("connections")) };
    shape(&mut report, &request, &parity()).unwrap();
    let key = Some("web".to_owned());
    assert!(
        report.tables[0]
            .rows
            .iter()
            .any(|row| row.subject == Subject::Group { by: request.by, key: key.clone() })
    );
}

#[test]
fn the_last_row_of_an_ended_process_is_selected_as_any_other() {
    for change in [
        |request: &mut Request| request.pids = vec![4],
        |request: &mut Request| request.comm = Regex::new("even").ok(),
        |request: &mut Request| request.unit = Regex::new("u1").ok(),
    ] {
        let ended = shaped(vec![row(3, Some(1)), Row { ended: true, ..row(4, None) }], change);
        assert_eq!(ended.tables[0].rows.len(), 1);
        assert!(ended.tables[0].rows[0].ended);
    }
}

#[test]
fn a_file_stays_if_any_of_its_holders_was_requested() {
    let mut shared = row(4, Some(1));
    shared.processes.push(process(5));
    let report = shaped(vec![shared, row(6, Some(1))], |request| request.pids = vec![5]);
    assert_eq!(report.tables[0].rows.len(), 1);
}

#[test]
fn sorting_moves_rows_and_changes_none() {
    for ascending in [false, true] {
        let report = shaped(many(100), |request| request.sort = sorted("rss", ascending));
        let mut rss: Vec<u64> = column(&report.tables[0], "rss")
            .iter()
            .map(|value| if let Value::Unsigned(number) = value { *number } else { 0 })
            .collect();
        assert_eq!(rss.len(), 100);
        if !ascending {
            rss.reverse();
        }
        assert!(rss.is_sorted(), "neighbours of 2^53 differ too");
    }
}

#[test]
fn missing_values_come_last_in_both_directions() {
    let rows = || vec![row(1, None), row(2, Some(5)), row(3, None), row(4, Some(7))];
    let pids = |report: &Report| sum(&column(&report.tables[0], "pid")[..2]);
    assert_eq!(pids(&shaped(rows(), |request| request.sort = sorted("rss", false))), 6);
    assert_eq!(pids(&shaped(rows(), |request| request.sort = sorted("rss", true))), 6);
}

#[test]
fn equal_rows_keep_their_order() {
    let report = shaped((1..50).map(|tgid| row(tgid, Some(7))).collect(), |request| {
        request.sort = sorted("rss", false);
    });
    let pids = column(&report.tables[0], "pid");
    assert_eq!(pids, (1..50).map(Value::Unsigned).collect::<Vec<_>>());
}

#[test]
fn an_unknown_column_names_those_that_exist() {
    let mut report = report(many(3));
    let mut request = Request::new(View::new("mem"));
    request.sort = sorted("resident", false);
    let error = shape(&mut report, &request, &parity()).expect_err("there is no such column");
    assert_eq!(
        error.to_string(),
        "view mem has no column `resident`; it has pid, comm, unit, rss, rtt, verdict, interface, speed"
    );
}

#[test]
fn a_column_of_another_table_sorts_that_one() {
    let report = shaped(many(5), |request| request.sort = sorted("speed", false));
    assert_eq!(column(&report.tables[1], "speed"), [9, 5, 3].map(Value::Unsigned));
    assert_eq!(column(&report.tables[0], "pid")[0], Value::Unsigned(1));
}

#[test]
fn shown_and_hidden_are_the_whole() {
    let whole = shaped(many(100), |_| ());
    for top in [1, 10, 99, 100, 1000] {
        let report = shaped(many(100), |request| {
            request.sort = sorted("rss", false);
            request.top = Some(top);
        });
        let table = &report.tables[0];
        assert_eq!(table.rows.len(), top.min(100));
        assert_eq!(table.rows.len() + table.hidden.rows, 100);
        let hidden = table.hidden.sums.iter().find(|(name, _)| *name == "rss").map_or(0.0, |(_, sum)| *sum);
        let all = sum(&column(&whole.tables[0], "rss")) as f64;
        assert!((sum(&column(table, "rss")) as f64 + hidden - all).abs() < 1e-9 * all);
        assert_eq!(report.tables[1].rows.len(), 3, "the links stay");
    }
}

#[test]
fn cutting_twice_hides_as_much_as_cutting_once() {
    let mut once = report(many(20)).tables.remove(0);
    let mut twice = once.clone();
    cut(&mut once, 3);
    cut(&mut twice, 11);
    cut(&mut twice, 3);
    assert_eq!(once.rows, twice.rows);
    assert_eq!(once.hidden.rows, twice.hidden.rows);
}

#[test]
fn a_hidden_row_of_unknown_size_leaves_no_sum() {
    let report =
        shaped(vec![row(1, Some(9)), row(2, Some(3)), row(3, None)], |request| request.top = Some(1));
    assert_eq!(report.tables[0].hidden, Hidden { rows: 2, sums: Vec::new() });
}

#[test]
fn a_missing_value_of_an_ended_process_counts_as_nothing() {
    let rows = || vec![row(2, Some(9)), row(4, Some(3)), Row { ended: true, ..row(6, None) }];
    let cut = shaped(rows(), |request| request.top = Some(1));
    assert_eq!(cut.tables[0].hidden, Hidden { rows: 2, sums: vec![("rss", 3.0)] });
    let grouped = shaped(rows(), |request| request.by = GroupBy::Comm);
    assert_eq!(column(&grouped.tables[0], "rss"), [Value::Unsigned(12)]);
}

#[test]
fn groups_add_up_exactly_to_what_they_were_made_of() {
    let whole = sum(&column(&report(many(101)).tables[0], "rss"));
    for by in [GroupBy::Unit, GroupBy::Container, GroupBy::Comm] {
        let report = shaped(many(101), |request| request.by = by);
        let table = &report.tables[0];
        assert_eq!(sum(&column(table, "rss")), whole, "{by:?}");
        assert_eq!(sum(&column(table, "processes")), 101, "{by:?}");
    }
}

#[test]
fn a_group_holds_only_what_is_true_of_all_its_rows() {
    let report = shaped(many(9), |request| request.by = GroupBy::Unit);
    let table = &report.tables[0];
    assert_eq!(table.columns.iter().filter(|column| column.name == "unit").count(), 1);
    assert_eq!(table.rows.len(), 3);
    let units = column(table, "unit");
    assert!(units.contains(&Value::Missing), "three processes have no unit");
    for name in ["pid", "rtt", "verdict", "comm"] {
        assert_eq!(column(table, name), vec![Value::Missing; 3], "{name}");
    }
    for row in &table.rows {
        assert_eq!(row.cells.len(), table.columns.len());
    }
}

#[test]
fn a_sum_with_an_unknown_part_is_unknown() {
    let report = shaped(vec![row(2, Some(1)), row(4, None)], |request| request.by = GroupBy::Comm);
    assert_eq!(column(&report.tables[0], "rss"), [Value::Missing]);
}

#[test]
fn a_group_matters_as_much_as_its_most_important_row() {
    let mut alarm = row(2, Some(1));
    alarm.emphasis = Emphasis::Alarm;
    let report =
        shaped(vec![row(1, Some(100)), row(4, Some(1)), alarm], |request| request.by = GroupBy::Comm);
    let table = &report.tables[0];
    assert_eq!(column(table, "comm")[0], Value::Text("even".to_owned()));
    assert_eq!(table.rows[0].emphasis, Emphasis::Alarm);
}

#[test]
fn a_file_held_by_two_units_is_counted_once() {
    let mut shared = row(4, Some(10));
    shared.processes.push(process(5));
    let report = shaped(vec![shared, row(7, Some(1))], |request| request.by = GroupBy::Unit);
    let table = &report.tables[0];
    assert_eq!(sum(&column(table, "rss")), 11);
    assert_eq!(column(table, "unit")[0], Value::Text("u1.service, u2.service".to_owned()));
}
