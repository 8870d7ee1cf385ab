//! From a guest's report to verdicts.

use super::{
    answers::{AlternativeState, Answer},
    guest::{GuestReport, Step},
    plan::{self, Boot},
    verdicts::{self, Verdict},
};

/// The verdict of every check of one boot, by name.
pub fn judge(report: &GuestReport, boot: &Boot) -> Vec<(String, Verdict)> {
    let mut found = Vec::new();
    for step in &report.steps {
        match step.name.split_once(' ') {
            None if step.name == "doctor" => found.extend(doctor(step)),
            // `surveys` makes its verdict.
            None if step.name == "survey" => {}
            None if step.name == "live" => found.extend(live(step)),
            Some(("refusal", _)) => found.push((step.name.clone(), refusal(step))),
            _ => found.push((step.name.clone(), reports(step))),
        }
    }
    if let Some(live) = report.steps.iter().find(|step| step.name == "live") {
        found.extend(left_out(report, live, &boot.chosen));
    }
    if boot.tests && !report.steps.iter().any(|step| step.name == "live") {
        found.push(("live".to_owned(), Verdict::Failed("the guest ended before the live tests".to_owned())));
    } else if !report.done {
        found.push((
            "the guest's end".to_owned(),
            Verdict::Failed("it hung, or its kernel failed".to_owned()),
        ));
    }
    found
}

/// The verdicts of doctor itself and of each hook. An alternative that the plan expected to work and the kernel
/// rejected is a failure, unless doctor reports that this machine lacks it. A signal that is impossible on this kernel
/// is not a failure; the page shows whether that changed.
fn doctor(step: &Step) -> Vec<(String, Verdict)> {
    let answer = Answer::read(&step.output);
    let own = match step.exit {
        Some(0) if !answer.hooks.is_empty() => Verdict::Passed,
        _ => Verdict::Failed(ended(step)),
    };
    let mut found = vec![("doctor".to_owned(), own)];
    for hook in &answer.hooks {
        let in_use = hook.in_use().is_some();
        let rejected: Vec<String> = hook
            .rejected()
            .map(|(alternative, reason)| format!("{} was rejected: {reason}", alternative.name))
            .collect();
        let verdict = if !rejected.is_empty() {
            Verdict::Failed(rejected.join("; "))
        } else if !in_use {
            let reasons = hook.alternatives.iter().filter_map(|alternative| match &alternative.state {
                AlternativeState::Impossible(reason) => Some(format!("{}: {reason}", alternative.name)),
                _ => None,
            });
            Verdict::NotRun(format!("not seen here: {}", reasons.collect::<Vec<_>>().join("; ")))
        } else {
            Verdict::Passed
        };
        found.push((format!("hook {}", hook.name), verdict));
    }
    found
}

/// Verdicts of chosen tests that did not run: the kernel lacks a hook that they need, or no test has this name.
fn left_out(report: &GuestReport, live: &Step, chosen: &[&str]) -> Vec<(String, Verdict)> {
    let ran = verdicts::of_tests(&live.output);
    let doctor =
        report.steps.iter().find(|step| step.name == "doctor").map(|step| Answer::read(&step.output));
    let without_sockets =
        doctor.is_some_and(|answer| answer.hook("net.sockets").is_some_and(|hook| hook.in_use().is_none()));
    let missing = chosen.iter().filter(|name| !ran.iter().any(|(ran, _)| ran == *name));
    let verdict = |name: &&str| match () {
        () if live.exit.is_none() => Verdict::Failed("the guest ended before it".to_owned()),
        () if without_sockets && plan::needs_sockets(name) => {
            Verdict::NotRun("net.sockets is not available on this kernel".to_owned())
        }
        () => Verdict::Failed("there is no such test".to_owned()),
    };
    missing.map(|name| ((*name).to_owned(), verdict(name))).collect()
}

/// The verdict of a command that must write at least one complete report.
fn reports(step: &Step) -> Verdict {
    let has_report = step.output.lines().any(|line| line.starts_with("{\"schema\":"));
    if step.exit == Some(0) && has_report { Verdict::Passed } else { Verdict::Failed(ended(step)) }
}

/// The verdict of a script that exits with 0 if observer refused as expected.
fn refusal(step: &Step) -> Verdict {
    if step.exit == Some(0) { Verdict::Passed } else { Verdict::Failed(ended(step)) }
}

fn live(step: &Step) -> Vec<(String, Verdict)> {
    let mut found = verdicts::of_tests(&step.output);
    if found.is_empty() {
        found.push(("live".to_owned(), Verdict::Failed(ended(step))));
    }
    found
}

/// How a step ended, with its notes, or its last line that is not a report.
fn ended(step: &Step) -> String {
    let code = step.exit.map_or("it did not finish".to_owned(), |code| format!("exit code {code}"));
    let notes = step.output.lines().find_map(|line| {
        line.split_once("\"notes\":").map(|(_, notes)| notes.trim_end_matches('}').to_owned())
    });
    let last = step.output.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with('{'));
    format!("{code}: {}", notes.or_else(|| last.map(str::to_owned)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, output: &str, exit: i32) -> Step {
        Step { name: name.to_owned(), output: output.to_owned(), exit: Some(exit), ..Step::default() }
    }

    #[test]
    fn a_rejection_fails_even_if_another_alternative_is_in_use() {
        let text =
            "  ✓ mem.mappings  maps\n      fexit: rejected by the kernel: EINVAL\n      sys_exit: in use\n";
        let found = doctor(&step("doctor", text, 0));
        assert_eq!(found[0].1, Verdict::Passed);
        let lacking = text.replace("rejected by the kernel: ", "not available here: ");
        assert_eq!(doctor(&step("doctor", &lacking, 0))[1].1, Verdict::Passed);
        let impossible = lacking.replace("in use", "this kernel has no tracepoint");
        assert_ne!(doctor(&step("doctor", &impossible, 0))[1].1, Verdict::Passed);
        assert_eq!(
            found[1],
            ("hook mem.mappings".to_owned(), Verdict::Failed("fexit was rejected: EINVAL".to_owned()))
        );
    }

    #[test]
    fn a_chosen_test_that_did_not_run_has_a_verdict() {
        let live = step("live", "test mem::one ... ok\n", 0);
        let without_sockets =
            "  ✗ net.sockets  sockets\n      iterator task_file: this kernel has no helper\n";
        let chosen = ["mem::one", "mem::two", "net::three"];
        let of = |doctor: &str| {
            let report = GuestReport { steps: vec![step("doctor", doctor, 0)], ..GuestReport::default() };
            left_out(&report, &live, &chosen)
        };
        let no_such_test = Verdict::Failed("there is no such test".to_owned());
        assert_eq!(of("")[0], ("mem::two".to_owned(), no_such_test.clone()));
        assert_eq!(of("")[1], ("net::three".to_owned(), no_such_test));
        assert!(matches!(&of(without_sockets)[1].1, Verdict::NotRun(_)));
    }

    #[test]
    fn an_incomplete_report_does_not_pass() {
        assert_eq!(
            reports(&step("smoke mem", "{\"schema\":\"observer.v1\",\"notes\":[]}\n", 0)),
            Verdict::Passed
        );
        let lacking = step("smoke mem", "{\"schema\":\"observer.v1\",\"notes\":[{\"code\":\"x\"}]}\n", 3);
        assert_eq!(reports(&lacking), Verdict::Failed("exit code 3: [{\"code\":\"x\"}]".to_owned()));
    }
}
