//! The view `overview`: what runs out on this machine, the most urgent first, from the states of all domains.
//!
//! It knows no domain. It merges their outlooks, follows their conditions over time, and makes the report.

use crate::{
    facts::{TaskId, session::Timestamp},
    problem::{
        Problem,
        condition::{Capacity, Outlook},
        tracker::ProblemTracker,
    },
    report::{Column, Emphasis, Notation, Report, Row, Subject, Table, Total, Unit, Value},
    severity::Severity,
    units,
    view::View,
};

/// The view.
pub const OVERVIEW: View = View {
    help: "What runs out on this machine, the most urgent first, and who does it",
    ..View::new("overview")
};

/// The key of the table of problems.
const PROBLEMS: &str = "problems";

/// A longer time until something is full (30 days, in seconds) is not shown.
const FAR: f64 = 30.0 * 86_400.0;

/// The problems of a machine, and what it needs to say that there are none.
#[derive(Debug, Default)]
pub struct Overview {
    tracker: ProblemTracker,
    nearest: Option<Capacity>,
    totals: Vec<Total>,
    unattributed: u64,
}

impl Overview {
    /// Takes in what the domains have found for the report of `now`. `exists`: whether a subject still exists.
    pub fn update(&mut self, outlooks: Vec<Outlook>, now: Timestamp, exists: impl Fn(&Subject) -> bool) {
        let (mut conditions, mut capacities) = (Vec::new(), Vec::new());
        (self.totals, self.unattributed) = (Vec::new(), 0);
        for outlook in outlooks {
            conditions.extend(outlook.conditions);
            capacities.extend(outlook.capacities);
            self.totals.extend(outlook.totals);
            self.unattributed = self.unattributed.saturating_add(outlook.unattributed);
        }
        self.nearest = capacities.into_iter().min_by(|one, other| nearness(one).total_cmp(&nearness(other)));
        self.tracker.update(conditions, now.boot, exists);
    }

    /// The problems, the most urgent first.
    #[must_use]
    pub fn problems(&self) -> Vec<&Problem> {
        self.tracker.problems()
    }

    /// Whether there is something that harms, or soon will.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.problems().first().is_some_and(|problem| problem.severity <= Severity::Soon)
    }

    /// The report. `frame` has its times, its notes and its losses; `object` makes the JSON object of a process.
    #[must_use]
    pub fn report(&self, frame: Report, object: impl Fn(TaskId) -> Value) -> Report {
        let problems = self.problems();
        let rows = problems.iter().map(|problem| row(problem, frame.now, &object)).collect();
        let mut report = Report {
            view: OVERVIEW.name,
            headline: self.headline(&problems, &frame.host),
            totals: self.totals.clone(),
            tables: vec![Table::new(PROBLEMS, columns(), rows)],
            ..frame
        };
        report.loss.unattributed = report.loss.unattributed.saturating_add(self.unattributed);
        report
    }

    fn headline(&self, problems: &[&Problem], host: &str) -> Vec<String> {
        let urgent = problems.iter().filter(|problem| problem.severity <= Severity::Soon).count() as u64;
        let watched = problems.len() as u64 - urgent;
        let on = if host.is_empty() { String::new() } else { format!(" on {host}") };
        let mut answer = match urgent {
            0 => format!("Nothing runs out{on}"),
            _ => {
                format!("{}{on}", units::counted(urgent, "thing runs out or fails", "things run out or fail"))
            }
        };
        if watched > 0 {
            let worth = units::counted(watched, "thing is", "things are");
            answer.push_str(&format!("; {worth} worth a look"));
        }
        let nearest = self.nearest.as_ref().filter(|_| urgent == 0);
        let nearest = nearest.map(|nearest| format!("Nearest to its limit: {}.", nearest.text));
        std::iter::once(format!("{answer}.")).chain(nearest).collect()
    }
}

/// The order of capacities, the smallest first: those with a time by their time, then the fullest.
fn nearness(capacity: &Capacity) -> f64 {
    match capacity.full_in.filter(|seconds| *seconds < FAR) {
        Some(seconds) => seconds,
        None => FAR * (2.0 - capacity.used),
    }
}

fn columns() -> Vec<Column> {
    let seconds = |name| Column::gauge(name, Unit::Seconds);
    vec![
        Column::label("severity"),
        Column::label("kind"),
        Column::text("subject"),
        Column::text("text"),
        Column::text("evidence"),
        Column::gauge("since", Unit::Seconds),
        seconds("harm_in"),
        seconds("harm_in_low"),
        seconds("harm_in_high"),
        Column::text("next"),
        Column::text("processes"),
        Column::label("urgency").human("", 0),
        Column::text("problem").human("", 0).noted(Notation::Sentence),
    ]
}

fn row(problem: &Problem, now: Timestamp, object: &impl Fn(TaskId) -> Value) -> Row {
    let harm = problem.harm_in;
    let mut subject = vec![("type", Value::Text(problem.subject.type_name().to_owned()))];
    if let Subject::Process(id) = problem.subject
        && let Value::Object(members) = object(id)
    {
        subject.extend(members);
    }
    subject.extend(problem.about.iter().cloned());
    let lasts = now.boot.saturating_sub(problem.since);
    let cells = vec![
        Value::Text(problem.severity.name().to_owned()),
        Value::Text(problem.kind.to_owned()),
        Value::Object(subject),
        Value::Text(problem.text.clone()),
        Value::Text(problem.evidence.clone()),
        Value::Real((now.wall.saturating_sub(lasts) / 1_000_000) as f64 / 1e3),
        Value::real(harm.map(|harm| harm.expected)),
        Value::real(harm.map(|harm| harm.low)),
        Value::real(harm.map(|harm| harm.high)),
        Value::text(problem.next.as_ref()),
        Value::List(problem.processes.iter().map(|id| object(*id)).collect()),
        Value::Text(urgency(problem.severity).to_owned()),
        Value::Text(problem.text.clone()),
    ];
    let evidence = Some(problem.evidence.as_str()).filter(|evidence| !evidence.is_empty());
    let evidence = evidence.map(|evidence| format!("{evidence}."));
    let next = problem.next.as_ref().map(|next| format!("→ {next}"));
    let emphasis = match problem.severity {
        Severity::Now => Emphasis::Alarm,
        Severity::Soon => Emphasis::Notice,
        Severity::Watch | Severity::Info => Emphasis::Plain,
    };
    Row {
        subject: problem.subject.clone(),
        processes: problem.processes.clone(),
        cells,
        emphasis,
        details: evidence.into_iter().chain(next).collect(),
        ended: false,
    }
}

/// A severity as a human reads it at a glance.
const fn urgency(severity: Severity) -> &'static str {
    match severity {
        Severity::Now => "NOW",
        Severity::Soon => "SOON",
        Severity::Watch => "watch",
        Severity::Info => "info",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        problem::{Harm, ProblemKind, condition::Condition},
        report::LossTotals,
    };

    static FULL: ProblemKind = ProblemKind { name: "full", confirm: 0, linger: 5 };

    const NOW: Timestamp = Timestamp { boot: 100_000_000_000, wall: 1_800_000_000_500_000_000 };

    fn found(severity: Severity, dev: u32) -> Condition {
        let problem = Problem {
            severity,
            kind: FULL.name,
            subject: Subject::Filesystem { dev },
            about: vec![("mount", Value::Text("/".to_owned()))],
            processes: vec![TaskId { start: 1, tgid: 7 }],
            text: "/ is full in 9 min.".to_owned(),
            evidence: "it grew 1 GiB in 60 s".to_owned(),
            since: NOW.boot - 60_000_000_000,
            harm_in: Some(Harm { expected: 540.0, low: 500.0, high: f64::INFINITY }),
            next: Some("observer disk".to_owned()),
        };
        Condition { kind: &FULL, begins: true, problem }
    }

    fn capacity(text: &str, used: f64, full_in: Option<f64>) -> Capacity {
        Capacity { text: text.to_owned(), used, full_in }
    }

    fn report_of(conditions: Vec<Condition>, capacities: Vec<Capacity>) -> (Overview, Report) {
        let mut overview = Overview::default();
        let totals = vec![Total::new(Column::gauge("total", Unit::Bytes), Value::Unsigned(7))];
        let outlook = Outlook { conditions, capacities, totals, unattributed: 3 };
        overview.update(vec![outlook, Outlook::default()], NOW, |_| true);
        let frame = Report {
            view: "mem",
            host: "web-3".to_owned(),
            now: NOW,
            elapsed: 1.0,
            observed: 1.0,
            loss: LossTotals::default(),
            headline: Vec::new(),
            totals: Vec::new(),
            tables: Vec::new(),
            notes: Vec::new(),
        };
        let object = |id: TaskId| Value::Object(vec![("pid", Value::Unsigned(id.pid().into()))]);
        let report = overview.report(frame, object);
        (overview, report)
    }

    #[test]
    fn a_healthy_machine_is_told_what_is_nearest_to_its_limit() {
        let capacities = vec![
            capacity("memory is 80 % used", 0.8, None),
            capacity("/ is 81 % full", 0.81, None),
            capacity("/var is full in 2 d", 0.2, Some(2.0 * 86_400.0)),
            capacity("/home is full in a year", 0.99, Some(365.0 * 86_400.0)),
        ];
        let (overview, report) = report_of(Vec::new(), capacities.clone());
        assert!(!overview.is_urgent());
        assert_eq!(
            report.headline,
            ["Nothing runs out on web-3.", "Nearest to its limit: /var is full in 2 d."]
        );
        let (_, report) = report_of(Vec::new(), capacities[..2].to_vec());
        assert_eq!(report.headline[1], "Nearest to its limit: / is 81 % full.");
    }

    #[test]
    fn a_problem_is_a_row_of_the_contract() {
        let conditions = vec![found(Severity::Watch, 2), found(Severity::Now, 1)];
        let (overview, report) = report_of(conditions, Vec::new());
        assert!(overview.is_urgent());
        assert_eq!((report.view, report.loss.unattributed), ("overview", 3));
        assert_eq!(report.total("total"), Some(&Value::Unsigned(7)));
        assert_eq!(report.headline, ["1 thing runs out or fails on web-3; 1 thing is worth a look."]);
        let table = &report.tables[0];
        let cell = |row: usize, name: &str| table.rows[row].cell(table.position(name).unwrap()).clone();
        assert_eq!(cell(0, "severity"), Value::Text("now".to_owned()));
        assert_eq!(cell(1, "severity"), Value::Text("watch".to_owned()));
        assert_eq!(cell(0, "since"), Value::Real(1_799_999_940.5));
        assert_eq!((cell(0, "harm_in"), cell(0, "harm_in_high")), (Value::Real(540.0), Value::Missing));
        let Value::Object(subject) = cell(0, "subject") else { panic!() };
        assert_eq!(subject[0], ("type", Value::Text("filesystem".to_owned())));
        assert_eq!(subject[1].0, "mount");
        let writer = Value::Object(vec![("pid", Value::Unsigned(7))]);
        assert_eq!(cell(0, "processes"), Value::List(vec![writer]));
        assert_eq!(table.rows[0].details, ["it grew 1 GiB in 60 s.", "→ observer disk"]);
        for row in &table.rows {
            assert_eq!(row.cells.len(), table.columns.len());
        }
    }
}
