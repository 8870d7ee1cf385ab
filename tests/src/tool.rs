//! Conditions of a test: programs, and hooks of the running kernel.

use std::{io::Write as _, path::Path, sync::OnceLock};

use observer::domains;
use observer_kernel::{
    facts::{KernelFacts, Origin},
    plan::{DisabledHooks, HookPlan, LoadPlan, plan},
};

/// Whether `program` is missing in a guest of the kernel matrix. The test then returns, and the matrix counts it as not
/// run. Elsewhere `cargo xtask test` installs the program, and a test without it fails.
#[must_use]
pub fn missing(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if found || !in_guest() {
        return false;
    }
    not_run(&format!("{program} is not in this guest"));
    true
}

/// Whether the reviewed plan for this kernel (`tests/data/kernels`) rules out every alternative of this hook. The test
/// then skips the part that needs it. As for [`ruled_out`], this does not cover an alternative that the kernel rejects
/// against the plan.
#[must_use]
pub fn unseen(hook: &str) -> bool {
    let unseen = hook_plan(hook).chosen().is_none();
    if unseen {
        not_run(&format!("{hook} is not available on this kernel"));
    }
    unseen
}

/// Whether the plan for this kernel rules out the alternative with this number, counted from 1 as in the declaration of
/// `hook`. The test then returns. If the kernel rejects an alternative against the plan, the test must fail.
#[must_use]
pub fn ruled_out(hook: &str, number: usize) -> bool {
    let (_, verdict) = hook_plan(hook).alternatives.get(number - 1).expect("no such alternative is declared");
    if let Err(reason) = verdict {
        not_run(&format!("{hook}: {reason}"));
    }
    verdict.is_err()
}

/// Whether the plan for this kernel has the alternative with this number, for a test that only skips a part of itself.
#[must_use]
pub fn has_alternative(hook: &str, number: usize) -> bool {
    hook_plan(hook).alternatives.get(number - 1).expect("no such alternative is declared").1.is_ok()
}

/// Whether the kernel's BTF has the field of this global. It lacks the types of modules, so for an inode of a module
/// that statx cannot reach, only the common fields are known.
#[must_use]
pub fn has_field(global: &str) -> bool {
    load_plan().facts.types.fields.get(global).expect("no such field is declared").is_ok()
}

/// The plan of a hook for the running kernel.
fn hook_plan(hook: &str) -> &'static HookPlan {
    let mut hooks = load_plan().objects.iter().flat_map(|object| &object.hooks);
    hooks.find(|plan| plan.hook.name == hook).expect("no such hook is declared")
}

/// The plan for the running kernel. Its types are read once.
fn load_plan() -> &'static LoadPlan {
    static PLAN: OnceLock<LoadPlan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let domains = domains::declarations(domains::ALL);
        let origin = Origin { root: Path::new("/"), btf: None, cache: None };
        let facts = KernelFacts::gather(&domains, &origin).expect("the kernel's types can be read");
        plan(facts, &domains, DisabledHooks::default())
    })
}

/// Whether this is a guest of the kernel matrix, which may lack features that a workload needs.
#[must_use]
pub fn in_guest() -> bool {
    std::env::var_os("OBSERVER_GUEST").is_some()
}

/// Reports that a test, or a part of it, did not run.
pub fn not_run(why: &str) {
    // The test runner captures `eprintln!` of passing tests, but not a direct write.
    let _ = writeln!(std::io::stderr(), "NOT RUN: {why}");
}
