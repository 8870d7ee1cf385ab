//! The kernel side of the sites domain: where in its code a watched process touches fresh memory.
//!
//! A page gets memory when it is written to for the first time. The page fault is the one moment at which the kernel, the
//! address, and the call path are all there, whichever allocator the program has. Faults by the program itself and faults
//! by the kernel, which writes into the memory of its caller in `read(2)`, are two tracepoints: both are needed.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_get_prandom_u32, generated::bpf_task_pt_regs},
    macros::{btf_tracepoint, map},
    maps::{HashMap, PerCpuArray},
    programs::BtfTracePointContext,
};
use observer_common::{
    sites::{FaultHead, FaultRecord, SITES_FAULT, Watch},
    sites_fields, sites_maps, sites_programs, symbols_exist,
};
use observer_ebpf::{
    emit, fields_as_globals,
    read::{Direct, MemoryAccess, Probing},
    task::{self, TASK_LEADER},
};

mod python;
mod stack;

use python::SITES_PYTHON;

sites_fields!(fields_as_globals);
sites_programs!(symbols_exist);
sites_maps!(symbols_exist);

/// `X86_PF_WRITE`. A read of a page that nothing has written to maps the page of zeroes and takes no memory.
const WRITE: u64 = 1 << 1;

/// The watched processes by process id, written by user space.
#[map]
static SITES_WATCHED: HashMap<u32, Watch> = HashMap::with_max_entries(1024, 0);

/// One element: 1 while this CPU copies a stack. A page of the stack that is not in memory is a page fault of the
/// kernel, which must not begin another copy.
#[map]
static COPYING: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

/// A fault of the program's own access.
#[btf_tracepoint(function = "page_fault_user")]
pub fn sites_fault_user(ctx: BtfTracePointContext) -> i32 {
    let regs: *const u8 = ctx.arg(1);
    if let Some(period) = chosen(ctx.arg(2)) {
        // SAFETY: the tracepoint's second argument is the BTF-typed `pt_regs` of the faulting thread.
        unsafe { report::<Direct>(ctx.arg(0), regs, period, false) }
    }
    0
}

/// The same before 5.11.
#[btf_tracepoint(function = "page_fault_user")]
pub fn sites_fault_user_probing(ctx: BtfTracePointContext) -> i32 {
    let regs: *const u8 = ctx.arg(1);
    if let Some(period) = chosen(ctx.arg(2)) {
        // SAFETY: probe reads check every address.
        unsafe { report::<Probing>(ctx.arg(0), regs, period, false) }
    }
    0
}

/// A fault of an access by the kernel, in a system call: the registers of user space are those of its entry.
#[btf_tracepoint(function = "page_fault_kernel")]
pub fn sites_fault_kernel(ctx: BtfTracePointContext) -> i32 {
    if let Some(period) = chosen(ctx.arg(2)) {
        // SAFETY: the current task is alive, and the helper returns its BTF-typed `pt_regs`.
        unsafe {
            let regs = bpf_task_pt_regs(Direct::current().cast_mut().cast()) as *const u8;
            report::<Direct>(ctx.arg(0), regs, period, true);
        }
    }
    0
}

/// Whether this fault is reported: the process is watched, it writes, and chance has it. Returns the period.
#[inline(always)]
fn chosen(error: u64) -> Option<u32> {
    if error & WRITE == 0 {
        return None;
    }
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: user space replaces values as a whole; a torn one would be another period for one fault.
    let period = unsafe { SITES_WATCHED.get(&tgid) }?.period;
    // SAFETY: a helper without arguments.
    if period == 0 || (period > 1 && unsafe { bpf_get_prandom_u32() } % period != 0) {
        return None;
    }
    Some(period)
}

/// Puts the fault and the stack into the ring buffer.
///
/// # Safety
/// `regs` must be the registers of user space of the current thread, as `R` demands it.
#[inline(always)]
unsafe fn report<R: MemoryAccess>(address: u64, regs: *const u8, period: u32, by_kernel: bool) {
    let Some(copying) = COPYING.get_ptr_mut(0) else { return };
    // SAFETY: the pointer is this CPU's own element. The current task is alive; the caller promises the rest.
    unsafe {
        if *copying != 0 {
            return;
        }
        let current = R::current();
        let mm = R::pointer(current, &TASK_MM);
        if mm.is_null() {
            return;
        }
        let id = task::id_of::<R>(current, R::pointer(current, &TASK_LEADER));
        let thread: u32 = R::load(current, &TASK_PID);
        let fs: u64 = R::load(current, &TASK_FSBASE);
        let start: u64 = R::load(mm, &MM_START_STACK);
        let (ip, sp, bp) = (R::load(regs, &REGS_IP), R::load(regs, &REGS_SP), R::load(regs, &REGS_BP));
        let end = stack::end(u64::from(thread) == id.tgid, start, fs);
        *copying = 1;
        emit::emit_now_with::<FaultRecord>(|record| {
            let stack_bytes = stack::copy(sp, end, &raw mut (*record).stack);
            let python_frames = python::frames(id.tgid as u32, fs, &raw mut (*record).python);
            (&raw mut (*record).head).write(FaultHead {
                header: emit::header::<FaultRecord>(SITES_FAULT),
                id,
                address,
                ip,
                sp,
                bp,
                thread,
                period,
                stack_bytes,
                by_kernel: u32::from(by_kernel),
                python_frames,
                reserved: 0,
            });
        });
        *copying = 0;
    }
}
