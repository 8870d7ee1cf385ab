//! The kernel killed a process because memory ran out, of the machine or of a control group.

use std::collections::BTreeMap;

use super::users::command;
use crate::{pressure::Kill, state::MemState};
use observer_core::{
    context::Context,
    problem::{ProblemKind, condition::Condition},
    report::{Subject, Value},
    severity::Severity,
    text::printable,
    units,
};

/// A kill is kept for a minute, so it ends as a problem soon after that.
pub(super) static KIND: ProblemKind = ProblemKind { name: "oom-kill", confirm: 0, linger: 10 };

pub(super) fn conditions(state: &MemState, context: &Context<'_>) -> Vec<Condition> {
    let mut places: BTreeMap<Option<&[u8]>, Vec<&Kill>> = BTreeMap::new();
    for kill in state.pressure.kills() {
        let group = kill.limit.as_ref().map(|(group, _)| group.as_slice());
        places.entry(group).or_default().push(kill);
    }
    let of_place = |(group, kills): (Option<&[u8]>, Vec<&Kill>)| {
        let (first, since) = (*kills.first()?, kills.iter().map(|kill| kill.at).min()?);
        let mut text = first.text(context);
        if kills.len() > 1 {
            let more = units::counted(kills.len() as u64 - 1, "more process was", "more processes were");
            text.push_str(&format!(" {more} killed in the last minute."));
        }
        let (subject, about) = match group {
            Some(path) => {
                (Subject::ControlGroup { path: path.to_vec() }, vec![("path", Value::Text(printable(path)))])
            }
            None => (Subject::Machine, Vec::new()),
        };
        // What grew outside of the group did not fill it.
        let grew = first.most.filter(|_| group.is_none()).map(|(most, _)| most);
        let next = grew.map_or_else(|| "observer mem".to_owned(), command);
        let cause = grew.unwrap_or(first.victim);
        let evidence = "the kernel reported the kill when it chose the process";
        let condition = Condition::new(&KIND, Severity::Now, subject, text, context.now.boot);
        Some(condition.about(about).because(evidence).by([cause]).next(next).since(since))
    };
    places.into_iter().filter_map(of_place).take(super::FEW).collect()
}
