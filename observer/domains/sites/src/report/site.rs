//! The samples of one process by site and callers.

use std::collections::{HashMap, HashSet};

use super::frame::{ShownFrame, SitePath, shown};
use crate::{
    judgement::{AGES, ENOUGH, Evidence},
    proportion::{Proportion, Rate},
    state::{Look, ProcessSamples, Sample},
};

/// Milliseconds after which a look that is due has arrived.
const SLACK: u32 = 1_500;

/// Samples whose paths agree from the site outwards.
#[derive(Debug)]
pub struct SiteSamples {
    pub path: SitePath,
    pub samples: usize,
    /// Those whose path reaches the start of their thread.
    pub complete: usize,
    pub allocates: Option<Rate>,
    /// Milliseconds after the fault, samples that have reached this age, and the share that is still there.
    pub kept: Option<(u32, usize, Proportion)>,
    /// Whether each half of the time has a fair part of its samples.
    pub lasting: bool,
    /// Bytes a second that it keeps.
    pub keeps: Option<Rate>,
}

impl SiteSamples {
    pub fn evidence(&self) -> Evidence {
        Evidence {
            allocates: self.allocates,
            lasting: self.lasting,
            interpreted: self.path.is_interpreted(),
            kept: self.kept,
        }
    }

    /// Samples that are kept, as far as the kept share shows. The few that stay of a site that churns are its live set.
    fn kept_samples(&self) -> f64 {
        let kept = self.kept.filter(|(_, count, share)| *count < ENOUGH || share.high >= 0.5);
        kept.map_or(0.0, |(_, _, share)| share.value * self.samples as f64)
    }
}

/// Everything of a group, while it is collected.
#[derive(Default)]
struct Group<'a> {
    /// Weights of the different paths of the group, by number.
    paths: HashMap<u32, u64>,
    /// Each with the look at its object.
    samples: Vec<(&'a Sample, Option<Look>)>,
    complete: usize,
}

/// All groups of a process at `now`, boot-clock nanoseconds.
pub fn sites(known: &ProcessSamples, now: u64) -> Vec<SiteSamples> {
    let mut frames: HashMap<u32, (SitePath, bool)> = HashMap::new();
    let used: HashSet<u32> = known.samples.values().map(|sample| sample.path).collect();
    for number in used {
        if let Some(path) = known.paths.get(number) {
            frames.insert(number, (shown(path, known), path.complete));
        }
    }
    let mut groups: HashMap<Vec<ShownFrame>, Group<'_>> = HashMap::new();
    let mut keys: HashMap<u32, Vec<ShownFrame>> = HashMap::new();
    for sample in known.samples.values() {
        let Some((path, complete)) = frames.get(&sample.path) else { continue };
        let key = keys.entry(sample.path).or_insert_with(|| path.key());
        if !groups.contains_key(key) {
            groups.insert(key.clone(), Group::default());
        }
        if let Some(group) = groups.get_mut(key) {
            *group.paths.entry(sample.path).or_default() += sample.weight;
            group.samples.push((sample, look(sample, path)));
            group.complete += usize::from(*complete);
        }
    }
    let began = known.samples.values().map(|sample| sample.at).min().unwrap_or(now);
    let seconds = now.saturating_sub(began) as f64 / 1e9;
    let made = groups.into_values().map(|group| {
        // The number decides between equal weights, so that reports of the same facts are the same.
        let heaviest = group.paths.iter().max_by_key(|(number, weight)| (**weight, u32::MAX - **number));
        let path = heaviest.and_then(|(number, _)| frames.get(number)).map(|(path, _)| path.clone());
        let sum = group.samples.iter().map(|(sample, _)| sample.weight).sum();
        SiteSamples {
            path: path.unwrap_or_default(),
            samples: group.samples.len(),
            complete: group.complete,
            allocates: Rate::of(sum, group.samples.len(), seconds),
            kept: kept(&group.samples, now),
            lasting: lasting(&group.samples, began, now),
            keeps: None,
        }
    });
    let mut made: Vec<SiteSamples> = made.collect();
    divide(&mut made, known.growth());
    made
}

/// Divides the growth of the process, bytes a second, among its sites, by their samples that are kept. A page that one
/// site touches first, and frees, may later hold what another site keeps: what a site keeps is more than the pages that
/// it touched first.
fn divide(sites: &mut [SiteSamples], growth: Option<f64>) {
    let all: f64 = sites.iter().map(SiteSamples::kept_samples).sum();
    let Some(growth) = growth.map(|growth| growth.max(0.0)).filter(|_| all >= 1.0) else { return };
    for site in sites.iter_mut().filter(|site| site.kept.is_some()) {
        let share = Proportion::of(site.kept_samples().round() as usize, all.round() as usize);
        site.keeps = Some(share.map_or_else(Rate::default, |share| Rate {
            value: growth * share.value,
            low: growth * share.low,
            high: growth * share.high,
        }));
    }
}

/// Whether at least a quarter of the samples is in each half of the time from `began` to `now`.
fn lasting(samples: &[(&Sample, Option<Look>)], began: u64, now: u64) -> bool {
    let middle = began + now.saturating_sub(began) / 2;
    let early = samples.iter().filter(|(sample, _)| sample.at < middle).count();
    let late = samples.len() - early;
    4 * early >= samples.len() && 4 * late >= samples.len()
}

/// The look at the object that a fault was for. A program that writes into an object faults at an address of the object.
/// glibc's malloc cuts an object off the fresh end of the heap, and faults in writing the size of what is left, right
/// behind the object: at 8 bytes from a multiple of 16, before the next object exists.
///
/// Python puts many small objects of equal size into one pool, and reuses their places at once: which of them is at the
/// address says nothing about the one that was there first.
fn look(sample: &Sample, path: &SitePath) -> Option<Look> {
    if path.is_interpreted() {
        return None;
    }
    let by_allocator = path.frames.first().is_some_and(|frame| frame.runtime);
    if by_allocator && sample.address % 16 == 8 { sample.before } else { sample.after }
}

/// The share of the samples that is still there, at the greatest age that enough of them have reached; else at the age
/// that most of them have reached.
fn kept(samples: &[(&Sample, Option<Look>)], now: u64) -> Option<(u32, usize, Proportion)> {
    let at_age = |age: u32| {
        let is_due = |sample: &Sample| now.saturating_sub(sample.at) / 1_000_000 >= u64::from(age + SLACK);
        let due = samples.iter().filter(|(sample, _)| is_due(sample));
        let known = due.filter_map(|(_, look)| look.filter(|look| !look.same || look.age >= age));
        let (mut all, mut there) = (0, 0);
        for look in known {
            all += 1;
            there += usize::from(look.same);
        }
        Some((age, all, Proportion::of(there, all)?))
    };
    let known: Vec<_> = AGES.into_iter().filter_map(at_age).collect();
    let enough = known.iter().rev().find(|(_, count, _)| *count >= ENOUGH);
    enough.or_else(|| known.first()).copied()
}
