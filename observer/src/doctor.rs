//! What observer can see on this machine: each privilege, each hook with the chosen alternative and the reasons against
//! the others, what cannot be seen, and what would change it. Explains facts, plan and outcomes, and decides nothing.

use std::fmt::Write as _;

use observer_core::{error::Error, hook::Alternative};
use observer_kernel::{
    facts::KernelFacts,
    load::Outcome,
    lockdown::Lockdown,
    plan::{HookPlan, LoadPlan},
    privilege::{HELPFUL, LOCKED_MEMORY, REQUIRED, counts_locked_memory},
};

/// The whole answer as text. `outcomes` has the kernel's answers to a trial load of everything, or the reason why there
/// was none.
#[must_use]
pub fn explain(plan: &LoadPlan, outcomes: &Result<Vec<Outcome>, Error>) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, plan, outcomes);
    text
}

fn write_all(text: &mut String, plan: &LoadPlan, outcomes: &Result<Vec<Outcome>, Error>) -> std::fmt::Result {
    let unseen = match outcomes {
        Ok(outcomes) => outcomes.iter().filter(|outcome| outcome.alternative.is_none()).count(),
        Err(_) => plan.objects.iter().map(|object| object.hooks.len()).sum(),
    };
    match (outcomes, unseen) {
        (Err(error), _) => writeln!(text, "observer cannot observe here: {error}")?,
        (Ok(_), 0) => writeln!(text, "observer sees everything that it looks for on this machine.")?,
        (Ok(_), unseen) => {
            let signals = if unseen == 1 { "signal is" } else { "signals are" };
            writeln!(text, "observer works here; {unseen} {signals} not observed, see below.")?;
        }
    }
    writeln!(text)?;
    kernel(text, &plan.facts)?;
    for object in &plan.objects {
        writeln!(text, "\n{}", object.domain)?;
        for hook in &object.hooks {
            let outcome = outcomes.as_ref().ok().and_then(|outcomes| {
                outcomes.iter().find(|outcome| outcome.hook == hook.hook && outcome.domain == object.domain)
            });
            signal(text, hook, outcome)?;
        }
        for (global, reason) in &object.lacking {
            writeln!(text, "  field {global}: {reason}")?;
        }
    }
    Ok(())
}

fn kernel(text: &mut String, facts: &KernelFacts) -> std::fmt::Result {
    writeln!(text, "kernel {} {}", facts.release, facts.build)?;
    let lockdown = match facts.lockdown {
        Lockdown::None => "none, or unknown (securityfs is not mounted)",
        Lockdown::Integrity => "integrity",
        Lockdown::Confidentiality => {
            "confidentiality: programs with probe reads of kernel memory are rejected"
        }
    };
    writeln!(text, "  lockdown        {lockdown}")?;
    match &facts.trampolines {
        Ok(()) => writeln!(text, "  functions       can be hooked at entry and return")?,
        Err(reason) => writeln!(text, "  functions       {reason}")?,
    }
    writeln!(text, "privileges")?;
    let locked = counts_locked_memory(&facts.release).then_some(&LOCKED_MEMORY);
    for capability in REQUIRED.iter().chain(HELPFUL).chain(locked) {
        let (has, without) =
            if facts.capabilities.has(capability) { ("yes", "") } else { ("NO ", "cannot ") };
        writeln!(text, "  {:<21} {has}  {without}{}", capability.name, capability.purpose)?;
    }
    Ok(())
}

fn signal(text: &mut String, plan: &HookPlan, outcome: Option<&Outcome>) -> std::fmt::Result {
    let chosen = outcome.map_or_else(|| plan.chosen(), |outcome| outcome.alternative);
    let mark = if chosen.is_some() { "✓" } else { "✗" };
    writeln!(text, "  {mark} {:<22} {}", plan.hook.name, plan.hook.provides)?;
    for (alternative, verdict) in &plan.alternatives {
        let rejected = outcome.and_then(|outcome| {
            outcome.rejected.iter().find(|rejected| rejected.alternative == *alternative)
        });
        let line = if chosen == Some(*alternative) {
            seen(alternative)
        } else if let Some(rejected) = rejected {
            let what = if rejected.is_not_here() { "not available here" } else { "rejected by the kernel" };
            format!("{what}: {rejected}")
        } else if let Err(reason) = verdict {
            reason.to_string()
        } else {
            "possible, not needed".to_owned()
        };
        writeln!(text, "      {}: {line}", alternative.name)?;
    }
    if chosen.is_none() && !plan.hook.columns.is_empty() {
        writeln!(text, "      unknown without it: {}", plan.hook.columns.join(", "))?;
    }
    Ok(())
}

fn seen(alternative: &Alternative) -> String {
    if alternative.limitation.is_empty() {
        "in use".to_owned()
    } else {
        format!("in use; {}", alternative.limitation)
    }
}
