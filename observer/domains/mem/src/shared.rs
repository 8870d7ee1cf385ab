//! The part of shared memory that counts as a process's own.
//!
//! A process's counter of shared memory grows when it touches pages, also pages that another process has brought. Only the
//! first touch takes memory from the machine. Shared memory counts as its own if the machine's shared memory grew with it:
//! if several processes touched more than the machine gained, each has its share of what was gained.

/// Shared memory of one process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedPart {
    /// What counts as its own.
    own: f64,
    /// The counter when that was last known; `None` before the first time.
    seen: Option<i64>,
}

impl SharedPart {
    /// What counts as its own if the counter is `shmem` now.
    pub fn bytes(&self, shmem: i64) -> f64 {
        let grown = self.seen.map_or(0, |seen| shmem.saturating_sub(seen)) as f64;
        (self.own + grown).clamp(0.0, shmem.max(0) as f64)
    }

    /// Bytes that the counter has grown by; all of it for a process that is new.
    pub fn touched(&self, shmem: i64) -> f64 {
        shmem.saturating_sub(self.seen.unwrap_or(0)).max(0) as f64
    }

    /// Bytes of its own that it no longer has.
    pub fn released(&self, shmem: i64) -> f64 {
        let fall = self.seen.map_or(0, |seen| seen.saturating_sub(shmem)).max(0) as f64;
        fall.min(self.own)
    }

    /// The counter is `shmem`; the share `part`, 0 to 1, of its growth counts.
    pub fn push(&mut self, shmem: i64, part: f64) {
        let change = shmem.saturating_sub(self.seen.unwrap_or(0)) as f64;
        let counted = if change > 0.0 { change * part } else { change };
        self.own = (self.own + counted).clamp(0.0, shmem.max(0) as f64);
        self.seen = Some(shmem);
    }
}

/// The growth of the machine's shared memory from one report to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedGrowth {
    /// The machine's shared memory at the last report.
    seen: Option<u64>,
    /// Growth of the last report that no process had touched: counters and `meminfo` are not read at the same moment.
    left: f64,
}

impl SharedGrowth {
    /// The machine has `shmem` bytes of shared memory now, if that is known. Since the last report processes have touched
    /// `touched` bytes, and no longer map `released` bytes of their own, which may be free. Returns the share of what was
    /// touched that was new.
    pub fn part(&mut self, shmem: Option<u64>, touched: f64, released: f64) -> f64 {
        let (Some(now), Some(before)) = (shmem, std::mem::replace(&mut self.seen, shmem)) else {
            return 1.0;
        };
        let gained = now as f64 - before as f64;
        // What was freed hides what was gained, but only that.
        let hidden = if gained < touched { released.min(touched - gained) } else { 0.0 };
        let new = (gained + hidden + self.left).max(0.0);
        self.left = gained.max(0.0).min((new - touched).max(0.0));
        if touched <= new { 1.0 } else { new / touched }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_two_processes_touch_counts_once() {
        let mut growth = SharedGrowth::default();
        growth.part(Some(100), 0.0, 0.0);
        let (mut creator, mut reader) = (SharedPart::default(), SharedPart::default());
        creator.push(0, 1.0);
        reader.push(0, 1.0);
        let touched = creator.touched(50);
        creator.push(50, growth.part(Some(150), touched, 0.0));
        let touched = reader.touched(50);
        reader.push(50, growth.part(Some(150), touched, 0.0));
        assert_eq!((creator.bytes(50), reader.bytes(50)), (50.0, 0.0));
    }

    #[test]
    fn shared_memory_that_is_given_back_no_longer_counts() {
        let mut part = SharedPart::default();
        part.push(40, 1.0);
        part.push(100, 0.5);
        assert_eq!(part.bytes(100), 70.0);
        part.push(20, 1.0);
        assert_eq!(part.bytes(20), 0.0);
    }

    #[test]
    fn memory_that_another_process_gives_back_hides_no_growth() {
        let mut growth = SharedGrowth::default();
        growth.part(Some(100), 0.0, 0.0);
        assert_eq!(growth.part(Some(40), 30.0, 90.0), 1.0);
        assert_eq!(growth.part(Some(40), 30.0, 0.0), 0.0);
    }

    #[test]
    fn growth_that_is_seen_a_report_earlier_counts() {
        let mut growth = SharedGrowth::default();
        growth.part(Some(100), 0.0, 0.0);
        growth.part(Some(150), 20.0, 0.0);
        assert_eq!(growth.part(Some(150), 30.0, 0.0), 1.0);
    }
}
