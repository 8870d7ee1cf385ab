//! Programs of others that a test asks.

use std::{io::Write as _, path::Path, process::Command};

use observer::{
    domains::{self, Declaration},
    kernel::{
        facts::{KernelFacts, Origin},
        plan::{LoadPlan, Without, plan},
    },
};

use crate::observer_path;

/// Whether `program` is missing in a guest of the kernel matrix, which has few: then the test says so and returns, and
/// the matrix counts it as not run. Elsewhere nothing is missing: `cargo xtask test` installs it, or the test fails.
#[must_use]
pub fn missing(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if found || std::env::var_os("OBSERVER_GUEST").is_none() {
        return false;
    }
    not_run(&format!("{program} is not in this guest"));
    true
}

/// Whether a guest's kernel has no way to what this hook tells, as doctor says: then the test says so and leaves out what
/// needs it. That it is no less than was known is for the page of kernels to show. Elsewhere every hook has a way.
#[must_use]
pub fn unseen(hook: &str) -> bool {
    if std::env::var_os("OBSERVER_GUEST").is_none() {
        return false;
    }
    let said = Command::new(observer_path()).arg("doctor").output().expect("observer can be started").stdout;
    let said = String::from_utf8_lossy(&said);
    let unseen = said.lines().any(|line| line.starts_with(&format!("  ✗ {hook} ")));
    if unseen {
        not_run(&format!("this kernel has no way to {hook}"));
    }
    unseen
}

/// Whether the plan for this kernel rules out the way with this number, counted from 1 as in the declaration of `hook`:
/// then the test says so and returns. A way that is refused although the plan has it is none of this; the test is to
/// fail then.
#[must_use]
pub fn ruled_out(hook: &str, number: usize) -> bool {
    let domains: Vec<&Declaration> = domains::ALL.iter().collect();
    let origin = Origin { root: Path::new("/"), btf: None, cache: None };
    let facts = KernelFacts::gather(&domains, &origin).expect("the kernel's types can be read");
    let reason = refusal(&plan(facts, &domains, Without::default()), hook, number);
    if let Some(reason) = &reason {
        not_run(&format!("{hook}: {reason}"));
    }
    reason.is_some()
}

/// Why the plan has not this way.
fn refusal(plan: &LoadPlan, hook: &str, number: usize) -> Option<String> {
    let mut hooks = plan.objects.iter().flat_map(|object| &object.hooks);
    let hook = hooks.find(|plan| plan.hook.name == hook).expect("such a hook is declared");
    let (_, verdict) = hook.ways.get(number - 1).expect("such a way is declared");
    verdict.clone().err()
}

fn not_run(why: &str) {
    // What is printed, the test runner keeps for itself where a test passes; what is written, it does not.
    let _ = writeln!(std::io::stderr(), "NOT RUN: {why}");
}
