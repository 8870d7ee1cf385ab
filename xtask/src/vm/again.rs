//! What failed in an emulated machine is tried once more in a fresh one.
//!
//! An emulator's clock stands still and leaps while the machine below it is busy, which no test can tell from a fault. What
//! fails twice has failed. What fails once is unstable: it is told with the reason each time, so that somebody looks for
//! its cause, and does not refuse a change that has nothing to do with it.

use super::{
    guest::Said,
    plan::{self, Boot},
    verdicts::Verdict,
};

/// Where more than this fails it is no chance, and would take long.
const MOST: usize = 5;

/// What is to be tried once more of a boot that ended like this: all of it where the guest did not come to its end, else
/// the live tests that failed.
pub fn boot(boot: &Boot, said: &Said, judged: &[(String, Verdict)]) -> Option<Boot> {
    if !said.done {
        return Some(boot.clone());
    }
    let failed = judged.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_)));
    let names: Vec<&str> = failed.map(|(name, _)| name.as_str()).collect();
    let tests = names.iter().all(|name| name.contains("::"));
    (tests && (1..=MOST).contains(&names.len())).then(|| plan::tests(boot, &names))
}

/// The verdicts of both times: those of the first, but where it failed and the `second` time did not.
pub fn both(first: Vec<(String, Verdict)>, second: Vec<(String, Verdict)>) -> Vec<(String, Verdict)> {
    let once_more = |name: &str| second.iter().find(|(again, _)| again == name).map(|(_, verdict)| verdict);
    let mut found: Vec<(String, Verdict)> = first
        .into_iter()
        .map(|(name, verdict)| {
            let verdict = match (verdict, once_more(&name)) {
                // Of a guest that came to its end this time nothing is said of its end.
                (Verdict::Failed(why), Some(Verdict::Passed) | None) => Verdict::Unstable(why),
                (Verdict::Failed(_), Some(again)) => again.clone(),
                (verdict, _) => verdict,
            };
            (name, verdict)
        })
        .collect();
    // What the first guest did not get to.
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
    fn what_fails_twice_has_failed_and_what_fails_once_is_unstable() {
        let first = judged(&[("a::b", failed("x")), ("c::d", failed("y")), ("e::f", Verdict::Passed)]);
        let second = judged(&[("a::b", Verdict::Passed), ("c::d", failed("z"))]);
        let unstable = Verdict::Unstable("x".to_owned());
        assert_eq!(
            both(first, second),
            judged(&[("a::b", unstable), ("c::d", failed("z")), ("e::f", Verdict::Passed)])
        );
    }

    #[test]
    fn a_guest_that_hung_is_told_with_what_it_did_not_get_to() {
        let first = judged(&[("the guest's end", failed("it hung"))]);
        let second = judged(&[("smoke mem", failed("exit code 1"))]);
        let unstable = Verdict::Unstable("it hung".to_owned());
        assert_eq!(
            both(first, second),
            judged(&[("the guest's end", unstable), ("smoke mem", failed("exit code 1"))])
        );
    }

    #[test]
    fn only_a_few_tests_are_tried_once_more_and_nothing_else() {
        let whole = &plan::boots("6.1", &plan::Wanted::All)[0];
        let done = Said { done: true, ..Said::default() };
        let of = |verdicts: &[(&str, Verdict)]| boot(whole, &done, &judged(verdicts));
        assert_eq!(of(&[("a::b", Verdict::Passed)]), None);
        assert_eq!(of(&[("force mem", failed("x")), ("a::b", failed("x"))]), None);
        assert!(of(&[("a::b", failed("x"))]).is_some_and(|boot| boot.steps.contains("--exact a::b\n")));
        let many: Vec<_> =
            ["a::1", "a::2", "a::3", "a::4", "a::5", "a::6"].map(|name| (name, failed("x"))).into();
        assert_eq!(of(&many), None);
        assert_eq!(boot(whole, &Said::default(), &[]).as_ref(), Some(whole));
    }
}
