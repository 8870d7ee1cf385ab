//! Programs of others that a test asks.

use std::{io::Write as _, path::Path, sync::OnceLock};

use observer::domains;
use observer_kernel::{
    facts::{KernelFacts, Origin},
    plan::{DisabledHooks, HookPlan, LoadPlan, plan},
};

/// Whether `program` is missing in a guest of the kernel matrix, which has few: then the test says so and returns, and
/// the matrix counts it as not run. Elsewhere nothing is missing: `cargo xtask test` installs it, or the test fails.
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

/// Whether the plan for this kernel, which was reviewed (`tests/data/kernels`), rules out every way to what this hook
/// tells: then the test says so and leaves out what needs it. As for [`ruled_out`], a way that is refused although the plan
/// has it is none of this.
#[must_use]
pub fn unseen(hook: &str) -> bool {
    let unseen = hook_plan(hook).chosen().is_none();
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
    let (_, verdict) = hook_plan(hook).alternatives.get(number - 1).expect("such a way is declared");
    if let Err(reason) = verdict {
        not_run(&format!("{hook}: {reason}"));
    }
    verdict.is_err()
}

/// Whether the plan for this kernel has the way with this number: for a test that leaves out a part of itself where it has
/// not, and shows the rest.
#[must_use]
pub fn has_way(hook: &str, number: usize) -> bool {
    hook_plan(hook).alternatives.get(number - 1).expect("such a way is declared").1.is_ok()
}

/// Whether the types of the kernel have the field of this global. What is a module is not in them: of its inodes that
/// nothing can be asked of, the fields beside the common ones are not known.
#[must_use]
pub fn has_field(global: &str) -> bool {
    load_plan().facts.types.fields.get(global).expect("such a field is declared").is_ok()
}

/// What the plan for the kernel that is running says of a hook.
fn hook_plan(hook: &str) -> &'static HookPlan {
    let mut hooks = load_plan().objects.iter().flat_map(|object| &object.hooks);
    hooks.find(|plan| plan.hook.name == hook).expect("such a hook is declared")
}

/// The plan for the kernel that is running. Its types are read once.
fn load_plan() -> &'static LoadPlan {
    static PLAN: OnceLock<LoadPlan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let domains = domains::declarations(domains::ALL);
        let origin = Origin { root: Path::new("/"), btf: None, cache: None };
        let facts = KernelFacts::gather(&domains, &origin).expect("the kernel's types can be read");
        plan(facts, &domains, DisabledHooks::default())
    })
}

/// Whether this is a guest of the kernel matrix, whose kernel may lack what a workload needs.
#[must_use]
pub fn in_guest() -> bool {
    std::env::var_os("OBSERVER_GUEST").is_some()
}

/// Says that a test, or the rest of it, is not run here.
pub fn not_run(why: &str) {
    // What is printed, the test runner keeps for itself where a test passes; what is written, it does not.
    let _ = writeln!(std::io::stderr(), "NOT RUN: {why}");
}
