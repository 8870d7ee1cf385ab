//! The cost of any program at the attach points of observer's programs: the floor that the benchmark compares with.
//!
//! Not part of observer, and not embedded in its binary. It reads nothing about the events.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_NOEXIST},
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_tracepoint, fexit, map},
    maps::HashMap,
    programs::{BtfTracePointContext, FExitContext},
};
// The licence and the panic handler.
use observer_ebpf as _;

/// Events of each process.
#[map]
static COUNTS: HashMap<u64, u64> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Does nothing at a tracepoint.
#[btf_tracepoint]
pub fn empty_tracepoint(_: BtfTracePointContext) -> i32 {
    0
}

/// Does nothing at the return of a function.
#[fexit]
pub fn empty_return(_: FExitContext) -> i32 {
    0
}

/// Updates a map once at a tracepoint.
#[btf_tracepoint]
pub fn counting_tracepoint(_: BtfTracePointContext) -> i32 {
    count();
    0
}

/// Updates a map once at the return of a function.
#[fexit]
pub fn counting_return(_: FExitContext) -> i32 {
    count();
    0
}

#[inline(always)]
fn count() {
    let process = bpf_get_current_pid_tgid() >> 32;
    match COUNTS.get_ptr_mut(&process) {
        // SAFETY: a map value; two CPUs that count at once may lose one, which is exact enough here.
        Some(count) => unsafe { *count += 1 },
        None => {
            let _ = COUNTS.insert(&process, 1, u64::from(BPF_NOEXIST));
        }
    }
}
