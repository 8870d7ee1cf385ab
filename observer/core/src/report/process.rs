//! The columns and cells that every row about a process has.
//!
//! Names come from outside and pass [`printable`]. Tables show the process id, the command and the unit. JSON has the
//! rest, and `comm` without the brackets that humans know kernel threads by.

use super::{column::Column, value::Value};
use crate::{
    facts::TaskId,
    identity::process::{Process, Processes},
    text::printable,
    view::Request,
};

/// Characters of a command line that tables show; `--json` has the rest.
const COMMAND_CHARACTERS: usize = 60;

/// The columns of a process, in the order of [`cells`].
pub fn columns(request: &Request) -> Vec<Column> {
    let mut columns = vec![
        Column::label("pid").shown("PID", 1),
        Column::label("start"),
        Column::label("command").human("COMMAND", 0),
        Column::label("comm").same(),
        Column::label("exe").same(),
        Column::label("uid").same(),
        Column::label("unit").shown("UNIT", 8).same(),
        Column::label("container").same(),
    ];
    if request.cmdline {
        columns.push(Column::label("cmdline"));
    }
    columns
}

/// The known values of `id`, in the order of [`columns`]; unknown ones are missing.
pub fn cells(id: TaskId, processes: &Processes, request: &Request) -> Vec<Value> {
    let process = processes.get(id);
    let names = process.and_then(Process::read_names);
    let name = |name: Option<&Vec<u8>>| Value::text(name.map(|name| printable(name)));
    let line = names.and_then(|names| joined(names.cmdline.as_deref()?)).filter(|_| request.cmdline);
    let line = line.map(|line| printable(&line));
    let command = line.as_deref().map(shortened).or_else(|| process?.command());
    let mut cells = vec![
        Value::Unsigned(u64::from(id.pid())),
        Value::Unsigned(id.start),
        Value::text(command),
        Value::text(process.and_then(Process::comm)),
        name(names.and_then(|names| names.exe.as_ref())),
        Value::unsigned(process.and_then(|process| process.uid).map(u64::from)),
        name(names.and_then(|names| names.unit.as_ref())),
        name(names.and_then(|names| names.container.as_ref())),
    ];
    if request.cmdline {
        cells.push(Value::text(line));
    }
    cells
}

/// What is known of `id` as an object of JSON, for lists of processes within a row.
pub fn object(id: TaskId, processes: &Processes, request: &Request) -> Value {
    let fields = columns(request).into_iter().zip(cells(id, processes, request));
    Value::Object(
        fields.filter(|(column, _)| column.json).map(|(column, cell)| (column.name, cell)).collect(),
    )
}

/// The members of [`object`] where there is no process: each of them missing.
pub fn absent(request: &Request) -> Vec<(&'static str, Value)> {
    let fields = columns(request).into_iter().filter(|column| column.json);
    fields.map(|column| (column.name, Value::Missing)).collect()
}

/// Arguments as one line, as `ps` shows them; `None` for a process that has none.
fn joined(cmdline: &[u8]) -> Option<Vec<u8>> {
    let end = cmdline.iter().rposition(|byte| *byte != 0)? + 1;
    Some(cmdline[..end].iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect())
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(COMMAND_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{facts::process::ProcessFact, view::View};

    const ID: TaskId = TaskId { start: 7, tgid: 42 };

    fn request(cmdline: bool) -> Request {
        Request { cmdline, ..Request::new(View::new("mem")) }
    }

    fn met(comm: &[u8], kernel_thread: bool) -> Processes {
        let mut processes = Processes::default();
        processes.apply(&ProcessFact::Met { id: ID, comm: comm.into(), uid: 0, kernel_thread });
        processes
    }

    fn named(processes: &mut Processes) {
        processes.apply(&ProcessFact::Named {
            id: ID,
            exe: Some(b"/usr/bin/x (deleted)".to_vec()),
            cgroup: Some(b"/system.slice/x.service".to_vec()),
            cmdline: Some(b"/usr/bin/x\0--pass\0\x1bsecret\0\0".to_vec()),
        });
    }

    fn cell(name: &str, processes: &Processes, request: &Request) -> Value {
        let index = columns(request).iter().position(|column| column.name == name).unwrap();
        cells(ID, processes, request)[index].clone()
    }

    #[test]
    fn every_column_has_its_cell() {
        for request in [request(false), request(true)] {
            assert_eq!(columns(&request).len(), cells(ID, &met(b"x", false), &request).len());
            assert_eq!(columns(&request).len(), cells(ID, &Processes::default(), &request).len());
        }
    }

    #[test]
    fn json_has_what_the_contract_promises() {
        let Value::Object(fields) = object(ID, &met(b"x", false), &request(false)) else { panic!() };
        let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["pid", "start", "comm", "exe", "uid", "unit", "container"]);
    }

    #[test]
    fn tables_show_pid_command_and_unit() {
        let titles: Vec<_> =
            columns(&request(true)).iter().filter_map(|column| Some(column.heading?.title)).collect();
        assert_eq!(titles, ["PID", "COMMAND", "UNIT"]);
    }

    #[test]
    fn an_unread_value_is_missing() {
        let processes = met(b"x", false);
        for name in ["exe", "unit", "container", "cmdline"] {
            assert_eq!(cell(name, &processes, &request(true)), Value::Missing, "{name}");
        }
        for name in ["comm", "uid", "command"] {
            assert_eq!(cell(name, &Processes::default(), &request(false)), Value::Missing, "{name}");
        }
        assert_eq!(cell("pid", &Processes::default(), &request(false)), Value::Unsigned(42));
        assert_eq!(cell("uid", &processes, &request(false)), Value::Unsigned(0), "root is not unknown");
    }

    #[test]
    fn names_are_made_safe_once() {
        let mut processes = met(b"\x1b]0;x\x07", false);
        named(&mut processes);
        assert_eq!(cell("comm", &processes, &request(false)), Value::Text("\\x1b]0;x\\x07".into()));
        assert_eq!(cell("command", &processes, &request(false)), Value::Text("\\x1b]0;x\\x07".into()));
        assert_eq!(cell("exe", &processes, &request(false)), Value::Text("/usr/bin/x (deleted)".into()));
        assert_eq!(cell("unit", &processes, &request(false)), Value::Text("x.service".into()));
    }

    #[test]
    fn a_kernel_thread_has_brackets_for_humans_only() {
        let processes = met(b"kworker/0:1", true);
        assert_eq!(cell("command", &processes, &request(false)), Value::Text("[kworker/0:1]".into()));
        assert_eq!(cell("comm", &processes, &request(false)), Value::Text("kworker/0:1".into()));
        assert_eq!(processes.label(ID), "42 [kworker/0:1]");
        assert_eq!(Processes::default().label(ID), "42");
    }

    #[test]
    fn a_command_line_is_shown_only_if_requested() {
        let mut processes = met(b"x", false);
        named(&mut processes);
        let line = Value::Text("/usr/bin/x --pass \\x1bsecret".into());
        assert_eq!(cell("cmdline", &processes, &request(true)), line);
        assert_eq!(cell("command", &processes, &request(true)), line);
        assert_eq!(cell("command", &processes, &request(false)), Value::Text("x".into()));
        assert!(!format!("{:?}", cells(ID, &processes, &request(false))).contains("secret"));
    }

    #[test]
    fn tables_show_the_head_of_a_long_command_line() {
        assert_eq!(shortened(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
        assert_eq!(shortened(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(joined(b"\0\0"), None);
    }
}
