//! The part of shared memory that is attributed to a process.
//!
//! A process's counter of shared memory grows when the process touches a page, even if another process has allocated
//! it. Only the first touch takes memory from the machine. So shared memory is attributed to a process only if the
//! machine's shared memory grew at the same time. If processes touched more than the machine gained, each gets its
//! share of the gain.

/// Shared memory of one process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedPart {
    /// Bytes attributed to the process.
    own: f64,
    /// The counter at the last report; `None` before the first one.
    seen: Option<i64>,
}

impl SharedPart {
    /// Bytes attributed to the process if the counter is `shmem` now.
    pub fn bytes(&self, shmem: i64) -> f64 {
        let grown = self.seen.map_or(0, |seen| shmem.saturating_sub(seen)) as f64;
        (self.own + grown).clamp(0.0, shmem.max(0) as f64)
    }

    /// Bytes by which the counter has grown; the whole counter for a new process.
    pub fn touched(&self, shmem: i64) -> f64 {
        shmem.saturating_sub(self.seen.unwrap_or(0)).max(0) as f64
    }

    /// Attributed bytes that the process no longer maps.
    pub fn released(&self, shmem: i64) -> f64 {
        let fall = self.seen.map_or(0, |seen| seen.saturating_sub(shmem)).max(0) as f64;
        fall.min(self.own)
    }

    /// The counter is now `shmem`. `part`: the attributed share of its growth, 0 to 1.
    pub fn push(&mut self, shmem: i64, part: f64) {
        let change = shmem.saturating_sub(self.seen.unwrap_or(0)) as f64;
        let counted = if change > 0.0 { change * part } else { change };
        self.own = (self.own + counted).clamp(0.0, shmem.max(0) as f64);
        self.seen = Some(shmem);
    }
}

/// The growth of the machine's shared memory between two reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedGrowth {
    /// The machine's shared memory at the last report, in bytes.
    seen: Option<u64>,
    /// Bytes of the last growth that no process had touched: the counters and `meminfo` are not read at the same time.
    left: f64,
}

impl SharedGrowth {
    /// Returns the share, 0 to 1, of the touched memory that is new to the machine. `shmem`: bytes of the machine's
    /// shared memory now, if known. `touched`: bytes that processes have touched since the last report. `released`:
    /// attributed bytes that processes no longer map, and that may be free.
    pub fn part(&mut self, shmem: Option<u64>, touched: f64, released: f64) -> f64 {
        let (Some(now), Some(before)) = (shmem, std::mem::replace(&mut self.seen, shmem)) else {
            return 1.0;
        };
        let gained = now as f64 - before as f64;
        // Freed memory hides gained memory, but no more than that.
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
