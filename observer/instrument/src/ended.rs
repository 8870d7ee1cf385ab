//! What has ended lately: a row is in one report after its end, and a human looks later.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use observer_core::report::Row;

use crate::{section::Section, sheet::Sheet};

/// Rows that are kept of each table.
const MOST: usize = 200;
/// Nanoseconds for which they are kept.
const AGE: u64 = 600_000_000_000;

/// Rows of what has ended, by table, the latest first.
#[derive(Debug, Default)]
pub struct Ended {
    rows: BTreeMap<Section, VecDeque<(u64, Rc<Row>)>>,
}

impl Ended {
    /// Takes the rows of a report that are their last, out of its tables.
    pub fn take(&mut self, sheet: &mut Sheet) {
        let now = sheet.now.boot;
        for grid in &mut sheet.tables {
            let (ended, living) = std::mem::take(&mut grid.rows).into_iter().partition(|row| row.ended);
            grid.rows = living;
            let kept = self.rows.entry(Section { view: sheet.view, table: grid.key }).or_default();
            let ended: Vec<Rc<Row>> = ended;
            for row in ended {
                kept.push_front((now, row));
            }
            kept.truncate(MOST);
            while kept.back().is_some_and(|(at, _)| now.saturating_sub(*at) > AGE) {
                kept.pop_back();
            }
        }
    }

    /// The rows of `section`, the latest first.
    #[must_use]
    pub fn of(&self, section: Section) -> Vec<Rc<Row>> {
        self.rows.get(&section).into_iter().flatten().map(|(_, row)| Rc::clone(row)).collect()
    }

    /// Forgets everything: the time on the screen has jumped.
    pub fn clear(&mut self) {
        self.rows.clear();
    }
}
