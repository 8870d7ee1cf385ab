//! The verdict of each check in a guest, and the table of kernels and checks.

use std::fmt::Write as _;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// With the reason, in one line.
    Failed(String),
    /// Failed the first time, with the reason, and not the second.
    Unstable(String),
    /// With what the guest lacks.
    NotRun(String),
}

/// One check of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub kernel: String,
    pub name: String,
    pub verdict: Verdict,
}

/// Parses the output of a test binary that runs one test at a time without capture. A test without a verdict did not
/// finish.
pub fn of_tests(output: &str) -> Vec<(String, Verdict)> {
    let mut found: Vec<(String, Verdict)> = Vec::new();
    let mut open: Option<(String, Vec<&str>)> = None;
    for line in output.lines() {
        let mut rest = line;
        if let Some((name, after)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
            found.extend(open.take().map(unfinished));
            open = Some((name.to_owned(), Vec::new()));
            rest = after;
        }
        let Some((name, lines)) = &mut open else { continue };
        // A test's own output comes between its name and its verdict.
        let verdict = match rest {
            "ok" => match lines.iter().find_map(|line| line.split_once("NOT RUN: ")) {
                Some((_, missing)) => Verdict::NotRun(missing.to_owned()),
                None => Verdict::Passed,
            },
            "FAILED" => Verdict::Failed(reason(lines)),
            rest => {
                lines.push(rest);
                continue;
            }
        };
        found.push((std::mem::take(name), verdict));
        open = None;
    }
    found.extend(open.map(unfinished));
    found
}

fn unfinished((name, lines): (String, Vec<&str>)) -> (String, Verdict) {
    (name, Verdict::Failed(format!("it did not finish; {}", reason(&lines))))
}

/// The place of a test's panic, and the first lines of its message.
fn reason(output: &[&str]) -> String {
    let lines = output.iter().skip_while(|line| !line.contains(" panicked at ")).take(4);
    lines.map(|line| line.trim()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The table of kernels and checks, then the lines of [`decisive`].
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
                Some(Verdict::Unstable(_)) => "unst.",
                Some(Verdict::NotRun(_)) => "n.r.",
                None => "-",
            };
            let _ = write!(text, "  {mark:>columns$}", columns = kernel.len().max(5));
        }
        text.push('\n');
    }
    text + &decisive(checks)
}

/// Each failure with its reason, and the checks that did not run, by reason.
pub fn decisive(checks: &[Check]) -> String {
    let mut not_run: Vec<(&str, Vec<String>)> = Vec::new();
    let mut text = String::new();
    for check in checks {
        match &check.verdict {
            Verdict::Passed => {}
            Verdict::Failed(why) => {
                let _ = writeln!(text, "FAILED {} on {}: {why}", check.name, check.kernel);
            }
            Verdict::Unstable(why) => {
                let _ = writeln!(
                    text,
                    "UNSTABLE {} on {}: failed once, passed once: {why}",
                    check.name, check.kernel
                );
            }
            Verdict::NotRun(why) => {
                let what = format!("{} on {}", check.name, check.kernel);
                match not_run.iter_mut().find(|(known, _)| known == why) {
                    Some((_, all)) => all.push(what),
                    None => not_run.push((why, vec![what])),
                }
            }
        }
    }
    for (why, all) in not_run {
        // The table lists them all.
        let others = if all.len() > 1 { format!(" and {} more", all.len() - 1) } else { String::new() };
        let _ = writeln!(text, "NOT RUN {}{others}: {why}", all[0]);
    }
    text
}

/// The number of checks with each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub passed: usize,
    pub failed: usize,
    pub unstable: usize,
    pub not_run: usize,
}

/// Counts the checks by verdict.
pub fn sums(checks: &[Check]) -> Sums {
    let mut sums = Sums::default();
    for check in checks {
        *match check.verdict {
            Verdict::Passed => &mut sums.passed,
            Verdict::Failed(_) => &mut sums.failed,
            Verdict::Unstable(_) => &mut sums.unstable,
            Verdict::NotRun(_) => &mut sums.not_run,
        } += 1;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 4 tests\ntest hostile::one ... ok\ntest mem::two ... NOT RUN: python3 is not here\nok\n\
        test mem::three ... \nthread 'main' panicked at tests/live/mem.rs:10:5:\nassertion failed: a\nFAILED\n\
        test net::four ... \n";

    #[test]
    fn every_test_has_its_verdict() {
        let verdicts = of_tests(OUTPUT);
        assert_eq!(verdicts[0], ("hostile::one".to_owned(), Verdict::Passed));
        assert_eq!(verdicts[1], ("mem::two".to_owned(), Verdict::NotRun("python3 is not here".to_owned())));
        let Verdict::Failed(why) = &verdicts[2].1 else { panic!("{verdicts:?}") };
        assert!(why.contains("mem.rs:10:5: assertion failed: a"), "{why}");
        assert_eq!(verdicts[3], ("net::four".to_owned(), Verdict::Failed("it did not finish; ".to_owned())));
    }

    #[test]
    fn the_table_names_each_failure_and_its_kernel() {
        let check =
            |kernel: &str, verdict| Check { kernel: kernel.to_owned(), name: "a".to_owned(), verdict };
        let checks = [check("5.10", Verdict::Failed("why".to_owned())), check("6.1", Verdict::Passed)];
        let table = table(&checks);
        assert!(table.contains("a   FAIL     ok\n"), "{table}");
        assert!(table.contains("FAILED a on 5.10: why\n"), "{table}");
        assert_eq!(sums(&checks), Sums { passed: 1, failed: 1, ..Sums::default() });
    }

    #[test]
    fn only_failures_and_checks_that_did_not_run_are_listed() {
        let check =
            |kernel: &str, verdict| Check { kernel: kernel.to_owned(), name: "a".to_owned(), verdict };
        let not_run = Verdict::NotRun("no hook".to_owned());
        assert_eq!(decisive(&[check("6.1", Verdict::Passed)]), "");
        let both = [check("5.10", not_run.clone()), check("6.1", not_run)];
        assert_eq!(decisive(&both), "NOT RUN a on 5.10 and 1 more: no hook\n");
    }
}
