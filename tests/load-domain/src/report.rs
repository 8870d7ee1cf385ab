//! From the state of the load domain to rows and columns.

use std::cmp::Reverse;

use observer_core::{
    context::Context,
    facts::TaskId,
    report::{Column, Note, Report, Row, Subject, Table, Total, Unit, Value, process},
};

use crate::state::{LoadState, ProcessTime};

/// The part of one processor from which a process keeps it busy.
const BUSY: f64 = 0.9;

const SECOND: f64 = 1e9;

observer_core::notes! {
    /// Notes of `load`.
    pub enum LoadNote {
        /// A process keeps a processor busy.
        Busy = "load-busy", Watch;
    }
}

/// The report: every process, the busiest first.
pub fn report(state: &LoadState, context: &Context<'_>) -> Report {
    let mut processes: Vec<_> = state.processes.iter().map(|(id, time)| (*id, *time)).collect();
    processes.sort_by_key(|(id, time)| (Reverse(ran(time)), Reverse(time.total), *id));
    let share = |time: &ProcessTime| {
        let ran = ran(time).filter(|_| !context.first && context.now > context.previous)?;
        Some(ran as f64 / SECOND / context.now.since(context.previous))
    };
    let row = |(id, time): &(TaskId, ProcessTime)| {
        let mut cells = process::cells(*id, context.processes, context.request);
        cells.extend([Value::real(share(time)), seconds(time.total)]);
        let subject = Subject::Process(*id);
        Row { subject, processes: vec![*id], cells, ended: time.ended, ..Row::default() }
    };
    let mut columns = process::columns(context.request);
    columns.extend([
        Column::gauge("cpu", Unit::Ratio).otel("process.cpu.utilization", None).shown("CPU", 0).adding(),
        CPU_TIME.shown("CPU TIME", 2).adding(),
    ]);
    let rows = processes.iter().map(row).collect();
    let mut report = context.report(vec![Table::of_processes("rows", columns, rows)]);
    report.totals = vec![Total::new(CPU_TIME, seconds(state.total()))];
    let busy = processes.iter().filter(|(_, time)| share(time).is_some_and(|share| share >= BUSY));
    report.notes.extend(busy.map(|(id, _)| {
        let text = format!("{} keeps a processor busy.", context.processes.label(*id));
        Note::new(LoadNote::Busy, text)
    }));
    report
}

/// How long a process has run, as the scheduler counts it.
const CPU_TIME: Column = Column::counter("cpu_time", Unit::Seconds).otel("process.cpu.time", None);

/// Nanoseconds since the last report; `None` where that is not known.
fn ran(time: &ProcessTime) -> Option<u64> {
    time.before.map(|before| time.total.saturating_sub(before))
}

fn seconds(nanoseconds: u64) -> Value {
    Value::Real(nanoseconds as f64 / SECOND)
}

#[cfg(test)]
mod tests {
    use observer_core::{
        domain::Views as _,
        engine::Engine,
        facts::{
            Fact,
            process::ProcessFact,
            session::{SessionFact, Timestamp},
        },
        view::Request,
    };

    use super::*;
    use crate::{LOAD, Load, time};

    const ID: TaskId = TaskId { start: 1, tgid: 42 };
    const LATER: TaskId = TaskId { start: 11_000_000_000, tgid: 43 };

    fn at(second: u64) -> Timestamp {
        Timestamp { boot: second * 1_000_000_000, wall: second * 1_000_000_000 }
    }

    fn fact(id: TaskId, milliseconds: u64) -> Fact {
        time::fact(id, milliseconds * 1_000_000)
    }

    /// Of a row its process, the share, the seconds, and whether it is the last.
    type Shown = (TaskId, Value, Value, bool);

    /// The rows of a report at this second, after these facts; and its notes.
    fn reported(engine: &mut Engine, second: u64, facts: &[Fact]) -> (Vec<Shown>, Vec<String>) {
        facts.iter().for_each(|fact| engine.apply(fact));
        engine.tick(at(second));
        let report = engine.report(at(second), None).expect("no column was chosen").expect("it has begun");
        engine.delivered(at(second));
        let table = &report.tables[0];
        let [share, total] = ["cpu", "cpu_time"].map(|name| table.position(name).expect("a column"));
        let rows = table.rows.iter();
        let rows =
            rows.map(|row| (row.processes[0], row.cell(share).clone(), row.cell(total).clone(), row.ended));
        (rows.collect(), report.notes.iter().map(|note| note.text.clone()).collect())
    }

    #[test]
    fn a_share_is_what_a_process_ran_of_the_time_between_two_reports() {
        let request = Request::new(LOAD);
        let mut engine = Engine::new(request.clone(), Load.state(&request));
        let session = SessionFact { began: at(10), ..SessionFact::default() };
        let comm = b"spin"[..].into();
        let met = ProcessFact::Met { id: ID, comm, uid: 0, kernel_thread: false };
        let facts = [Fact::Session(Box::new(session)), Fact::Process(met), fact(ID, 5_000)];
        let rows = reported(&mut engine, 10, &facts).0;
        assert_eq!(rows, [(ID, Value::Missing, Value::Real(5.0), false)], "what it ran before is no share");
        let (rows, notes) = reported(&mut engine, 12, &[fact(ID, 6_900), fact(LATER, 500)]);
        let expected = [
            (ID, Value::Real(0.95), Value::Real(6.9), false),
            (LATER, Value::Real(0.25), Value::Real(0.5), false),
        ];
        assert_eq!(rows, expected, "a process that began since then has run for nothing before");
        assert_eq!(notes, ["42 spin keeps a processor busy."]);
        let Fact::Other(last) = fact(ID, 6_900) else { panic!("a fact of a domain that is not built in") };
        let (rows, notes) = reported(&mut engine, 13, &[Fact::Other(last.gone()), fact(LATER, 400)]);
        let expected = [
            (LATER, Value::Real(0.0), Value::Real(0.5), false),
            (ID, Value::Real(0.0), Value::Real(6.9), true),
        ];
        assert_eq!(sorted(rows), sorted(expected.to_vec()), "a row of what ended is its last");
        assert!(notes.is_empty(), "{notes:?}");
        let rows = reported(&mut engine, 14, &[]).0;
        assert_eq!(rows, [(LATER, Value::Real(0.0), Value::Real(0.5), false)]);
    }

    fn sorted(mut rows: Vec<Shown>) -> Vec<Shown> {
        rows.sort_by_key(|row| row.0);
        rows
    }
}
