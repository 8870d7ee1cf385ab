//! The verdicts on each process of a recording, report by report, from the same engine as in live operation.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, anyhow};
use observer_core::{
    facts::{StreamItem, TaskId},
    report::{Column, Row, Value},
    view::Request,
};
use observer_sources::replay::Replay;

/// The verdict of one report on one process.
#[derive(Clone, Debug)]
pub struct ReportedVerdict {
    /// Seconds since the process was first seen.
    pub at: f64,
    /// Anonymous memory and swap, bytes.
    pub held: f64,
    /// Bytes mapped minus bytes unmapped, while observed.
    pub asked: f64,
    pub verdict: String,
    /// Bytes per second: the rate and its interval.
    pub rate: Option<[f64; 3]>,
}

/// All verdicts on one process.
#[derive(Clone, Debug)]
pub struct ProcessHistory {
    pub id: TaskId,
    /// The process's name; in the corpus, that of the run.
    pub name: String,
    /// One per report.
    pub verdicts: Vec<ReportedVerdict>,
}

/// Replays a recording.
pub fn play(recording: &Path) -> Result<Vec<ProcessHistory>> {
    let failed = |error| anyhow!("{}: {error}", recording.display());
    let mut engine =
        observer::domains::engine(Request { resolve: false, ..Request::new(observer_mem::views::MEM) });
    let mut histories: BTreeMap<TaskId, (f64, ProcessHistory)> = BTreeMap::new();
    for item in Replay::open(recording).map_err(failed)? {
        let item = match item {
            Ok(item) => item,
            Err(error) if error.is_loss() => continue,
            Err(error) => return Err(failed(error)),
        };
        let now = match item {
            StreamItem::Fact(fact) => {
                engine.apply(&fact);
                continue;
            }
            StreamItem::Tick(now) => now,
        };
        engine.tick(now);
        if let Some(report) = engine.report(now, None).map_err(|error| anyhow!("{error}"))? {
            let table = &report.tables[0];
            for row in table.rows.iter().filter(|row| !row.ended && !row.processes.is_empty()) {
                let at = now.boot as f64 / 1e9;
                let (began, history) = histories.entry(row.processes[0]).or_insert_with(|| {
                    (
                        at,
                        ProcessHistory {
                            id: row.processes[0],
                            name: text(&table.columns, row, "comm"),
                            verdicts: Vec::new(),
                        },
                    )
                });
                history.verdicts.extend(verdict(&table.columns, row, at - *began));
            }
        }
        engine.delivered(now);
    }
    Ok(histories.into_values().map(|(_, history)| history).collect())
}

fn verdict(columns: &[Column], row: &Row, at: f64) -> Option<ReportedVerdict> {
    let number = |name| number(columns, row, name);
    let or_none = |name| number(name).unwrap_or(0.0);
    let rate = number("rate").zip(number("rate_low")).zip(number("rate_high"));
    Some(ReportedVerdict {
        at,
        held: number("anon")? + or_none("swap"),
        asked: or_none("mapped") - or_none("unmapped") + or_none("protected"),
        verdict: text(columns, row, "verdict"),
        rate: rate.map(|((rate, low), high)| [rate, low, high]),
    })
}

fn cell<'a>(columns: &[Column], row: &'a Row, name: &str) -> Option<&'a Value> {
    row.cells.get(columns.iter().position(|column| column.name == name)?)
}

fn number(columns: &[Column], row: &Row, name: &str) -> Option<f64> {
    match cell(columns, row, name)? {
        Value::Unsigned(number) => Some(*number as f64),
        Value::Signed(number) => Some(*number as f64),
        Value::Real(number) => Some(*number),
        _ => None,
    }
}

fn text(columns: &[Column], row: &Row, name: &str) -> String {
    match cell(columns, row, name) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    }
}
