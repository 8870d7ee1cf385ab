//! The rows of one table as they are shown: filtered, grouped and ordered, with a cursor that stays on its row.

use std::{collections::HashMap, rc::Rc};

use observer_core::{
    report::{
        Column, Row, Subject, Table,
        shape::{compare_cells, group_by_cells},
    },
    view::{GroupBy, Sort},
};

use crate::{filter::Filter, sheet::Grid};

/// After the cursor has moved, the order of rows stays for this many nanoseconds: a row that a hand aims at must not
/// jump away.
const HOLD: u64 = 5_000_000_000;

/// What identifies a row in every report: its subject, and its number among rows with the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RowKey {
    subject: Subject,
    nth: u32,
}

/// The choices for one table, and the rows that follow from them.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// As typed; blank for every row.
    pub filter: String,
    pub sort: Option<Sort>,
    pub group: GroupBy,
    /// Names of the chosen columns; `None` for the usual ones.
    pub chosen: Option<Vec<&'static str>>,
    /// The width that each column has had, by name: a column does not get narrower while rows change.
    pub widths: HashMap<&'static str, usize>,
    columns: Vec<Column>,
    rows: Vec<Rc<Row>>,
    keys: Vec<RowKey>,
    /// Rows before the filter.
    before: usize,
    /// The place of the cursor, and the row that it holds: `None` until it has been moved.
    cursor: usize,
    held: Option<RowKey>,
    /// The first row on the screen.
    offset: usize,
    order_held_until: u64,
}

impl Listing {
    /// Takes a table, and rows that ended lately, at `now`: nanoseconds of any steady clock.
    pub fn arrange(&mut self, grid: &Grid, ended: &[Rc<Row>], now: u64) {
        let filter = Filter::parse(&self.filter, &grid.columns).ok().flatten();
        let selects = |row: &&Rc<Row>| filter.as_ref().is_none_or(|filter| filter.selects(row));
        self.before = grid.rows.len() + ended.len();
        let rows = grid.rows.iter().chain(ended).filter(selects);
        (self.columns, self.rows) = if self.group == GroupBy::Process || !grid.of_processes {
            (grid.columns.clone(), rows.cloned().collect())
        } else {
            let rows = rows.map(|row| Row::clone(row)).collect();
            let mut merged = Table::of_processes(grid.key, grid.columns.clone(), rows);
            group_by_cells(&mut merged, self.group);
            (merged.columns, merged.rows.into_iter().map(Rc::new).collect())
        };
        self.sort();
        let before = std::mem::replace(&mut self.keys, keys(&self.rows));
        if now < self.order_held_until {
            self.keep_order(&before);
        }
        self.follow();
    }

    fn sort(&mut self) {
        let Some(Sort { column, ascending }) = &self.sort else { return };
        let Some(at) = self.columns.iter().position(|known| known.name == column) else { return };
        self.rows.sort_by(|left, right| compare_cells(left.cell(at), right.cell(at), *ascending));
    }

    /// Puts the rows into the order of `before`. New rows follow.
    fn keep_order(&mut self, before: &[RowKey]) {
        let places: HashMap<&RowKey, usize> =
            before.iter().enumerate().map(|(place, key)| (key, place)).collect();
        let rows = std::mem::take(&mut self.rows);
        let mut placed: Vec<(usize, RowKey, Rc<Row>)> = std::mem::take(&mut self.keys)
            .into_iter()
            .zip(rows)
            .map(|(key, row)| (places.get(&key).copied().unwrap_or(usize::MAX), key, row))
            .collect();
        placed.sort_by_key(|(place, ..)| *place);
        for (_, key, row) in placed {
            self.keys.push(key);
            self.rows.push(row);
        }
    }

    /// Keeps the cursor on its row; on its place, if the row is gone.
    fn follow(&mut self) {
        let Some(held) = &self.held else {
            self.cursor = 0;
            return;
        };
        match self.keys.iter().position(|key| key == held) {
            Some(place) => self.cursor = place,
            None => self.hold(self.cursor),
        }
    }

    fn hold(&mut self, place: usize) {
        self.cursor = place.min(self.rows.len().saturating_sub(1));
        self.held = self.keys.get(self.cursor).cloned();
    }

    /// Moves the cursor to a place; the order of rows stays for some seconds.
    pub fn go(&mut self, place: usize, now: u64) {
        self.hold(place);
        self.order_held_until = now.saturating_add(HOLD);
    }

    /// Moves the cursor by some rows.
    pub fn step(&mut self, rows: isize, now: u64) {
        self.go(self.cursor.saturating_add_signed(rows), now);
    }

    /// Lets the order follow the values again, and the cursor the first row. Returns whether there was anything to
    /// release.
    pub fn release(&mut self) -> bool {
        self.order_held_until = 0;
        self.offset = 0;
        self.cursor = 0;
        self.held.take().is_some()
    }

    /// Changes what is shown: the order is made again with the next [`Self::arrange`].
    pub const fn changed(&mut self) {
        self.order_held_until = 0;
    }

    /// Sorts by a column, the largest first; by the same one again, in the other direction.
    pub fn sort_by(&mut self, column: &str) {
        let ascending = self.sort.as_ref().is_some_and(|sort| sort.column == column && !sort.ascending);
        self.sort = Some(Sort { column: column.to_owned(), ascending });
        self.changed();
    }

    /// Scrolls so that the cursor is within `height` rows. Returns the place of the first row.
    pub fn scroll(&mut self, height: usize) -> usize {
        let height = height.max(1);
        let last = self.rows.len().saturating_sub(height);
        self.offset = self.offset.min(self.cursor).max((self.cursor + 1).saturating_sub(height)).min(last);
        self.offset
    }

    /// The columns of the shown rows.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The shown rows.
    #[must_use]
    pub fn rows(&self) -> &[Rc<Row>] {
        &self.rows
    }

    /// The number of rows before the filter.
    #[must_use]
    pub const fn before(&self) -> usize {
        self.before
    }

    /// The place of the cursor.
    #[must_use]
    pub const fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether the cursor holds a row.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// The row under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<&Rc<Row>> {
        self.rows.get(self.cursor)
    }

    /// The places of the columns to show: the chosen ones, else those with a title.
    #[must_use]
    pub fn shown_columns(&self) -> Vec<usize> {
        let is_shown = |column: &Column| match &self.chosen {
            Some(chosen) => chosen.contains(&column.name),
            None => column.heading.is_some(),
        };
        (0..self.columns.len()).filter(|at| is_shown(&self.columns[*at])).collect()
    }
}

/// The key of each row.
fn keys(rows: &[Rc<Row>]) -> Vec<RowKey> {
    let mut seen: HashMap<&Subject, u32> = HashMap::with_capacity(rows.len());
    let mut keys: Vec<RowKey> = Vec::with_capacity(rows.len());
    for row in rows {
        let nth = seen.entry(&row.subject).and_modify(|nth| *nth += 1).or_default();
        keys.push(RowKey { subject: row.subject.clone(), nth: *nth });
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use observer_core::{
        facts::TaskId,
        report::{Unit, Value},
    };

    const SECOND: u64 = 1_000_000_000;

    /// A table of processes: (id, rss).
    fn grid(rows: &[(u64, u64)]) -> Grid {
        let columns = vec![
            Column::label("pid").shown("PID", 0),
            Column::label("unit").shown("UNIT", 0),
            Column::gauge("rss", Unit::Bytes).shown("RSS", 0).adding(),
        ];
        let row = |(tgid, rss): &(u64, u64)| {
            let id = TaskId { start: 7, tgid: *tgid };
            let unit = if tgid % 2 == 0 { "even.service" } else { "odd.service" };
            let cells = vec![Value::Unsigned(*tgid), Value::Text(unit.to_owned()), Value::Unsigned(*rss)];
            Row { subject: Subject::Process(id), processes: vec![id], cells, ..Row::default() }
        };
        Grid::from(Table::of_processes("rows", columns, rows.iter().map(row).collect()))
    }

    fn pids(listing: &Listing) -> Vec<u64> {
        listing.rows().iter().filter_map(|row| row.cell(0).number()).map(|pid| pid as u64).collect()
    }

    fn selected(listing: &Listing) -> u64 {
        listing.selected().and_then(|row| row.cell(0).number()).unwrap() as u64
    }

    #[test]
    fn the_cursor_stays_on_its_process_and_the_order_stands_still_while_it_moves() {
        let mut listing = Listing::default();
        listing.sort_by("rss");
        listing.arrange(&grid(&[(1, 10), (2, 20), (3, 30)]), &[], 0);
        assert_eq!((pids(&listing), selected(&listing)), (vec![3, 2, 1], 3));
        listing.step(1, SECOND);
        assert_eq!(selected(&listing), 2);
        listing.arrange(&grid(&[(1, 90), (2, 20), (3, 30), (4, 99)]), &[], 2 * SECOND);
        assert_eq!((pids(&listing), selected(&listing)), (vec![3, 2, 1, 4], 2), "the order is held");
        listing.arrange(&grid(&[(1, 90), (2, 20), (3, 30), (4, 99)]), &[], 9 * SECOND);
        assert_eq!((pids(&listing), selected(&listing)), (vec![4, 1, 3, 2], 2), "the row is held");
    }

    #[test]
    fn a_cursor_that_was_not_moved_is_on_the_first_row() {
        let mut listing = Listing::default();
        listing.sort_by("rss");
        listing.arrange(&grid(&[(1, 10), (2, 20)]), &[], 0);
        listing.arrange(&grid(&[(1, 30), (2, 20)]), &[], SECOND);
        assert_eq!(selected(&listing), 1);
    }

    #[test]
    fn a_reused_process_id_is_another_row() {
        let mut listing = Listing::default();
        listing.arrange(&grid(&[(1, 10), (2, 20)]), &[], 0);
        listing.go(1, 0);
        let mut next = grid(&[(2, 20), (1, 10)]);
        let reused = TaskId { start: 8, tgid: 2 };
        next.rows[0] = Rc::new(Row { subject: Subject::Process(reused), ..Row::clone(&next.rows[0]) });
        listing.arrange(&next, &[], 9 * SECOND);
        assert_eq!(listing.cursor(), 1, "its row has ended: the place stays");
    }

    #[test]
    fn groups_add_up_what_the_filter_leaves() {
        let mut listing = Listing { group: GroupBy::Unit, filter: "rss>5".to_owned(), ..Listing::default() };
        listing.arrange(&grid(&[(1, 10), (2, 20), (3, 1), (4, 40)]), &[], 0);
        let at = listing.columns().iter().position(|column| column.name == "rss").unwrap();
        let sums: Vec<_> =
            listing.rows().iter().map(|row| (row.cell(0).clone(), row.cell(at).clone())).collect();
        let unit = |name: &str| Value::Text(name.to_owned());
        assert_eq!(
            sums,
            [(unit("even.service"), Value::Unsigned(60)), (unit("odd.service"), Value::Unsigned(10))]
        );
        assert_eq!(listing.before(), 4);
    }

    #[test]
    fn the_cursor_is_always_within_the_screen() {
        let mut listing = Listing::default();
        let rows: Vec<(u64, u64)> = (1..=100).map(|pid| (pid, 1)).collect();
        listing.arrange(&grid(&rows), &[], 0);
        listing.go(50, 0);
        assert_eq!(listing.scroll(10), 41);
        listing.step(-5, 0);
        assert_eq!(listing.scroll(10), 41);
        listing.go(usize::MAX, 0);
        assert_eq!(listing.scroll(10), 90);
        listing.arrange(&grid(&rows[..3]), &[], 99 * SECOND);
        assert_eq!((listing.scroll(10), listing.cursor()), (0, 2));
        listing.arrange(&grid(&[]), &[], 99 * SECOND);
        assert!(listing.selected().is_none());
    }
}
