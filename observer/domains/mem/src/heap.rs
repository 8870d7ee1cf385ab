//! The heap of a managed runtime over time: how many bytes survive its collections.
//!
//! Between two collections of the old generation, garbage there counts as alive, and a heap without any leak grows. So the
//! series has a value only when a collection has freed that garbage: after a collection of the whole heap, or when live
//! bytes fell.

use observer_core::{
    facts::mem::RuntimeHeap,
    trend::{
        envelope::MIN_GROWTH,
        series::Series,
        verdict::{Assessment, Verdict, assess_life},
    },
};

/// A fall by this share of the live bytes means that old garbage was freed.
const FALL: f64 = 0.05;

/// The last reading of a heap, and the series of its live bytes.
#[derive(Debug)]
pub struct HeapSeries {
    pub latest: RuntimeHeap,
    /// Live bytes when old garbage was last freed.
    floor: Option<u64>,
    /// The series of `floor`.
    pub series: Series,
    /// Collections at the first reading; `None` if the runtime does not count them.
    first: Option<u64>,
}

impl HeapSeries {
    /// A heap without samples. Its trends look back over `window` seconds.
    pub fn new(latest: RuntimeHeap, window: f64) -> Self {
        let floor = latest.live.filter(|_| !latest.garbage);
        Self { first: latest.collections, floor, latest, series: Series::new(window) }
    }

    /// Takes in a reading.
    pub fn read(&mut self, heap: &RuntimeHeap) {
        let was = self.latest.live.unwrap_or(0) as f64;
        let fell = heap.live.is_some_and(|live| was - live as f64 >= MIN_GROWTH.max(FALL * was));
        let is_full = self.latest.full_collections.is_some_and(|before| heap.full_collections > Some(before));
        if !heap.garbage || is_full || fell {
            self.floor = heap.live;
        }
        self.latest.clone_from(heap);
    }

    /// Continues the series to `now`.
    pub fn sample(&mut self, now: u64) {
        if let Some(floor) = self.floor {
            self.series.push(now, floor as f64, floor as f64);
        }
    }

    /// Bytes until the limit of the heap.
    pub fn left(&self) -> Option<u64> {
        Some(self.latest.limit?.saturating_sub(self.floor?))
    }

    /// The assessment of the live bytes. Without a collection they are not known to be the same.
    pub fn assessment(&self, now: u64) -> Assessment {
        let assessment = assess_life(&self.series, now, self.left().map(|left| left as f64));
        let unknown = |reason: &str| Assessment {
            growth: None,
            trend: None,
            verdict: Verdict::Unknown,
            reason: reason.to_owned(),
        };
        if let Some(reason) = &self.latest.reason {
            return unknown(reason);
        }
        if self.floor.is_none() {
            return unknown(
                "the old generation was not collected since observation began, and can contain garbage",
            );
        }
        if !self.latest.in_use && self.latest.collections == self.first {
            let reason = "no collection since observation began".to_owned();
            return Assessment { verdict: Verdict::Unknown, reason, ..assessment };
        }
        assessment
    }
}
