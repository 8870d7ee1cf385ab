//! The only module that reserves and submits records in the ring buffer, and that counts losses.
//!
//! A record does not wake user space, which reads at the next report, unless the ring buffer is half full.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::bpf_ktime_get_boot_ns,
    macros::map,
    maps::{Array, PerCpuArray, RingBuf, ring_buf::RingBufEntry},
};
use observer_common::{
    loss::{LOSS_COUNTERS, Loss},
    record::RecordHeader,
    shared_maps, symbols_exist,
};

use crate::lost;

const RING_BYTES: u32 = 1 << 20;
/// `BPF_RB_AVAIL_DATA` of `bpf_ringbuf_query`: bytes not yet consumed.
const AVAILABLE: u64 = 0;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

#[map]
static LOSS: PerCpuArray<u64> = PerCpuArray::with_max_entries(LOSS_COUNTERS, 0);

/// One element, raised by user space at each report.
#[map]
static EPOCH: Array<u32> = Array::with_max_entries(1, 0);

shared_maps!(symbols_exist);

/// Adds to a loss counter of this CPU.
#[inline(always)]
pub fn count(loss: Loss, amount: u64) {
    if let Some(counter) = LOSS.get_ptr_mut(loss as u32) {
        // SAFETY: the pointer is this CPU's own element; tracing programs do not nest on one counter in a way that
        // could lose more than an increment of a count of losses.
        unsafe { *counter += amount }
    }
}

/// The number of the current report interval; an entry announced in it need not be announced again.
#[inline(always)]
pub fn epoch() -> u32 {
    EPOCH.get(0).copied().unwrap_or(0)
}

/// The head of a record of type `T`, stamped now.
#[inline(always)]
pub fn header<T>(kind: u32) -> RecordHeader {
    // SAFETY: a helper without arguments that may be called from any program.
    RecordHeader { kind, size: size_of::<T>() as u32, at: unsafe { bpf_ktime_get_boot_ns() } }
}

/// Puts `record` into the ring buffer; `false`, and a counted loss, if it does not fit.
#[inline(always)]
pub fn emit<T: Copy + 'static>(record: &T) -> bool {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        lost!(Loss::Ring, 1);
        return false;
    };
    entry.write(*record);
    submit(entry);
    true
}

/// As [`emit`], for records that are too large for the stack: `fill` makes the record in place, and must write every
/// byte of it.
#[inline(always)]
pub fn emit_with<T: 'static>(fill: impl FnOnce(*mut T)) -> bool {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        lost!(Loss::Ring, 1);
        return false;
    };
    fill(entry.as_mut_ptr());
    submit(entry);
    true
}

#[inline(always)]
fn submit<T>(entry: RingBufEntry<T>) {
    let wake = if EVENTS.query(AVAILABLE) > u64::from(RING_BYTES / 2) {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    entry.submit(u64::from(wake));
}

/// As [`emit`], and wakes user space at once.
#[inline(always)]
pub fn emit_now<T: Copy + 'static>(record: &T) {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        lost!(Loss::Ring, 1);
        return;
    };
    entry.write(*record);
    entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
}

/// As [`emit_with`], and wakes user space at once.
#[inline(always)]
pub fn emit_now_with<T: 'static>(fill: impl FnOnce(*mut T)) {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        lost!(Loss::Ring, 1);
        return;
    };
    fill(entry.as_mut_ptr());
    entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
}
