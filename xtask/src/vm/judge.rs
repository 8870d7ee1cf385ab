//! From what a guest said to verdicts.

use super::{
    answers::{Answer, Fate},
    guest::{Said, Step},
    plan::{self, Boot},
    verdicts::{self, Verdict},
};

/// The verdict of every check of one boot, by name.
pub fn judge(said: &Said, boot: &Boot) -> Vec<(String, Verdict)> {
    let mut found = Vec::new();
    for step in &said.steps {
        match step.name.split_once(' ') {
            None if step.name == "doctor" => found.extend(doctor(step)),
            // Where it is kept its verdict is made.
            None if step.name == "survey" => {}
            None if step.name == "live" => found.extend(live(step)),
            Some(("refusal", _)) => found.push((step.name.clone(), refuses(step))),
            _ => found.push((step.name.clone(), reports(step))),
        }
    }
    if let Some(live) = said.steps.iter().find(|step| step.name == "live") {
        found.extend(left_out(said, live, &boot.chosen));
    }
    if boot.tests && !said.steps.iter().any(|step| step.name == "live") {
        found.push(("live".to_owned(), Verdict::Failed("the guest ended before the live tests".to_owned())));
    } else if !said.done {
        found.push((
            "the guest's end".to_owned(),
            Verdict::Failed("it hung, or its kernel failed".to_owned()),
        ));
    }
    found
}

/// Doctor itself, and each hook: a way that the plan held for possible and that the kernel refused is a failure, but for
/// what doctor knows to be not here. A signal that this kernel cannot have is none, but said; that it is no more than
/// was known is for the page to show.
fn doctor(step: &Step) -> Vec<(String, Verdict)> {
    let answer = Answer::read(&step.output);
    let own = match step.exit {
        Some(0) if !answer.hooks.is_empty() => Verdict::Passed,
        _ => Verdict::Failed(ended(step)),
    };
    let mut found = vec![("doctor".to_owned(), own)];
    for hook in &answer.hooks {
        let in_use = hook.in_use().is_some();
        let refused: Vec<String> =
            hook.refused().map(|(way, reason)| format!("{} was refused: {reason}", way.name)).collect();
        let verdict = if !refused.is_empty() {
            Verdict::Failed(refused.join("; "))
        } else if !in_use {
            let reasons = hook.ways.iter().filter_map(|way| match &way.fate {
                Fate::Impossible(reason) => Some(format!("{}: {reason}", way.name)),
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

/// Chosen tests that have no verdict: what a kernel has no way to is not asked of it, and a name that is no test's is a
/// mistake.
fn left_out(said: &Said, live: &Step, chosen: &[&str]) -> Vec<(String, Verdict)> {
    let ran = verdicts::of_tests(&live.output);
    let doctor = said.steps.iter().find(|step| step.name == "doctor").map(|step| Answer::read(&step.output));
    let blind =
        doctor.is_some_and(|answer| answer.hook("net.sockets").is_some_and(|hook| hook.in_use().is_none()));
    let missing = chosen.iter().filter(|name| !ran.iter().any(|(ran, _)| ran == *name));
    let verdict = |name: &&str| match () {
        () if live.exit.is_none() => Verdict::Failed("the guest ended before".to_owned()),
        () if blind && plan::needs_sockets(name) => {
            Verdict::NotRun("this kernel has no way to net.sockets".to_owned())
        }
        () => Verdict::Failed("there is no such test".to_owned()),
    };
    missing.map(|name| ((*name).to_owned(), verdict(name))).collect()
}

/// A command that must have answered completely with one report or more.
fn reports(step: &Step) -> Verdict {
    let has_report = step.output.lines().any(|line| line.starts_with("{\"schema\":"));
    if step.exit == Some(0) && has_report { Verdict::Passed } else { Verdict::Failed(ended(step)) }
}

/// A script that ends well where the refusal was the right one.
fn refuses(step: &Step) -> Verdict {
    if step.exit == Some(0) { Verdict::Passed } else { Verdict::Failed(ended(step)) }
}

fn live(step: &Step) -> Vec<(String, Verdict)> {
    let mut found = verdicts::of_tests(&step.output);
    if found.is_empty() {
        found.push(("live".to_owned(), Verdict::Failed(ended(step))));
    }
    found
}

/// How a step ended, with the last of what it said that is no report.
fn ended(step: &Step) -> String {
    let code = step.exit.map_or("it did not end".to_owned(), |code| format!("exit code {code}"));
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
    fn a_refusal_fails_even_where_another_way_is_in_use() {
        let text =
            "  ✓ mem.mappings  maps\n      fexit: refused by the kernel: EINVAL\n      sys_exit: in use\n";
        let found = doctor(&step("doctor", text, 0));
        assert_eq!(found[0].1, Verdict::Passed);
        let lacking = text.replace("refused by the kernel: ", "not to be had here: ");
        assert_eq!(doctor(&step("doctor", &lacking, 0))[1].1, Verdict::Passed);
        let blind = lacking.replace("in use", "this kernel has no tracepoint");
        assert_ne!(doctor(&step("doctor", &blind, 0))[1].1, Verdict::Passed);
        assert_eq!(
            found[1],
            ("hook mem.mappings".to_owned(), Verdict::Failed("fexit was refused: EINVAL".to_owned()))
        );
    }

    #[test]
    fn a_chosen_test_that_did_not_run_is_told() {
        let live = step("live", "test mem::one ... ok\n", 0);
        let blind = "  ✗ net.sockets  sockets\n      iterator task_file: this kernel has no helper\n";
        let chosen = ["mem::one", "mem::two", "net::three"];
        let of = |doctor: &str| {
            let said = Said { steps: vec![step("doctor", doctor, 0)], ..Said::default() };
            left_out(&said, &live, &chosen)
        };
        let no_such_test = Verdict::Failed("there is no such test".to_owned());
        assert_eq!(of("")[0], ("mem::two".to_owned(), no_such_test.clone()));
        assert_eq!(of("")[1], ("net::three".to_owned(), no_such_test));
        assert!(matches!(&of(blind)[1].1, Verdict::NotRun(_)));
    }

    #[test]
    fn a_report_that_lacks_something_is_no_pass() {
        assert_eq!(
            reports(&step("smoke mem", "{\"schema\":\"observer.v1\",\"notes\":[]}\n", 0)),
            Verdict::Passed
        );
        let lacking = step("smoke mem", "{\"schema\":\"observer.v1\",\"notes\":[{\"code\":\"x\"}]}\n", 3);
        assert_eq!(reports(&lacking), Verdict::Failed("exit code 3: [{\"code\":\"x\"}]".to_owned()));
    }
}
