//! The processes that grow most, by what `/proc/PID/statm` shows of all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// Pages of growth from which a process is worth watching.
const LEAST: u64 = 16;
/// Reading all processes takes milliseconds: often at first, rarely later.
const OFTEN: u32 = 5;
const RARELY: Duration = Duration::from_secs(5);
/// A process is watched for so long after it last was among those that grow most.
const LINGER: Duration = Duration::from_secs(60);

/// What is known of all processes.
#[derive(Debug, Default)]
pub struct Growers {
    /// Resident anonymous pages at the last reading.
    before: BTreeMap<u32, u64>,
    /// When each of them last grew.
    chosen: BTreeMap<u32, Instant>,
    readings: u32,
    read: Option<Instant>,
}

impl Growers {
    /// The processes to watch: at most `most` that grow, and those that grew shortly before.
    pub fn find(&mut self, root: &Path, most: usize) -> BTreeSet<u32> {
        let now = Instant::now();
        if self.readings < OFTEN || self.read.is_none_or(|read| now - read >= RARELY) {
            self.readings = self.readings.saturating_add(1);
            self.read = Some(now);
            self.take(all(root), most, now);
        }
        self.chosen.keys().copied().collect()
    }

    fn take(&mut self, pages: BTreeMap<u32, u64>, most: usize, now: Instant) {
        let grown = |(pid, pages): (&u32, &u64)| Some((pages.checked_sub(*self.before.get(pid)?)?, *pid));
        let mut growing: Vec<(u64, u32)> =
            pages.iter().filter_map(grown).filter(|(by, _)| *by >= LEAST).collect();
        growing.sort_unstable_by(|left, right| right.cmp(left));
        self.chosen.retain(|pid, grew| pages.contains_key(pid) && now - *grew < LINGER);
        for (_, pid) in growing.into_iter().take(most) {
            if self.chosen.len() < most || self.chosen.contains_key(&pid) {
                self.chosen.insert(pid, now);
            }
        }
        self.before = pages;
    }
}

/// Resident anonymous pages of every process except this one.
fn all(root: &Path) -> BTreeMap<u32, u64> {
    let Ok(entries) = fs::read_dir(root.join("proc")) else { return BTreeMap::new() };
    let own = std::process::id();
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != own).filter_map(|pid| Some((pid, anonymous(root, pid)?))).collect()
}

/// Resident anonymous pages of a process; `None` if it is gone or has no memory.
pub fn anonymous(root: &Path, pid: u32) -> Option<u64> {
    let text = fs::read_to_string(root.join(format!("proc/{pid}/statm"))).ok()?;
    let mut numbers = text.split(' ').map(|number| number.parse::<u64>().ok());
    let (_, resident, shared) = (numbers.next()??, numbers.next()??, numbers.next()??);
    (resident > 0).then(|| resident.saturating_sub(shared))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Growers, LINGER};

    #[test]
    fn those_that_grow_most_are_watched_and_stay_watched_for_a_while() {
        let mut growers = Growers::default();
        let start = Instant::now();
        growers.take([(1, 100), (2, 100), (3, 100)].into(), 1, start);
        assert!(growers.chosen.is_empty(), "no growth is known yet");
        growers.take([(1, 200), (2, 500), (3, 101)].into(), 1, start);
        assert_eq!(growers.chosen.keys().collect::<Vec<_>>(), [&2]);
        growers.take([(1, 900), (2, 500), (3, 101)].into(), 1, start + LINGER / 2);
        assert_eq!(growers.chosen.keys().collect::<Vec<_>>(), [&2], "one is enough, and this one was first");
        growers.take([(1, 1900), (3, 101)].into(), 1, start + LINGER / 2);
        assert_eq!(growers.chosen.keys().collect::<Vec<_>>(), [&1], "the other one has ended");
    }
}
