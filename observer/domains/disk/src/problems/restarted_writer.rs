//! A program that is started over and over, and writes to the same file each time: a service that cannot start.

use std::collections::BTreeSet;

use crate::{report::patterns, state::DiskState};
use observer_core::{
    context::Context,
    problem::{ProblemKind, condition::Condition},
    report::{Subject, Value},
    severity::Severity,
    text::printable,
    view::GroupBy,
};

pub static KIND: ProblemKind = ProblemKind { name: "restarted", confirm: 5, linger: 60 };

/// The number of observed starts from which a program counts, while its file is watched (a minute after its last write).
/// A script can start a command that writes to its output a few times.
const STARTS: u64 = 10;
/// The most programs that are reported.
const FEW: usize = 5;

pub fn conditions(state: &DiskState, context: &Context<'_>) -> Vec<Condition> {
    let mut named = BTreeSet::new();
    let found = patterns::restarted(state, context);
    let found = found.into_iter().filter(|restarted| restarted.starts >= STARTS && restarted.is_regular);
    let first_of_each = found.filter(|restarted| named.insert(restarted.name.clone()));
    let conditions = first_of_each.take(FEW).map(|restarted| {
        let key = Some(restarted.name.clone());
        let subject = Subject::Group { by: GroupBy::Comm, key };
        let about = vec![
            ("name", Value::Text(restarted.name.clone())),
            ("path", Value::Text(printable(restarted.path))),
            ("starts", Value::Unsigned(restarted.starts)),
        ];
        let evidence = format!("{} of its processes wrote to that file and ended", restarted.starts);
        let condition =
            Condition::new(&KIND, Severity::Watch, subject, restarted.sentence(), context.now.boot);
        condition.about(about).because(evidence).next("observer disk")
    });
    conditions.collect()
}
