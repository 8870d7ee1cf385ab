//! The verdict of each check in a guest, and the table kernel × check.

use std::fmt::Write as _;

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// With why, in a line.
    Failed(String),
    /// With what it needs and the guest does not have.
    NotRun(String),
}

/// One check of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub kernel: String,
    pub name: String,
    pub verdict: Verdict,
}

/// Reads what a test binary says when it runs one test after the other. A test that has no verdict did not end.
pub fn of_tests(output: &str) -> Vec<(String, Verdict)> {
    let mut found: Vec<(String, Verdict)> = Vec::new();
    let mut open: Option<(String, Option<String>)> = None;
    for line in output.lines() {
        let mut rest = line;
        if let Some((name, after)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
            found.extend(open.take().map(unended));
            open = Some((name.to_owned(), None));
            rest = after;
        }
        let Some((name, missing)) = &mut open else { continue };
        // What a test writes itself comes between its name and its verdict.
        if let Some((_, reason)) = rest.split_once("NOT RUN: ") {
            *missing = Some(reason.to_owned());
        }
        let verdict = match rest {
            "ok" => missing.take().map_or(Verdict::Passed, Verdict::NotRun),
            "FAILED" => Verdict::Failed(String::new()),
            rest if rest.starts_with("ignored") => Verdict::NotRun(rest.to_owned()),
            _ => continue,
        };
        found.push((std::mem::take(name), verdict));
        open = None;
    }
    found.extend(open.map(unended));
    for (name, verdict) in &mut found {
        if let Verdict::Failed(why) = verdict
            && why.is_empty()
        {
            *why = reason(output, name);
        }
    }
    found
}

fn unended((name, _): (String, Option<String>)) -> (String, Verdict) {
    (name, Verdict::Failed("it did not end".to_owned()))
}

/// The first lines of what a failed test said: where it panicked and why.
fn reason(output: &str, name: &str) -> String {
    let heading = format!("---- {name} stdout ----");
    let said = output.split_once(&heading).map(|(_, after)| after).unwrap_or_default();
    let lines = said.lines().skip_while(|line| !line.contains(" panicked at ")).take(4);
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The table kernel × check, then each failure with its reason, then the sum.
pub fn table(checks: &[Check]) -> String {
    let mut kernels: Vec<&str> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for check in checks {
        if !kernels.contains(&check.kernel.as_str()) {
            kernels.push(&check.kernel);
        }
        if !names.contains(&check.name.as_str()) {
            names.push(&check.name);
        }
    }
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{:width$}", "");
    for kernel in &kernels {
        let _ = write!(text, "  {kernel:>5}");
    }
    text.push('\n');
    for name in names {
        let _ = write!(text, "{name:width$}");
        for kernel in &kernels {
            let check = checks.iter().find(|check| check.name == name && check.kernel == *kernel);
            let mark = match check.map(|check| &check.verdict) {
                Some(Verdict::Passed) => "ok",
                Some(Verdict::Failed(_)) => "FAIL",
                Some(Verdict::NotRun(_)) => "n.r.",
                None => "-",
            };
            let _ = write!(text, "  {mark:>columns$}", columns = kernel.len().max(5));
        }
        text.push('\n');
    }
    for check in checks {
        match &check.verdict {
            Verdict::Passed => {}
            Verdict::Failed(why) => {
                let _ = writeln!(text, "FAILED {} on {}: {why}", check.name, check.kernel);
            }
            Verdict::NotRun(why) => {
                let _ = writeln!(text, "NOT RUN {} on {}: {why}", check.name, check.kernel);
            }
        }
    }
    text
}

/// How many passed, failed, and were not run.
pub fn sums(checks: &[Check]) -> (usize, usize, usize) {
    checks.iter().fold((0, 0, 0), |(passed, failed, not_run), check| match check.verdict {
        Verdict::Passed => (passed + 1, failed, not_run),
        Verdict::Failed(_) => (passed, failed + 1, not_run),
        Verdict::NotRun(_) => (passed, failed, not_run + 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 4 tests\ntest days::one ... ok\ntest mem::two ... NOT RUN: python3 is not here\nok\n\
        test mem::three ... FAILED\ntest net::four ... \n---- mem::three stdout ----\n\n\
        thread 'main' panicked at tests/live/mem.rs:10:5:\nassertion failed: a\n";

    #[test]
    fn every_test_has_its_verdict() {
        let verdicts = of_tests(OUTPUT);
        assert_eq!(verdicts[0], ("days::one".to_owned(), Verdict::Passed));
        assert_eq!(verdicts[1], ("mem::two".to_owned(), Verdict::NotRun("python3 is not here".to_owned())));
        let Verdict::Failed(why) = &verdicts[2].1 else { panic!("{verdicts:?}") };
        assert!(why.contains("mem.rs:10:5: assertion failed: a"), "{why}");
        assert_eq!(verdicts[3], ("net::four".to_owned(), Verdict::Failed("it did not end".to_owned())));
    }

    #[test]
    fn the_table_names_what_failed_and_where() {
        let check =
            |kernel: &str, verdict| Check { kernel: kernel.to_owned(), name: "a".to_owned(), verdict };
        let checks = [check("5.10", Verdict::Failed("why".to_owned())), check("6.1", Verdict::Passed)];
        let table = table(&checks);
        assert!(table.contains("a   FAIL     ok\n"), "{table}");
        assert!(table.contains("FAILED a on 5.10: why\n"), "{table}");
        assert_eq!(sums(&checks), (1, 1, 0));
    }
}
