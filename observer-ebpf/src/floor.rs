//! What any program costs at the places where observer's are: the floor that the benchmark compares with.
//!
//! Not part of observer, and not carried by its binary. Nothing is read of what happened.
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

/// How often each process came by.
#[map]
static COUNTS: HashMap<u64, u64> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Nothing at a tracepoint.
#[btf_tracepoint]
pub fn empty_tracepoint(_: BtfTracePointContext) -> i32 {
    0
}

/// Nothing at the return of a function.
#[fexit]
pub fn empty_return(_: FExitContext) -> i32 {
    0
}

/// One update of a map at a tracepoint.
#[btf_tracepoint]
pub fn counting_tracepoint(_: BtfTracePointContext) -> i32 {
    count();
    0
}

/// One update of a map at the return of a function.
#[fexit]
pub fn counting_return(_: FExitContext) -> i32 {
    count();
    0
}

#[inline(always)]
fn count() {
    let process = bpf_get_current_pid_tgid() >> 32;
    match COUNTS.get_ptr_mut(&process) {
        // SAFETY: a map value; a count that two processors raise at once and that loses one is good enough here.
        Some(count) => unsafe { *count += 1 },
        None => {
            let _ = COUNTS.insert(&process, 1, u64::from(BPF_NOEXIST));
        }
    }
}
