//! Plans for the kernels of the matrix, without these kernels. `cargo xtask vm` writes their surveys to
//! `tests/data/kernels`. The plans next to them are committed, so that a review shows each change of a plan.
//!
//! `OBSERVER_KEEP_PLANS=1` writes the plans again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use observer::domains;
use observer_core::domain::Declaration;
use observer_kernel::{
    declared::{attachments, fields, helpers},
    plan::{DisabledHooks, LoadPlan, plan},
    prototype,
    surveyed::Surveyed,
    types::type_name,
};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/kernels")
}

fn every() -> Vec<&'static Declaration> {
    domains::declarations(domains::ALL)
}

/// Every kernel of the matrix, by series.
fn kernels() -> BTreeMap<String, Surveyed> {
    let files = fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let kernel = |path: PathBuf| {
        let kernel = serde_json::from_slice(&fs::read(&path).unwrap());
        let series = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (series, kernel.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    let kernels: BTreeMap<String, Surveyed> = files.map(kernel).collect();
    assert_eq!(kernels.len(), 5, "5.10, 6.1, 6.12, 6.18 and the newest");
    kernels
}

/// A plan as text: each hook with its alternatives in order, and the missing fields.
fn as_text(plan: &LoadPlan) -> String {
    let mut text = String::new();
    for object in &plan.objects {
        writeln!(text, "{}", object.domain).unwrap();
        for hook in &object.hooks {
            writeln!(text, "  {}", hook.hook.name).unwrap();
            let chosen = hook.chosen();
            for (alternative, verdict) in &hook.alternatives {
                let state = match verdict {
                    Ok(()) if chosen == Some(alternative) => "CHOSEN".to_owned(),
                    Ok(()) => "possible".to_owned(),
                    Err(reason) => reason.to_string(),
                };
                writeln!(text, "    {}: {state}", alternative.name).unwrap();
            }
        }
        for (global, reason) in &object.lacking {
            writeln!(text, "  LACKING {global}: {reason}").unwrap();
        }
    }
    text
}

#[test]
fn the_plan_of_each_kernel_is_the_reviewed_one() {
    let keep = std::env::var_os("OBSERVER_KEEP_PLANS").is_some();
    let mut changed = Vec::new();
    for (series, kernel) in kernels() {
        for (start, facts) in kernel.facts(&every()) {
            let name = if start.is_empty() { series.clone() } else { format!("{series}+{start}") };
            let path = data().join(format!("{name}.plan"));
            let now = as_text(&plan(facts, &every(), DisabledHooks::default()));
            if keep {
                fs::write(&path, &now).unwrap();
            }
            let reviewed = fs::read_to_string(&path).unwrap_or_default();
            let lines = now.lines().filter(|line| !reviewed.lines().any(|known| known == *line));
            let lines: Vec<&str> = lines.collect();
            if reviewed != now {
                changed.push(format!("{name}: {lines:#?}"));
            }
        }
    }
    assert!(changed.is_empty(), "OBSERVER_KEEP_PLANS=1 writes them again\n{}", changed.join("\n"));
}

/// Prefixes of modules: their types are not in the kernel's BTF unless they are built in.
const OF_MODULES: &[&str] = &["xfs_", "btrfs_", "ovl_", "extent_io_tree."];

/// A field that no kernel has is an error in the declaration, or needs a new survey.
#[test]
fn every_field_exists_on_some_kernel_with_the_declared_width() {
    let kernels = kernels();
    for field in fields(&every()) {
        let mut found = 0;
        for (series, kernel) in &kernels {
            let found_field = kernel.survey.fields.get(field.path);
            let found_field = found_field.unwrap_or_else(|| {
                panic!("`{}` was never looked up on {series}: `cargo xtask vm --doctor` does", field.path)
            });
            let Some(found_field) = found_field else { continue };
            found += 1;
            assert!(
                field.width == 0 || found_field.width == field.width,
                "{} on {series}: {found_field:?}",
                field.path
            );
        }
        let of_module = OF_MODULES.iter().any(|module| field.path.starts_with(module));
        assert!(found > 0 || of_module, "no kernel has `{}`", field.path);
    }
}

/// As for fields. A kernel with another prototype must be one that the plan excludes explicitly.
#[test]
fn every_attach_point_has_the_expected_prototype() {
    let kernels = kernels();
    for attachment in attachments(&every()) {
        let name = type_name(attachment.point).1;
        let expected = prototype::expected(&name)
            .unwrap_or_else(|| panic!("the prototype of `{name}` is not declared in kernel/prototype.rs"));
        let mut found = 0;
        for (series, kernel) in &kernels {
            let given = kernel.survey.points.get(&name);
            let given = given.unwrap_or_else(|| {
                panic!("`{name}` was never looked up on {series}: `cargo xtask vm --doctor` does")
            });
            let Some(given) = given else { continue };
            found += 1;
            assert!(
                prototype::fits(attachment.point, expected, given),
                "{} on {series}: `{name}` passes ({given}), not ({expected})",
                attachment.program
            );
        }
        let point = name.trim_start_matches("btf_trace_");
        let of_module = OF_MODULES.iter().any(|module| point.starts_with(module));
        assert!(found > 0 || of_module, "no kernel has `{name}`");
    }
}

#[test]
fn every_helper_exists_on_some_kernel() {
    let kernels = kernels();
    for helper in helpers(&every()) {
        assert!(
            kernels.values().any(|kernel| kernel.survey.helpers.get(helper) == Some(&true)),
            "no kernel has `bpf_{helper}`"
        );
    }
}

#[test]
fn surveys_and_plans_cover_the_same_kernels() {
    let starts = kernels().into_iter().flat_map(|(series, kernel)| {
        let name = move |start: &String| {
            if start.is_empty() { series.clone() } else { format!("{series}+{start}") }
        };
        kernel.starts.keys().map(name).collect::<Vec<_>>()
    });
    let mut expected: Vec<String> = starts.map(|start| format!("{start}.plan")).collect();
    let names = fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut plans: Vec<String> = names.filter(|name| name.ends_with(".plan")).collect();
    expected.sort();
    plans.sort();
    assert_eq!(plans, expected);
}
