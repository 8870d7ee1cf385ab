//! The course of one number of each process, from the reports seen so far: what a graph is drawn from.
//!
//! Only changes are stored, in seconds and 32 bits: an hour of a process that changes with every report takes 28 KiB,
//! and most processes change rarely.

use std::collections::{HashMap, VecDeque};

use observer_core::{
    facts::session::Timestamp,
    report::{Column, Role, Subject, Unit},
};

use crate::sheet::Sheet;

/// Seconds that a trace reaches back.
const REACH: u32 = 3600;
/// The most subjects with a trace: the first rows of a report matter most.
const MOST: usize = 10_000;

/// Traces by view and subject.
#[derive(Debug, Default)]
pub struct Traces {
    known: HashMap<(&'static str, Subject), Trace>,
    /// When the first report was taken, in seconds of the boot clock.
    begun: Option<u32>,
}

/// Values, each from its second on.
#[derive(Debug, Default)]
struct Trace {
    points: VecDeque<(u32, f32)>,
    seen: u32,
}

/// A number over a time: evenly spaced values, `None` where it is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    pub values: Vec<Option<f64>>,
    /// Seconds from the first value to the last.
    pub span: f64,
    pub unit: Unit,
}

impl Traces {
    /// Takes the rows of a report's first table.
    pub fn take(&mut self, sheet: &Sheet) {
        let Some(grid) = sheet.tables.first() else { return };
        let Some((at, _)) = measure(&grid.columns) else { return };
        let now = second(sheet.now);
        self.begun.get_or_insert(now);
        for row in &grid.rows {
            let Some(value) = row.cell(at).number() else { continue };
            let key = (sheet.view, row.subject.clone());
            if self.known.len() >= MOST && !self.known.contains_key(&key) {
                continue;
            }
            self.known.entry(key).or_default().push(now, value as f32);
        }
        // Once a minute is enough to forget what has ended.
        if now.is_multiple_of(60) {
            self.known.retain(|_, trace| now.saturating_sub(trace.seen) <= REACH);
        }
    }

    /// The course of `subject` in `view` up to `now`, in `points` values over what is known of the last `seconds`.
    #[must_use]
    pub fn course(
        &self,
        view: &'static str,
        subject: &Subject,
        now: Timestamp,
        seconds: u32,
        points: usize,
        unit: Unit,
    ) -> Option<Course> {
        let trace = self.known.get(&(view, subject.clone()))?;
        let (first, _) = *trace.points.front()?;
        let now = second(now);
        let span = now.saturating_sub(first).min(seconds).max(1);
        let steps = points.max(2) - 1;
        let value = |step: usize| {
            let at = f64::from(now - span.min(now)) + f64::from(span) * step as f64 / steps as f64;
            trace.at(at).map(f64::from)
        };
        Some(Course { values: (0..=steps).map(value).collect(), span: f64::from(span), unit })
    }

    /// Forgets everything: the time on the screen has jumped.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Trace {
    fn push(&mut self, now: u32, value: f32) {
        self.seen = now;
        match self.points.back_mut() {
            Some((_, last)) if *last == value => {}
            Some((at, last)) if *at >= now => *last = value,
            _ => self.points.push_back((now, value)),
        }
        while self.points.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) > REACH) {
            self.points.pop_front();
        }
    }

    fn at(&self, second: f64) -> Option<f32> {
        let after = self.points.partition_point(|(at, _)| f64::from(*at) <= second);
        Some(self.points.get(after.checked_sub(1)?)?.1)
    }
}

/// Columns that say more than the first one of their table: a filesystem has always the same size.
const PREFERRED: [&str; 2] = ["rss", "used"];

/// The column whose course is kept: a preferred one, else the first number that adds up and that tables show.
#[must_use]
pub fn measure(columns: &[Column]) -> Option<(usize, &Column)> {
    let is_measure = |column: &Column| {
        column.heading.is_some()
            && column.adds()
            && matches!(column.role, Role::Gauge)
            && matches!(column.unit, Unit::Bytes | Unit::BytesPerSecond | Unit::BitsPerSecond)
    };
    let preferred = columns.iter().enumerate().find(|(_, column)| PREFERRED.contains(&column.name));
    preferred.or_else(|| columns.iter().enumerate().find(|(_, column)| is_measure(column)))
}

fn second(time: Timestamp) -> u32 {
    u32::try_from(time.boot / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use observer_core::{
        facts::TaskId,
        report::{Report, Row, Table, Value},
    };

    fn sheet(second: u64, rss: u64) -> Sheet {
        let id = TaskId { start: 1, tgid: 7 };
        let row = Row { subject: Subject::Process(id), cells: vec![Value::Unsigned(rss)], ..Row::default() };
        let columns = vec![Column::gauge("rss", Unit::Bytes).shown("RSS", 0).adding()];
        Sheet::from(Report {
            view: "mem",
            host: String::new(),
            now: Timestamp { boot: second * 1_000_000_000, wall: 0 },
            elapsed: 1.0,
            observed: 1.0,
            loss: Default::default(),
            headline: Vec::new(),
            totals: Vec::new(),
            tables: vec![Table::of_processes("rows", columns, vec![row])],
            notes: Vec::new(),
        })
    }

    #[test]
    fn a_course_holds_each_value_until_the_next() {
        let mut traces = Traces::default();
        for (second, rss) in [(100, 10), (101, 10), (105, 50), (110, 20)] {
            traces.take(&sheet(second, rss));
        }
        let subject = Subject::Process(TaskId { start: 1, tgid: 7 });
        let now = Timestamp { boot: 110_000_000_000, wall: 0 };
        let course = traces.course("mem", &subject, now, 3600, 11, Unit::Bytes).unwrap();
        let values: Vec<f64> = course.values.iter().flatten().copied().collect();
        assert_eq!(values, [10.0, 10.0, 10.0, 10.0, 10.0, 50.0, 50.0, 50.0, 50.0, 50.0, 20.0]);
        assert_eq!(course.span, 10.0);
        assert_eq!(traces.course("mem", &Subject::Machine, now, 60, 4, Unit::Bytes), None);
    }
}
