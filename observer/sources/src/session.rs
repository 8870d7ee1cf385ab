//! The first fact of a live stream: what is observed, where, and what could not be attached.

use super::clock::now;
use observer_core::facts::session::{Gap, SessionFact};
use observer_kernel::{
    facts::KernelFacts,
    load::Outcome,
    privilege::{Capability, HELPFUL},
    rejection::Rejected,
};

/// The first fact of a live stream.
#[must_use]
pub fn session(outcomes: &[Outcome], facts: &KernelFacts) -> SessionFact {
    let hooks = outcomes.iter().filter(|outcome| outcome.alternative.is_none()).map(missing);
    let serves = |capability: &&Capability| outcomes.iter().any(|outcome| capability.serves(outcome.domain));
    let lacked = HELPFUL.iter().filter(serves).filter(|capability| !facts.capabilities.has(capability));
    let names = rustix::system::uname();
    SessionFact {
        began: now(),
        host: names.nodename().to_string_lossy().into_owned(),
        kernel: facts.release.clone(),
        page_size: rustix::param::page_size() as u64,
        cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32),
        observer: std::process::id(),
        missing: hooks.chain(lacked.map(lacking)).collect(),
        limitations: outcomes
            .iter()
            .filter_map(limitation)
            .chain(outcomes.iter().filter_map(fault))
            .collect(),
    }
}

fn missing(outcome: &Outcome) -> Gap {
    let mut reasons: Vec<String> = outcome.rejected.iter().map(named).collect();
    if !outcome.impossible.is_empty() {
        reasons.push(outcome.impossible.clone());
    }
    Gap {
        hook: outcome.hook.name.to_owned(),
        text: format!("Not observed here: {} ({}).", outcome.hook.provides, reasons.join("; ")),
        columns: outcome.hook.columns.iter().map(|&column| column.to_owned()).collect(),
    }
}

fn named(rejected: &Rejected) -> String {
    format!("{}: {rejected}", rejected.alternative.name)
}

/// What observer cannot do without an optional capability.
fn lacking(capability: &Capability) -> Gap {
    let columns = if capability.name == "CAP_SYS_PTRACE" { vec!["exe".to_owned()] } else { Vec::new() };
    Gap {
        hook: capability.name.to_owned(),
        text: format!("Without {} observer cannot {}.", capability.name, capability.purpose),
        columns,
    }
}

fn limitation(outcome: &Outcome) -> Option<Gap> {
    let alternative = outcome.alternative.filter(|alternative| !alternative.limitation.is_empty())?;
    Some(Gap {
        hook: outcome.hook.name.to_owned(),
        text: format!(
            "Seen in part: {} ({}: {}).",
            outcome.hook.provides, alternative.name, alternative.limitation
        ),
        columns: Vec::new(),
    })
}

/// A rejection that is a fault of observer, though another alternative was attached.
fn fault(outcome: &Outcome) -> Option<Gap> {
    let alternative = outcome.alternative?;
    let reasons: Vec<String> = outcome.faults().map(named).collect();
    (!reasons.is_empty()).then(|| Gap {
        hook: outcome.hook.name.to_owned(),
        text: format!(
            "Seen by the next best alternative: {} ({}). The kernel rejected a better one, which is a fault of observer: {}.",
            outcome.hook.provides,
            alternative.name,
            reasons.join("; ")
        ),
        columns: Vec::new(),
    })
}
