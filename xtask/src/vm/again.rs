//! A check that failed in an emulated machine is repeated in a fresh one.
//!
//! An emulator's clock stops and jumps while its host is busy, and no test can distinguish that from a fault. A check
//! that fails twice has failed. One that fails once is unstable: it is reported with the reason, so that its cause can
//! be found, but does not fail the run.

use super::{
    guest::GuestReport,
    plan::{self, Boot},
    verdicts::Verdict,
};

/// More failures than this are no accident, and repeating them would take long.
const MAX_REPEATED: usize = 5;

/// The boot to repeat: the same one if the guest did not finish, otherwise one with the failed live tests.
pub fn boot(boot: &Boot, report: &GuestReport, judged: &[(String, Verdict)]) -> Option<Boot> {
    if !report.done {
        return Some(boot.clone());
    }
    let failed = judged.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_)));
    let names: Vec<&str> = failed.map(|(name, _)| name.as_str()).collect();
    let tests = names.iter().all(|name| name.contains("::"));
    (tests && (1..=MAX_REPEATED).contains(&names.len())).then(|| plan::tests(boot, &names))
}

/// The verdicts of both runs: those of the first, except where it failed and the `second` did not.
pub fn both(first: Vec<(String, Verdict)>, second: Vec<(String, Verdict)>) -> Vec<(String, Verdict)> {
    let repeated = |name: &str| second.iter().find(|(again, _)| again == name).map(|(_, verdict)| verdict);
    let mut found: Vec<(String, Verdict)> = first
        .into_iter()
        .map(|(name, verdict)| {
            let verdict = match (verdict, repeated(&name)) {
                // A guest that finishes this time has no verdict about its end.
                (Verdict::Failed(why), Some(Verdict::Passed) | None) => Verdict::Unstable(why),
                (Verdict::Failed(_), Some(again)) => again.clone(),
                (verdict, _) => verdict,
            };
            (name, verdict)
        })
        .collect();
    // Checks that the first guest did not reach.
    for (name, verdict) in second {
        if !found.iter().any(|(known, _)| *known == name) {
            found.push((name, verdict));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&str, Verdict)]) -> Vec<(String, Verdict)> {
        pairs.iter().map(|(name, verdict)| ((*name).to_owned(), verdict.clone())).collect()
    }

    fn failed(why: &str) -> Verdict {
        Verdict::Failed(why.to_owned())
    }

    #[test]
    fn a_check_that_fails_twice_has_failed_and_one_that_fails_once_is_unstable() {
        let first = judged(&[("a::b", failed("x")), ("c::d", failed("y")), ("e::f", Verdict::Passed)]);
        let second = judged(&[("a::b", Verdict::Passed), ("c::d", failed("z"))]);
        let unstable = Verdict::Unstable("x".to_owned());
        assert_eq!(
            both(first, second),
            judged(&[("a::b", unstable), ("c::d", failed("z")), ("e::f", Verdict::Passed)])
        );
    }

    #[test]
    fn checks_that_a_hung_guest_did_not_reach_are_added() {
        let first = judged(&[("the guest's end", failed("it hung"))]);
        let second = judged(&[("smoke mem", failed("exit code 1"))]);
        let unstable = Verdict::Unstable("it hung".to_owned());
        assert_eq!(
            both(first, second),
            judged(&[("the guest's end", unstable), ("smoke mem", failed("exit code 1"))])
        );
    }

    #[test]
    fn only_a_few_failed_tests_are_repeated() {
        let whole = &plan::boots("6.1", &plan::Wanted::All)[0];
        let done = GuestReport { done: true, ..GuestReport::default() };
        let of = |verdicts: &[(&str, Verdict)]| boot(whole, &done, &judged(verdicts));
        assert_eq!(of(&[("a::b", Verdict::Passed)]), None);
        assert_eq!(of(&[("force mem", failed("x")), ("a::b", failed("x"))]), None);
        assert!(of(&[("a::b", failed("x"))]).is_some_and(|boot| boot.steps.contains("--exact a::b\n")));
        let many: Vec<_> =
            ["a::1", "a::2", "a::3", "a::4", "a::5", "a::6"].map(|name| (name, failed("x"))).into();
        assert_eq!(of(&many), None);
        assert_eq!(boot(whole, &GuestReport::default(), &[]).as_ref(), Some(whole));
    }
}
