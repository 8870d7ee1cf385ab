//! Summary of the time that a guest needed for its steps.

use std::time::Duration;

use super::guest::{GuestReport, Step};

/// How many steps the summary names.
const NAMED: usize = 12;

/// The steps and live tests of a guest, the longest first.
pub fn longest(report: &GuestReport) -> String {
    let mut parts: Vec<(f64, String)> = Vec::new();
    let seconds = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64();
    if let Some(first) = report.steps.first() {
        parts.push((first.began.as_secs_f64(), "start".to_owned()));
    }
    for step in &report.steps {
        if step.name == "live" {
            parts.extend(tests(step));
        } else {
            let end = if step.ended.is_zero() { report.took } else { step.ended };
            parts.push((seconds(step.began, end), step.name.clone()));
        }
    }
    parts.sort_by(|one, other| other.0.total_cmp(&one.0));
    let named = parts.iter().take(NAMED).map(|(seconds, name)| format!("{name} {seconds:.0} s"));
    named.collect::<Vec<_>>().join(", ")
}

/// Tests run one after the other, and each verdict ends a line.
fn tests(step: &Step) -> Vec<(f64, String)> {
    let mut found = Vec::new();
    let (mut open, mut began) = (None, step.began);
    for (line, at) in step.output.lines().zip(&step.times) {
        let named = line.strip_prefix("test ").and_then(|line| line.split_once(" ... "));
        if let Some((name, _)) = named {
            open = Some(name);
        }
        if let Some(name) = open.filter(|_| ["ok", "FAILED"].iter().any(|end| line.ends_with(end))) {
            found.push((at.saturating_sub(began).as_secs_f64(), name.to_owned()));
            (open, began) = (None, *at);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_comes_first_and_tests_are_separate() {
        let second = Duration::from_secs;
        let live = Step {
            name: "live".to_owned(),
            output: "running 2 tests\ntest a::b ... ok\ntest a::c ... said\nFAILED\n".to_owned(),
            times: vec![second(10), second(12), second(13), second(19)],
            began: second(10),
            ended: second(20),
            exit: Some(101),
        };
        let report = GuestReport { steps: vec![live], took: second(21), ..GuestReport::default() };
        assert_eq!(longest(&report), "start 10 s, a::c 7 s, a::b 2 s");
    }
}
