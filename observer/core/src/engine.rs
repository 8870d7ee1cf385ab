//! Takes facts, makes reports. The code is the same for the live kernel and for a recording.

use std::collections::BTreeMap;

use crate::{
    context::Context,
    domain::State,
    facts::{
        Fact, TaskId,
        loss::LossFact,
        session::{SessionFact, Timestamp},
    },
    identity::process::Processes,
    problem::condition::{Condition, Outlook},
    queries::HostQueries,
    report::{
        CommonNote, LossTotals, Note, Report, Row, Table, Value, process,
        shape::{self, UnknownColumn},
    },
    text::{harmless, printable},
    view::{Request, View},
};

/// The state behind one view.
pub struct Engine {
    request: Request,
    domain: Box<dyn State>,
    session: Option<SessionFact>,
    processes: Processes,
    loss: BTreeMap<String, LossFact>,
    /// Runs of programs that the kernel skipped, by domain.
    skipped: BTreeMap<String, u64>,
    previous: Option<Timestamp>,
    /// The last interval in seconds, if it is longer than requested, to stay within the budget.
    stretched: Option<f64>,
}

impl Engine {
    /// The engine before any fact. `domain` is the empty state of the domain that answers `request`.
    #[must_use]
    pub fn new(request: Request, domain: Box<dyn State>) -> Self {
        Self {
            request,
            domain,
            session: None,
            processes: Processes::default(),
            loss: BTreeMap::new(),
            skipped: BTreeMap::new(),
            previous: None,
            stretched: None,
        }
    }

    /// Takes a fact.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Session(session) => self.session = Some(safe(session)),
            Fact::Process(process) => self.processes.apply(process),
            Fact::Loss(loss) => {
                self.loss.insert(loss.domain.clone(), loss.clone());
            }
            Fact::Skipped(skipped) => {
                self.skipped.insert(skipped.domain.clone(), skipped.runs);
            }
            Fact::Pace(pace) => self.stretched = (pace.interval > pace.asked).then_some(pace.interval),
            Fact::Tick(_) | Fact::Mem(_) | Fact::Disk(_) | Fact::Net(_) | Fact::Other(_) | Fact::Sites(_) => {
            }
        }
        self.domain.apply(fact);
    }

    /// A report is due at `now`, and all of its facts have been applied.
    pub fn tick(&mut self, now: Timestamp) {
        self.domain.tick(now);
    }

    /// The view that the engine answers.
    #[must_use]
    pub const fn view(&self) -> View {
        self.request.view
    }

    /// Answers `request` from now on. Returns the request if it needs another state: for another view, or for trends
    /// over another window.
    pub fn change(&mut self, request: Request) -> Option<Request> {
        if (self.request.view, self.request.window) != (request.view, request.window) {
            return Some(request);
        }
        self.request = Request { records: self.request.records, ..request };
        None
    }

    fn context<'a>(&'a self, request: &'a Request, now: Timestamp) -> Option<Context<'a>> {
        let session = self.session.as_ref()?;
        Some(Context {
            session,
            processes: &self.processes,
            request,
            now,
            previous: self.previous.unwrap_or(session.began),
            first: self.previous.is_none(),
        })
    }

    /// The request for `view`, limited to the first `rows` rows of each table.
    fn request(&self, view: View, rows: Option<usize>) -> Request {
        let top = self.request.top.into_iter().chain(rows).min();
        Request { view, top, ..self.request.clone() }
    }

    /// The report of this moment, shaped as requested, with at most `rows` rows in each table about processes. `None`
    /// before the first fact.
    ///
    /// # Errors
    /// When the view has no such column.
    pub fn report(&self, now: Timestamp, rows: Option<usize>) -> Result<Option<Report>, UnknownColumn> {
        self.report_of(self.request.view, now, rows)
    }

    /// The same for another view of the domain.
    ///
    /// # Errors
    /// As for [`Self::report`].
    pub fn report_of(
        &self,
        view: View,
        now: Timestamp,
        rows: Option<usize>,
    ) -> Result<Option<Report>, UnknownColumn> {
        let request = self.request(view, rows);
        let Some(context) = self.context(&request, now) else { return Ok(None) };
        let mut report = self.domain.report(&context);
        self.add_losses(&mut report);
        self.add_notes(&mut report, context.session);
        shape::shape(&mut report, &request, &self.processes)?;
        Ok(Some(report))
    }

    /// What the overview needs of the domain at `now`. `None` before the first fact.
    #[must_use]
    pub fn outlook(&self, now: Timestamp) -> Option<Outlook> {
        let context = self.context(&self.request, now)?;
        Some(self.domain.outlook(&context))
    }

    /// A report without tables: times, losses and the notes that every view has. `None` before the first fact.
    #[must_use]
    pub fn frame(&self, now: Timestamp) -> Option<Report> {
        let context = self.context(&self.request, now)?;
        let mut report = context.report(Vec::new());
        self.add_losses(&mut report);
        self.add_notes(&mut report, context.session);
        Some(report)
    }

    /// A process as an object of JSON.
    #[must_use]
    pub fn object(&self, id: TaskId) -> Value {
        process::object(id, &self.processes, &self.request)
    }

    /// What is known of processes.
    #[must_use]
    pub const fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Whether the request fits the view. An empty report shows it, before anything is observed.
    ///
    /// # Errors
    /// When the view has no such column.
    pub fn check(&self) -> Result<(), UnknownColumn> {
        let session = SessionFact::default();
        let context = Context {
            session: &session,
            processes: &self.processes,
            request: &self.request,
            now: session.began,
            previous: session.began,
            first: true,
        };
        shape::shape(&mut self.domain.report(&context), &self.request, &self.processes)
    }

    /// The host queries for the rows that will be shown now: at most the first `rows` of each table.
    ///
    /// # Errors
    /// As for [`Self::report`].
    pub fn queries(&self, now: Timestamp, rows: Option<usize>) -> Result<HostQueries, UnknownColumn> {
        let request = self.request(self.request.view, rows);
        let Some(context) = self.context(&request, now) else { return Ok(HostQueries::default()) };
        let mut report = self.domain.draft(&context);
        shape::shape(&mut report, &request, &self.processes)?;
        if let Some(rows) = rows {
            report.tables.iter_mut().for_each(|table| shape::cut(table, rows));
        }
        if request.problems {
            // What a problem is about is asked for like the rows that are shown.
            let conditions = self.domain.outlook(&context).conditions;
            let rows = conditions.into_iter().map(|Condition { problem, .. }| Row {
                subject: problem.subject,
                processes: problem.processes,
                ..Row::default()
            });
            report.tables.push(Table::of_processes("problems", Vec::new(), rows.collect()));
        }
        let mut queries = self.domain.queries(&report, &context);
        if request.unit.is_some() || request.container.is_some() {
            // The requested rows are known only when the names of all processes are known.
            let living = self.processes.iter().filter(|(_, process)| process.ended.is_none());
            queries.names.extend(living.map(|(id, _)| id).filter(|id| self.processes.unread(*id)));
        }
        Ok(queries)
    }

    /// The report of `now` has been delivered (or was only the baseline): ended things are removed, rates start from
    /// zero.
    pub fn delivered(&mut self, now: Timestamp) {
        self.domain.delivered(now);
        let domain = &self.domain;
        self.processes.forget_ended(now.boot, |id| domain.remembers(id));
        self.previous = Some(now);
    }

    fn add_losses(&self, report: &mut Report) {
        let sum =
            |counter: fn(&LossFact) -> u64| self.loss.values().map(counter).fold(0, u64::saturating_add);
        report.loss = LossTotals {
            ring: sum(|loss| loss.ring),
            map_full: sum(|loss| loss.map_full),
            names: self.processes.names_lost(),
            unattributed: report.loss.unattributed.saturating_add(sum(|loss| loss.unattributed)),
            skipped: self.skipped.values().copied().fold(0, u64::saturating_add),
        };
    }

    fn add_notes(&self, report: &mut Report, session: &SessionFact) {
        let missing = session.missing.iter().map(|gap| Note::new(CommonNote::Missing, &gap.text));
        let limitations = session.limitations.iter().map(|gap| Note::new(CommonNote::Blind, &gap.text));
        report.notes.extend(missing.chain(limitations));
        if let Some(interval) = self.stretched {
            let text =
                format!("Reports come every {interval:.1} s to stay within the budget (--budget raises it).");
            report.notes.push(Note::new(CommonNote::Stretched, text));
        }
        let unread = self.loss.values().map(|loss| loss.unread).fold(0, u64::saturating_add);
        if unread > 0 {
            let text = format!(
                "{unread} readings of the kernel's state ended early: some rows are older than the rest."
            );
            report.notes.push(Note::new(CommonNote::Unread, text));
        }
        Note::arrange(&mut report.notes);
    }
}

/// The session without control characters for outputs: a recording can contain any bytes.
fn safe(session: &SessionFact) -> SessionFact {
    let mut session = session.clone();
    session.host = printable(session.host.as_bytes());
    for gap in session.missing.iter_mut().chain(&mut session.limitations) {
        gap.text = harmless(&gap.text);
    }
    session
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::{
        facts::process::ProcessFact,
        report::{Column, Subject},
        view::View,
    };

    /// A row for each living process, and no queries of its own.
    struct Listed(Vec<TaskId>);

    impl State for Listed {
        fn apply(&mut self, fact: &Fact) {
            if let Fact::Process(ProcessFact::Met { id, .. }) = fact {
                self.0.push(*id);
            }
        }

        fn tick(&mut self, _now: Timestamp) {}

        fn report(&self, context: &Context<'_>) -> Report {
            let row =
                |id: &TaskId| Row { subject: Subject::Process(*id), processes: vec![*id], ..Row::default() };
            let rows = self.0.iter().map(row).collect();
            context.report(vec![Table::of_processes("rows", vec![Column::label("pid")], rows)])
        }

        fn queries(&self, _shown: &Report, _context: &Context<'_>) -> HostQueries {
            HostQueries::default()
        }

        fn delivered(&mut self, _now: Timestamp) {}
    }

    #[test]
    fn a_selection_by_unit_asks_for_the_names_of_all_living_processes() {
        let request = Request { unit: Regex::new("^x").ok(), top: Some(1), ..Request::new(View::new("mem")) };
        let mut engine = Engine::new(request, Box::new(Listed(Vec::new())));
        engine.apply(&Fact::Session(Box::default()));
        let ids = [1, 2, 3].map(|tgid| TaskId { start: 1, tgid });
        for id in ids {
            let met = ProcessFact::Met { id, comm: b"x"[..].into(), uid: 0, kernel_thread: false };
            engine.apply(&Fact::Process(met));
        }
        engine.apply(&Fact::Process(ProcessFact::Ended { id: ids[2], at: 5 }));
        let now = Timestamp { boot: 9, wall: 9 };
        let names = engine.queries(now, Some(1)).unwrap().names;
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ids[..2]);
        for (id, unit) in [(ids[0], "y"), (ids[1], "x")] {
            let cgroup = Some(format!("/{unit}.service").into_bytes());
            engine.apply(&Fact::Process(ProcessFact::Named { id, exe: None, cgroup, cmdline: None }));
        }
        let report = engine.report(now, Some(1)).unwrap().unwrap();
        let shown: Vec<_> = report.tables[0].rows.iter().map(|row| row.subject.clone()).collect();
        assert_eq!(shown, [Subject::Process(ids[1])]);
        assert!(engine.queries(now, None).unwrap().names.is_empty());
    }
}
