//! What a page about one thing shows: every row of every report that concerns it, joined by the identity of processes.

use std::{collections::BTreeSet, rc::Rc};

use observer_core::{
    facts::TaskId,
    report::{Row, Subject, Value},
    view::GroupBy,
};

use crate::{
    section::Section,
    sheet::{Grid, Sheet},
};

/// The thing that a page is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Process(TaskId),
    /// A unit, a container, a command, a user, a peer: by the text in this column.
    Named {
        column: &'static str,
        name: String,
    },
    /// Any other row: a filesystem, a link, a connection, a file.
    Row {
        section: Section,
        subject: Subject,
    },
}

/// The rows of one table that concern a target.
#[derive(Clone, Debug)]
pub struct Related<'a> {
    pub section: Section,
    pub grid: &'a Grid,
    pub rows: Vec<Rc<Row>>,
}

impl Target {
    /// What Enter opens on a row of `section`.
    #[must_use]
    pub fn of(section: Section, row: &Row) -> Self {
        match &row.subject {
            Subject::Process(id) | Subject::ProcessPeer(id, _) => Self::Process(*id),
            Subject::Group { by: GroupBy::Unit, key: Some(name) } => {
                Self::Named { column: "unit", name: name.clone() }
            }
            Subject::Group { by: GroupBy::Container, key: Some(name) } => {
                Self::Named { column: "container", name: name.clone() }
            }
            Subject::Group { by: GroupBy::Comm, key: Some(name) } => {
                Self::Named { column: "comm", name: name.clone() }
            }
            Subject::Group { by: GroupBy::User, key: Some(name) } => {
                Self::Named { column: "uid", name: name.clone() }
            }
            Subject::Group { by: GroupBy::Remote, key: Some(name) } => {
                Self::Named { column: "remote", name: name.clone() }
            }
            subject => Self::Row { section, subject: subject.clone() },
        }
    }

    /// Every table with rows about the target, in the order of the reports; the row that it was opened from first.
    #[must_use]
    pub fn related<'a>(&self, sheets: &[&'a Sheet]) -> Vec<Related<'a>> {
        let processes = self.processes(sheets);
        let mount = self.mount(sheets);
        let mut related = Vec::new();
        for sheet in sheets {
            for grid in &sheet.tables {
                let section = Section { view: sheet.view, table: grid.key };
                let concerns =
                    |row: &&Rc<Row>| self.concerns(section, grid, row, &processes, mount.as_deref());
                let rows: Vec<Rc<Row>> = grid.rows.iter().filter(concerns).cloned().collect();
                if !rows.is_empty() {
                    related.push(Related { section, grid, rows });
                }
            }
        }
        if let Self::Row { section, .. } = self {
            related.sort_by_key(|related| related.section != *section);
        }
        related
    }

    fn concerns(
        &self,
        section: Section,
        grid: &Grid,
        row: &Row,
        processes: &BTreeSet<TaskId>,
        mount: Option<&str>,
    ) -> bool {
        match self {
            Self::Process(id) => row.processes.contains(id),
            Self::Named { column, name } => {
                has_text(grid, row, column, name) || row.processes.iter().any(|id| processes.contains(id))
            }
            Self::Row { section: own, subject } => {
                let same = row.subject == *subject && (*subject != Subject::Machine || section == *own);
                let link = || match subject {
                    Subject::Link { name } => ["link", "interface"]
                        .iter()
                        .any(|column| has_text(grid, row, column, &String::from_utf8_lossy(name))),
                    _ => false,
                };
                same || link()
                    || mount.is_some_and(|mount| has_text(grid, row, "mount", mount))
                    || (section != *own && row.processes.iter().any(|id| processes.contains(id)))
            }
        }
    }

    /// The processes of the target, as far as its rows name them.
    fn processes(&self, sheets: &[&Sheet]) -> BTreeSet<TaskId> {
        let grids = || sheets.iter().flat_map(|sheet| sheet.tables.iter().map(|grid| (sheet.view, grid)));
        let is_own = |view: &'static str, grid: &Grid, row: &Row| match self {
            Self::Process(_) => false,
            // A row of several processes belongs to more than one name.
            Self::Named { column, name } => row.processes.len() == 1 && has_text(grid, row, column, name),
            Self::Row { section, subject } => {
                *section == Section { view, table: grid.key } && row.subject == *subject
            }
        };
        let own =
            grids().flat_map(|(view, grid)| grid.rows.iter().filter(move |row| is_own(view, grid, row)));
        own.flat_map(|row| row.processes.iter().copied()).collect()
    }

    /// Where the filesystem of the target is mounted.
    fn mount(&self, sheets: &[&Sheet]) -> Option<String> {
        let Self::Row { subject: subject @ Subject::Filesystem { .. }, .. } = self else { return None };
        sheets.iter().flat_map(|sheet| &sheet.tables).find_map(|grid| {
            let at = grid.position("mount")?;
            let row = grid.rows.iter().find(|row| row.subject == *subject)?;
            if let Value::Text(mount) = row.cell(at) { Some(mount.clone()) } else { None }
        })
    }

    /// The name of the target in one line.
    #[must_use]
    pub fn title(&self, related: &[Related<'_>]) -> String {
        match self {
            Self::Process(id) => {
                let command = related.iter().find_map(|related| {
                    related.rows.iter().find(|row| row.processes == [*id]).and_then(|row| {
                        ["command", "comm"].iter().find_map(|name| text(related.grid, row, name))
                    })
                });
                format!("process {} {}", id.pid(), command.unwrap_or_default())
            }
            Self::Named { column, name } => {
                let kind = match *column {
                    "comm" => "command",
                    "uid" => "user",
                    "remote" => "peer",
                    other => other,
                };
                format!("{kind} {name}")
            }
            Self::Row { section, .. } => {
                let name = related.first().and_then(|related| {
                    let row = related.rows.first()?;
                    let shown = related
                        .grid
                        .columns
                        .iter()
                        .enumerate()
                        .filter(|(_, column)| column.heading.is_some());
                    shown
                        .map(|(at, _)| row.cell(at))
                        .find_map(|cell| if let Value::Text(text) = cell { Some(text.clone()) } else { None })
                });
                let kind = section.table.trim_end_matches('s');
                let kind = if kind == "row" { section.view.trim_end_matches('s') } else { kind };
                format!("{kind} {}", name.unwrap_or_default())
            }
        }
    }
}

/// The text of a row in the column called `name`.
#[must_use]
pub fn text(grid: &Grid, row: &Row, name: &str) -> Option<String> {
    match row.cell(grid.position(name)?) {
        Value::Text(text) => Some(text.clone()),
        Value::Unsigned(number) => Some(number.to_string()),
        _ => None,
    }
}

fn has_text(grid: &Grid, row: &Row, column: &str, name: &str) -> bool {
    text(grid, row, column).is_some_and(|text| text == name)
}
