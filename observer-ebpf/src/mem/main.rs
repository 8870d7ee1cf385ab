//! The kernel side of the mem domain.
//!
//! `mem_task` reads every process's counters; the other programs follow the system calls that change address space.
//! `mm->owner` is the process that memory is attributed to: a child of vfork that maps does so in its parent's
//! memory. Totals are kept per process in `MEM_TOTALS` and are announced once an epoch; the exit of the last thread
//! makes them final.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

use aya_ebpf::{
    helpers::bpf_ktime_get_boot_ns,
    macros::{btf_tracepoint, fexit},
    programs::{BtfTracePointContext, FExitContext},
};
use observer_common::{
    loss::Loss,
    mem::{MEM_ENDED, MEM_OOM, MemTaskRecord, MemTotals, OomRecord, PAGE_SIZE},
    mem_fields, mem_maps, mem_programs, symbols_exist,
    task::{COMM_LEN, TaskId, TaskRecord},
};
use observer_ebpf::{
    emit, fields_as_globals, iterator, lost,
    read::{Direct, MemoryAccess, Probing, element, exists, load, load_again, member, pointer, probe},
    task::{self, TASK_LEADER},
};

use crate::{
    call::{Abi, Call, argument},
    totals::{Ended, MEM_TOTALS, Memory, account, announce, begin, belongs, data, follow, keep, say, seed},
};

mod call;
mod totals;

mem_fields!(fields_as_globals);
mem_programs!(symbols_exist);
mem_maps!(symbols_exist);

/// `TS_COMPAT` of `thread_info.status`: the call used a 32-bit entry.
const COMPAT: u32 = 2;
/// Set in the number of a call by the x32 ABI, which uses the registers of x86-64.
const X32: u64 = 0x4000_0000;
/// Results of system calls above this are errors.
const MAX_ERRNO: u64 = 4095;

/// Takes a call into account by its second to fourth argument, which are enough for every call except munmap: it has
/// no fourth, and needs its first.
#[inline(always)]
unsafe fn arguments<R: MemoryAccess>(call: Call, regs: *const u8, abi: Abi, result: u64, memory: &Memory) {
    // SAFETY: the caller's promise.
    unsafe {
        let third = match call {
            Call::Munmap => argument::<0>(regs, abi),
            _ => argument::<3>(regs, abi),
        };
        let ended =
            Ended { first: argument::<1>(regs, abi), second: argument::<2>(regs, abi), third, result };
        account::<R>(call, &ended, memory);
    }
}

/// The end of every system call; calls that do not change address space return at once.
#[btf_tracepoint(function = "sys_exit")]
pub fn mem_sys_exit(ctx: BtfTracePointContext) -> i32 {
    call_ends::<Direct>(&ctx)
}

/// The same by probe reads.
#[btf_tracepoint(function = "sys_exit")]
pub fn mem_sys_exit_probing(ctx: BtfTracePointContext) -> i32 {
    call_ends::<Probing>(&ctx)
}

#[inline(always)]
fn call_ends<R: MemoryAccess>(ctx: &BtfTracePointContext) -> i32 {
    let regs: *const u8 = ctx.arg(0);
    let result: u64 = ctx.arg(1);
    // SAFETY: the tracepoint's first argument is the task's `pt_regs`, which keep the call's arguments at its exit.
    unsafe {
        let number: u64 = load(regs, &REGS_ORIG_AX);
        // Both tables in one test: 9..12, 25, 329 native; 45, 90, 91, 125, 163, 192, 380 compat.
        let number = number & 0xffff_ffff & !X32;
        if number < 9 || number > 380 || result > u64::MAX - MAX_ERRNO {
            return 0;
        }
        if !matches!(number, 9..=12 | 25 | 329 | 45 | 90 | 91 | 125 | 163 | 192 | 380) {
            return 0;
        }
        let Some(memory) = Memory::of_current::<R>() else { return 0 };
        // Loaded again, so that the verifier has not followed each number through the code before.
        let number = load_again::<u64>(regs, &REGS_ORIG_AX) & 0xffff_ffff & !X32;
        let status: u32 = R::load(R::current(), &TASK_SYSCALL_ABI);
        let (call, abi) = if status & COMPAT == 0 {
            let call = match number {
                9 => Call::Mmap,
                10 | 329 => Call::Mprotect,
                11 => Call::Munmap,
                12 => Call::Brk,
                25 => Call::Mremap,
                _ => return 0,
            };
            (call, Abi::Native)
        } else {
            let call = match number {
                45 => Call::Brk,
                90 => Call::MmapUnread,
                91 => Call::Munmap,
                125 | 380 => Call::Mprotect,
                163 => Call::Mremap,
                192 => Call::Mmap,
                _ => return 0,
            };
            (call, Abi::Compat)
        };
        arguments::<R>(call, regs, abi, result, &memory);
    }
    0
}

/// Makes the programs at the return of the functions of system calls, for kernels that allow them: no other call
/// pays.
macro_rules! at_return {
    ($($program:ident: $function:literal, $call:ident, $abi:ident;)*) => {
        $(
            #[fexit(function = $function)]
            pub fn $program(ctx: FExitContext) -> i32 {
                // The result follows the only argument: `bpf_get_func_ret` is younger than fexit.
                let (regs, result): (*const u8, u64) = (ctx.arg(0), ctx.arg(1));
                if result > u64::MAX - MAX_ERRNO {
                    return 0;
                }
                // SAFETY: the function's argument is a BTF-typed `pt_regs`.
                unsafe {
                    if let Some(memory) = Memory::of_current::<Direct>() {
                        arguments::<Direct>(Call::$call, regs, Abi::$abi, result, &memory);
                    }
                }
                0
            }
        )*
    };
}

at_return! {
    mem_mmap: "__x64_sys_mmap", Mmap, Native;
    mem_munmap: "__x64_sys_munmap", Munmap, Native;
    mem_mremap: "__x64_sys_mremap", Mremap, Native;
    mem_brk: "__x64_sys_brk", Brk, Native;
    mem_mprotect: "__x64_sys_mprotect", Mprotect, Native;
    mem_pkey_mprotect: "__x64_sys_pkey_mprotect", Mprotect, Native;
    mem_mmap_32: "__ia32_sys_mmap_pgoff", Mmap, Compat;
    mem_mmap_old: "__ia32_compat_sys_ia32_mmap", MmapUnread, Compat;
    mem_munmap_32: "__ia32_sys_munmap", Munmap, Compat;
    mem_mremap_32: "__ia32_sys_mremap", Mremap, Compat;
    mem_brk_32: "__ia32_sys_brk", Brk, Compat;
    mem_mprotect_32: "__ia32_sys_mprotect", Mprotect, Compat;
    mem_pkey_mprotect_32: "__ia32_sys_pkey_mprotect", Mprotect, Compat;
}

/// A new process begins with the memory that it inherits.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn mem_fork(ctx: BtfTracePointContext) -> i32 {
    let parent: *const u8 = ctx.arg(0);
    let child: *const u8 = ctx.arg(1);
    follow();
    // SAFETY: the tracepoint's arguments are BTF-typed tasks.
    unsafe {
        // The first thread of a process leads it.
        let id = task::id_of::<Direct>(child, child);
        if id.tgid == task::tgid(parent) {
            return 0;
        }
        let mm = pointer(child, &TASK_MM);
        // A child of vfork uses its parent's memory until exec gives it its own.
        if mm.is_null() || !belongs(mm, &id) {
            return 0;
        }
        keep(&id, &begin::<Direct>(task::record_of_child::<Direct>(child), mm, data::<Direct>(mm)));
    }
    0
}

/// Exec replaces the memory: the initial memory of the new image does not count as mapped.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn mem_exec(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    // SAFETY: the tracepoint's argument is a BTF-typed task, the one that runs now.
    unsafe {
        let mm = pointer(task, &TASK_MM);
        if mm.is_null() {
            return 0;
        }
        let who = task::record_of_current::<Direct>(task, pointer(task, &TASK_LEADER));
        follow();
        let now = data::<Direct>(mm);
        if MEM_TOTALS.get_ptr_mut(&who.id).is_none() && !keep(&who.id, &begin::<Direct>(who, mm, now)) {
            return 0;
        }
        let Some(totals) = MEM_TOTALS.get_ptr_mut(&who.id) else {
            return 0;
        };
        (*totals).base += now - (*totals).now;
        (*totals).now = now;
        (*totals).brk = load(mm, &MM_BRK);
        (*totals).task = who;
        announce(totals);
    }
    0
}

/// The end of a process is the end of its last thread.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn mem_exit(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    // SAFETY: the tracepoint's argument is a BTF-typed task, the one that runs now; its signal structure outlives it.
    unsafe {
        let signal = pointer(task, &TASK_SIGNAL);
        if signal.is_null() {
            return 0;
        }
        // The count is already lowered for this thread. Two last threads can both find 0: the second repeats the
        // record.
        let live: i32 = load(signal, &SIGNAL_LIVE);
        let who = task::record_of_current::<Direct>(task, pointer(task, &TASK_LEADER));
        follow();
        if live != 0 || who.kernel_thread != 0 {
            return 0;
        }
        let peak: u64 = if exists(&SIGNAL_MAX_RSS) { load(signal, &SIGNAL_MAX_RSS) } else { 0 };
        let end = |totals: *mut MemTotals| {
            (*totals).task = who;
            (*totals).peak = peak * PAGE_SIZE;
            (*totals).ended = bpf_ktime_get_boot_ns();
            say(MEM_ENDED, totals);
        };
        match MEM_TOTALS.get_ptr_mut(&who.id) {
            Some(totals) => end(totals),
            // It existed before observation began, and had no event since.
            None => end(&mut MemTotals::default()),
        }
    }
    0
}

/// An OOM kill: the kernel has chosen a victim; the task is a thread of it that still has its memory.
#[btf_tracepoint(function = "mark_victim")]
pub fn mem_oom(ctx: BtfTracePointContext) -> i32 {
    let victim: *const u8 = ctx.arg(0);
    // SAFETY: the tracepoint's argument is a BTF-typed task, from 6.9 on (72ba14deb40a, "mm: oom: add process info").
    unsafe {
        out_of_memory::<Direct>(task::record(victim), resident_of(victim));
    }
    0
}

/// The same before 5.11, where a program gets only the address of the task that requested memory.
#[btf_tracepoint(function = "mark_victim")]
pub fn mem_oom_probing(ctx: BtfTracePointContext) -> i32 {
    let victim: *const u8 = ctx.arg(0);
    // SAFETY: the tracepoint's argument is a BTF-typed task.
    unsafe {
        out_of_memory::<Probing>(task::record(victim), resident_of(victim));
    }
    0
}

/// The same if no program can read the resident counters.
#[btf_tracepoint(function = "mark_victim")]
pub fn mem_oom_uncounted(ctx: BtfTracePointContext) -> i32 {
    let victim: *const u8 = ctx.arg(0);
    // SAFETY: the tracepoint's argument is a BTF-typed task.
    unsafe {
        out_of_memory::<Direct>(task::record(victim), [0; 4]);
    }
    0
}

/// The same if the kernel provides only the number of a thread of the process.
#[btf_tracepoint(function = "mark_victim")]
pub fn mem_oom_number(ctx: BtfTracePointContext) -> i32 {
    let number: u64 = ctx.arg(0);
    let id = TaskId { start: 0, tgid: number & 0xffff_ffff };
    out_of_memory::<Direct>(TaskRecord { id, comm: [0; COMM_LEN], uid: 0, kernel_thread: 0 }, [0; 4]);
    0
}

/// Reports the victim, and the current task, which requested the memory that was not available.
#[inline(always)]
fn out_of_memory<R: MemoryAccess>(victim: TaskRecord, rss: [i64; 4]) {
    // SAFETY: the current task is alive, and the reader's own.
    let trigger = unsafe {
        let current = R::current();
        task::record_of_current::<R>(current, R::pointer(current, &TASK_LEADER))
    };
    emit::emit(&OomRecord { header: emit::header::<OomRecord>(MEM_OOM), victim, trigger, rss });
}

/// Resident pages of the process of `victim`; zeroes if they cannot be read.
#[inline(always)]
unsafe fn resident_of(victim: *const u8) -> [i64; 4] {
    // SAFETY: `victim` is BTF-typed and not null.
    unsafe {
        let mm = pointer(victim, &TASK_MM);
        let rss = if mm.is_null() { None } else { resident(mm) };
        rss.unwrap_or_default()
    }
}

/// Every process once: by its leader, or by any thread that still has memory if the leader has ended.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn mem_task(ctx: *mut iterator::Task) -> i32 {
    // SAFETY: `process` gives a BTF-typed pointer that is not null.
    process(ctx, |mm| unsafe { resident(mm) })
}

/// The same without the resident counters, for kernels on which no program can read them: user space reads `/proc`.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn mem_task_uncounted(ctx: *mut iterator::Task) -> i32 {
    process(ctx, |_| Some([0; 4]))
}

#[inline(always)]
fn process(ctx: *mut iterator::Task, counters: impl Fn(*const u8) -> Option<[i64; 4]>) -> i32 {
    // SAFETY: the kernel's own context; its pointers are BTF-typed and checked for null.
    unsafe {
        let (meta, task) = ((*ctx).meta, (*ctx).task);
        if task.is_null() {
            return 0;
        }
        let mm = pointer(task, &TASK_MM);
        if mm.is_null() {
            return 0;
        }
        remainders(meta, task);
        let leader = pointer(task, &TASK_LEADER);
        if leader != task && !pointer(leader, &TASK_MM).is_null() {
            return 0;
        }
        let who = task::record_of::<Direct>(task, leader);
        if who.kernel_thread != 0 {
            return 0;
        }
        let data_vm: u64 = load(mm, &MM_DATA_VM);
        seed((*meta).session_id, &who, mm, (data_vm * PAGE_SIZE) as i64);
        let Some(rss) = counters(mm) else {
            lost!(Loss::Unattributed, 1);
            return 0;
        };
        let record = MemTaskRecord {
            task: who,
            rss,
            total_vm: load(mm, &MM_TOTAL_VM),
            data_vm,
            page_tables: load(mm, &MM_PAGE_TABLES),
        };
        iterator::write(meta, &record);
    }
    0
}

/// Before 6.2 each thread passes its changes of the counters on after 64 page faults (34e55232e59f, "mm: avoid false
/// sharing of mm_counter"): the changes that it still has are a record of their own.
#[inline(always)]
unsafe fn remainders(meta: *mut iterator::Meta, task: *const u8) {
    if !exists(&TASK_RSS) {
        return;
    }
    // SAFETY: `task` is BTF-typed and not null, `meta` the iterator's.
    unsafe {
        let kept = member(task, &TASK_RSS).cast::<i32>();
        let rss = [*kept, *kept.add(1), *kept.add(2), *kept.add(3)].map(i64::from);
        if rss != [0; 4] {
            let record = MemTaskRecord { task: task::record(task), rss, ..MemTaskRecord::default() };
            iterator::write(meta, &record);
        }
    }
}

/// The resident counters, in pages. From 6.2 on they are per-CPU counters, and their common part is read; before,
/// they are plain numbers (f1a7941243c1, "mm: convert mm's rss stats into percpu_counter").
#[inline(always)]
unsafe fn resident(mm: *const u8) -> Option<[i64; 4]> {
    // SAFETY: `mm` is BTF-typed and not null; the verifier sees constants and follows one branch only.
    unsafe {
        if MM_RSS_STRIDE.load() as usize == size_of::<i64>() {
            // Verifiers of these kernels do not accept a load from an array with a typedef as its type.
            return probe(mm, &MM_RSS);
        }
        Some([
            element(mm, &MM_RSS, &MM_RSS_STRIDE, 0),
            element(mm, &MM_RSS, &MM_RSS_STRIDE, 1),
            element(mm, &MM_RSS, &MM_RSS_STRIDE, 2),
            element(mm, &MM_RSS, &MM_RSS_STRIDE, 3),
        ])
    }
}
