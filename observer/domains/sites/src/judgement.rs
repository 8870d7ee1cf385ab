//! Which sites keep memory: what the evidence separates, and no more.
//!
//! A place that allocates most need not be the one that leaks. What separates them is content: after some seconds, the
//! bytes that were written at first are still there if the object is, and others if it was freed and its memory used
//! again. A site is called a leak only if
//! 1. there are enough samples, and enough of them are old,
//! 2. most of what it touched first is unchanged,
//! 3. it has allocated in both halves of the time, so it is no part of a start,
//! 4. the process grows as fast as such a site would make it grow, and
//! 5. no other site that matters keeps as much: objects with equal content look kept wherever they come from.

use crate::proportion::{Proportion, Rate};

/// Samples that a judgement needs.
pub const ENOUGH: usize = 10;
/// Ages of looks, in milliseconds: 2, 8 and 30 seconds, as far as they have been reached.
pub const AGES: [u32; 3] = [2_000, 8_000, 30_000];
/// The age from which on content that is still there counts as kept.
const OLD: u32 = 8_000;
/// The part of the allocations of a process from which a site matters.
const MATTERS: f64 = 0.1;
/// The part of what a site keeps that the growth of its process must at least be.
const OF_GROWTH: f64 = 0.25;

/// What is said of a site: in the order of rows. An unknown site may still turn out to keep memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    Leaks,
    AllocatesMost,
    Unknown,
    Churns,
}

impl Judgement {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leaks => "leaks",
            Self::AllocatesMost => "allocates_most",
            Self::Churns => "churns",
            Self::Unknown => "unknown",
        }
    }
}

/// What was measured of a site.
#[derive(Clone, Copy, Debug)]
pub struct Evidence {
    pub allocates: Option<Rate>,
    /// Whether each half of the time has a fair part of its samples.
    pub lasting: bool,
    /// Whether its path has frames of an interpreter.
    pub interpreted: bool,
    /// The share that is still there, at the greatest age that enough samples have reached: milliseconds and share.
    pub kept: Option<(u32, usize, Proportion)>,
}

/// Judges all sites of a process, in their order. `growth`: bytes a second, as far as it is known.
pub fn judge(sites: &[Evidence], growth: Option<f64>) -> Vec<(Judgement, String)> {
    let rate = |site: &Evidence| site.allocates.map_or(0.0, |rate| rate.value);
    let all: f64 = sites.iter().map(rate).sum();
    let most = sites.iter().map(rate).fold(0.0, f64::max);
    let judged = sites.iter().enumerate().map(|(place, site)| {
        let others = sites.iter().enumerate().filter(|(other, _)| *other != place);
        let others = others.map(|(_, other)| other).filter(|other| rate(other) >= MATTERS * all);
        let is_most = rate(site) > 0.0 && rate(site) >= most;
        alone(site, growth, others.copied().collect(), is_most)
    });
    judged.collect()
}

fn alone(site: &Evidence, growth: Option<f64>, others: Vec<Evidence>, is_most: bool) -> (Judgement, String) {
    let otherwise = if is_most { Judgement::AllocatesMost } else { Judgement::Unknown };
    if site.interpreted {
        let reason = "small objects of Python share pages, so their content does not separate what is kept";
        return (otherwise, reason.to_owned());
    }
    let Some((age, count, share)) = site.kept.filter(|(_, count, _)| *count >= ENOUGH) else {
        let known = site.kept.map_or(0, |(_, count, _)| count);
        return (
            otherwise,
            format!("only {known} of {ENOUGH} samples that a judgement needs are old enough"),
        );
    };
    let seconds = age / 1000;
    let percent = |part: f64| (part * 100.0).round();
    let unchanged = format!(
        "{:.0} to {:.0} % of {count} samples are unchanged after {seconds} s",
        percent(share.low),
        percent(share.high)
    );
    if share.high < 0.5 {
        return (Judgement::Churns, format!("{unchanged}: it frees most of what it allocates"));
    }
    if share.low <= 0.5 {
        return (otherwise, format!("{unchanged}, which separates nothing yet"));
    }
    if age < OLD {
        return (otherwise, format!("{unchanged}, and that is not long enough"));
    }
    if !site.lasting {
        return (otherwise, format!("{unchanged}, but it allocates only for a part of the time"));
    }
    let keeps = site.allocates.map_or(0.0, |rate| rate.times(share).low);
    let Some(growth) = growth else {
        return (otherwise, format!("{unchanged}, and the growth of the process is not known"));
    };
    if growth <= 0.0 || growth < OF_GROWTH * keeps {
        return (otherwise, format!("{unchanged}, but the process does not grow by it"));
    }
    let rival = others.iter().any(|other| match other.kept {
        Some((_, count, other)) if count >= ENOUGH => other.high >= share.low,
        // Nothing is known of it.
        _ => true,
    });
    if rival {
        return (otherwise, format!("{unchanged}, but another site is not clearly different"));
    }
    (Judgement::Leaks, format!("{unchanged}, and the process grows"))
}

#[cfg(test)]
mod tests {
    use super::{Evidence, Judgement, judge};
    use crate::proportion::{Proportion, Rate};

    fn site(bytes: u64, kept: usize, of: usize, age: u32) -> Evidence {
        let kept = Proportion::of(kept, of).map(|share| (age, of, share));
        Evidence { allocates: Rate::of(bytes, of, 1.0), lasting: true, interpreted: false, kept }
    }

    fn judged(sites: &[Evidence], growth: Option<f64>) -> Vec<Judgement> {
        judge(sites, growth).into_iter().map(|(judgement, _)| judgement).collect()
    }

    #[test]
    fn a_site_whose_content_stays_leaks_beside_one_that_allocates_more_and_churns() {
        let sites = [site(100, 90, 100, 8_000), site(900, 20, 900, 8_000)];
        assert_eq!(judged(&sites, Some(95.0)), [Judgement::Leaks, Judgement::Churns]);
        assert_eq!(judged(&sites, Some(0.0)), [Judgement::Unknown, Judgement::Churns], "it does not grow");
        assert_eq!(judged(&sites, None), [Judgement::Unknown, Judgement::Churns]);
    }

    #[test]
    fn two_sites_that_look_alike_are_not_called_leaks() {
        let sites = [site(500, 95, 100, 30_000), site(400, 90, 100, 30_000)];
        assert_eq!(judged(&sites, Some(800.0)), [Judgement::AllocatesMost, Judgement::Unknown]);
        let unseen = Evidence { kept: None, ..site(400, 1, 1, 2_000) };
        assert_eq!(judged(&[sites[0], unseen], Some(800.0))[0], Judgement::AllocatesMost);
        let small = site(20, 19, 20, 30_000);
        assert_eq!(judged(&[sites[0], small], Some(500.0))[0], Judgement::Leaks, "it does not matter");
    }

    #[test]
    fn what_a_start_allocates_is_no_leak() {
        let start = Evidence { lasting: false, ..site(100, 100, 100, 30_000) };
        assert_eq!(judged(&[start], Some(100.0)), [Judgement::AllocatesMost]);
    }

    #[test]
    fn content_separates_nothing_for_an_interpreter() {
        let python = Evidence { interpreted: true, ..site(100, 99, 100, 30_000) };
        assert_eq!(judged(&[python], Some(100.0)), [Judgement::AllocatesMost]);
    }

    #[test]
    fn few_or_young_samples_are_no_evidence() {
        assert_eq!(judged(&[site(100, 9, 9, 30_000)], Some(100.0)), [Judgement::AllocatesMost]);
        assert_eq!(judged(&[site(100, 99, 100, 2_000)], Some(100.0)), [Judgement::AllocatesMost]);
        assert_eq!(judged(&[site(100, 50, 100, 8_000)], Some(100.0)), [Judgement::AllocatesMost]);
        assert!(judged(&[], Some(1.0)).is_empty());
    }
}
