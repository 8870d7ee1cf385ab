//! Selects the requested processes: `-p`, `-c`, `--unit` and `--container`, all of which must match.

use regex::Regex;

use crate::{
    facts::TaskId,
    identity::process::Processes,
    report::{column::Column, value::Value},
    view::{GroupBy, Request},
};

/// Decides which rows stay.
pub struct Selection<'a> {
    request: &'a Request,
    processes: &'a Processes,
    /// The column with a row's container, used if none of its processes is in one.
    container: Option<usize>,
}

impl<'a> Selection<'a> {
    /// The selection of `request` in a table of these columns; `None` if it has every process.
    pub fn new(request: &'a Request, columns: &[Column], processes: &'a Processes) -> Option<Self> {
        let Request { pids, comm, unit, container, .. } = request;
        let is_all = pids.is_empty() && comm.is_none() && unit.is_none() && container.is_none();
        let container = columns.iter().position(|column| column.key == Some(GroupBy::Container));
        (!is_all).then_some(Self { request, processes, container })
    }

    /// Whether a row stays: one of its processes was requested. `cell` gives its value in a column.
    pub fn has(&self, processes: &[TaskId], cell: impl FnOnce(usize) -> Value) -> bool {
        let Request { pids, comm, unit, container, .. } = self.request;
        let known = self.processes;
        let own = |id: &TaskId| {
            (pids.is_empty() || pids.contains(&id.pid()))
                && matches(comm.as_ref(), || known.comm(*id))
                && matches(unit.as_ref(), || known.unit(*id))
        };
        let in_container = |id: &TaskId| matches(container.as_ref(), || known.container(*id));
        if processes.iter().any(|id| own(id) && in_container(id)) {
            return true;
        }
        // A process in no container can hold a socket that is in the network namespace of one.
        let Some(index) = self.container.filter(|_| container.is_some()) else { return false };
        let is_outside = processes.iter().all(|id| known.container(*id).is_none());
        is_outside
            && processes.iter().any(own)
            && matches(container.as_ref(), || {
                if let Value::Text(name) = cell(index) { Some(name) } else { None }
            })
    }
}

fn matches(pattern: Option<&Regex>, name: impl FnOnce() -> Option<String>) -> bool {
    pattern.is_none_or(|pattern| name().is_some_and(|name| pattern.is_match(&name)))
}
