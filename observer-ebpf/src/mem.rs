//! The kernel side of the mem domain.
//!
//! `mem_task` reads every process's counters; the other programs follow what each process asks of its address space.
//! Whose memory it is, `mm->owner` says: a child of vfork that maps does so in its parent's. Totals are kept per
//! process in `MEM_TOTALS` and are announced once an epoch; the end of the last thread makes them final.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_NOEXIST},
    helpers::bpf_ktime_get_boot_ns,
    macros::{btf_tracepoint, fexit, map},
    maps::{Array, HashMap},
    programs::{BtfTracePointContext, FExitContext},
};
use observer_common::{
    loss::Loss,
    mem::{MEM_ANNOUNCED, MEM_ENDED, MemRecord, MemTaskRecord, MemTotals, PAGE_SIZE},
    mem_fields,
    task::TaskId,
};
use observer_ebpf::{
    emit, fields_as_globals, iterator,
    read::{element, exists, load, pointer},
    task,
};

mem_fields!(fields_as_globals);

/// Totals of each process that was met; user space removes those that ended.
#[map]
static MEM_TOTALS: HashMap<TaskId, MemTotals> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// One element: 1 once a program that follows events has run. Without them nobody would remove what the iterator seeds.
#[map]
static FOLLOWED: Array<u32> = Array::with_max_entries(1, 0);

/// The first passes seed a base line for every process, whether or not an event was seen before.
const FIRST_EPOCHS: u32 = 2;

const PROT_WRITE: u64 = 2;
const MAP_TYPE: u64 = 0x0f;
const MAP_PRIVATE: u64 = 0x02;
const MAP_DROPPABLE: u64 = 0x08;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_GROWSDOWN: u64 = 0x0100;
const MAP_HUGETLB: u64 = 0x4_0000;
const MREMAP_DONTUNMAP: u64 = 4;
/// `TS_COMPAT` of `thread_info.status`: the call came in by a 32-bit entry.
const COMPAT: u32 = 2;
/// Set in the number of a call by the x32 ABI, whose registers are those of x86-64.
const X32: u64 = 0x4000_0000;
/// Results of system calls above this are errors.
const MAX_ERRNO: u64 = 4095;

/// What a process asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Mmap,
    /// Mapping by a call whose arguments are in user memory: what it asked for shows in the account alone.
    MmapUnread,
    Munmap,
    Mremap,
    Brk,
    Mprotect,
}

/// Where a call's arguments are.
#[derive(Clone, Copy)]
enum Abi {
    Native,
    Compat,
}

/// Argument `INDEX` of a system call.
#[inline(always)]
unsafe fn argument<const INDEX: usize>(regs: *const u8, abi: Abi) -> u64 {
    let field = match (abi, INDEX) {
        (Abi::Native, 0) => &REGS_DI,
        (Abi::Native, 1) => &REGS_SI,
        (Abi::Native, 2) => &REGS_DX,
        (Abi::Native, _) => &REGS_R10,
        (Abi::Compat, 0) => &REGS_BX,
        (Abi::Compat, 1) => &REGS_CX,
        (Abi::Compat, 2) => &REGS_DX,
        (Abi::Compat, _) => &REGS_SI,
    };
    // SAFETY: the caller's promise that `regs` is a BTF-typed `pt_regs`.
    let value: u64 = unsafe { load(regs, field) };
    match abi {
        Abi::Native => value,
        Abi::Compat => value & 0xffff_ffff,
    }
}

/// Takes a call into account with the second to fourth of its arguments, all that any of them needs.
#[inline(always)]
unsafe fn arguments(call: Call, regs: *const u8, abi: Abi, result: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        account(call, argument::<1>(regs, abi), argument::<2>(regs, abi), argument::<3>(regs, abi), result);
    }
}

/// Every system call's end; those that are not about address space leave at once.
#[btf_tracepoint(function = "sys_exit")]
pub fn mem_sys_exit(ctx: BtfTracePointContext) -> i32 {
    let regs: *const u8 = ctx.arg(0);
    let result: u64 = ctx.arg(1);
    // SAFETY: the tracepoint's first argument is the task's `pt_regs`, which keep the call's arguments at its exit.
    unsafe {
        let number: u64 = load(regs, &REGS_ORIG_AX);
        // Both tables in one look: 9..12, 25, 329 native; 45, 90, 91, 125, 163, 192, 380 compat.
        let number = number & 0xffff_ffff & !X32;
        if number < 9 || number > 380 || result > u64::MAX - MAX_ERRNO {
            return 0;
        }
        if !matches!(number, 9..=12 | 25 | 329 | 45 | 90 | 91 | 125 | 163 | 192 | 380) {
            return 0;
        }
        let status: u32 = load(task::current(), &TASK_SYSCALL_ABI);
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
        arguments(call, regs, abi, result);
    }
    0
}

/// Makes the programs at the return of system calls' own functions, for kernels that allow them: no other call pays.
macro_rules! at_return {
    ($($program:ident: $function:literal, $call:ident, $abi:ident;)*) => {
        $(
            #[fexit(function = $function)]
            pub fn $program(ctx: FExitContext) -> i32 {
                // The result follows the only argument: `bpf_get_func_ret` is younger than fexit.
                let (regs, result): (*const u8, u64) = (ctx.arg(0), ctx.arg(1));
                if result <= u64::MAX - MAX_ERRNO {
                    // SAFETY: the function's argument is a BTF-typed `pt_regs`.
                    unsafe { arguments(Call::$call, regs, Abi::$abi, result) }
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

/// The task that a process's memory is accounted to: `mm->owner` where the kernel keeps one, else `task` itself.
#[inline(always)]
unsafe fn owner(mm: *const u8, task: *const u8) -> *const u8 {
    if exists(&MM_OWNER) {
        // SAFETY: `mm` is a BTF-typed, non-null pointer.
        let owner = unsafe { pointer(mm, &MM_OWNER) };
        if !owner.is_null() {
            return owner;
        }
    }
    task
}

/// `mm->data_vm` in bytes.
#[inline(always)]
unsafe fn data(mm: *const u8) -> i64 {
    // SAFETY: `mm` is a BTF-typed, non-null pointer.
    let pages: u64 = unsafe { load(mm, &MM_DATA_VM) };
    (pages * PAGE_SIZE) as i64
}

#[inline(always)]
const fn pages_up(bytes: u64) -> u64 {
    (bytes + PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// Adds to a total that other threads of the process may be adding to.
#[inline(always)]
unsafe fn add(total: *mut i64, amount: i64) {
    // The one atomic instruction that every kernel since 5.10 has; the compiler offers no atomics for this target.
    // SAFETY: the caller gives a member of a map value, aligned and alive for as long as the program runs.
    unsafe { core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) total, in(reg) amount) }
}

/// What a call that succeeded adds to the totals.
#[derive(Clone, Copy, Default)]
struct Added {
    mapped: i64,
    mapped_file: i64,
    reserved: i64,
    private_file: i64,
    protected: i64,
}

impl Added {
    /// By the call's arguments where they say it, else by the change of the account since the last event.
    ///
    /// `first` to `third` are the call's second to fourth argument.
    #[inline(always)]
    fn by(call: Call, first: u64, second: u64, third: u64, result: u64, change: i64, brk: u64) -> Self {
        let mut added = Self::default();
        match call {
            Call::Mmap => {
                let (length, protection, flags) = (first, second, third);
                let kind = flags & MAP_TYPE;
                let private = (kind == MAP_PRIVATE || kind == MAP_DROPPABLE) && flags & MAP_GROWSDOWN == 0;
                let length = pages_up(length) as i64;
                // Huge pages round further up than can be known here: there the account is the better witness.
                let length = if flags & MAP_HUGETLB != 0 && change > length { change } else { length };
                if flags & MAP_ANONYMOUS == 0 {
                    added.mapped_file = length;
                    if private && protection & PROT_WRITE != 0 {
                        added.private_file = length;
                    }
                } else if private && protection & PROT_WRITE != 0 {
                    added.mapped = length;
                } else if private && protection == 0 {
                    added.reserved = length;
                }
            }
            Call::MmapUnread => added.mapped = change.max(0),
            Call::Munmap => {}
            Call::Mremap => {
                let (old, new) = (pages_up(first) as i64, pages_up(second) as i64);
                let most = if third & MREMAP_DONTUNMAP != 0 { new } else { (new - old).max(0) };
                added.mapped = change.max(0).min(most);
            }
            Call::Brk if brk != 0 => {
                added.mapped = (pages_up(result) as i64 - pages_up(brk) as i64).max(0);
            }
            Call::Brk => {}
            Call::Mprotect => added.protected = change,
        }
        added
    }
}

/// Takes one call into the totals of the process that owns the memory.
///
/// A subprogram, so that each way in adds little to the object.
#[inline(never)]
unsafe fn account(call: Call, first: u64, second: u64, third: u64, result: u64) {
    let task = task::current();
    // SAFETY: the current task is BTF-typed and so is what is reached from it; a system call of a task that has memory
    // cannot outlive it.
    unsafe {
        let mm = pointer(task, &TASK_MM);
        if mm.is_null() {
            return;
        }
        follow();
        let owner = owner(mm, task);
        let id = task::id(owner);
        let now = data(mm);
        if let Some(totals) = MEM_TOTALS.get_ptr_mut(&id) {
            let added = Added::by(call, first, second, third, result, now - (*totals).now, (*totals).brk);
            take(totals, &added, mm, now);
            if call == Call::Brk {
                (*totals).brk = result;
            }
            announce(totals);
            return;
        }
        // Met in the moment between attaching and the first pass: what it held before is taken to be what this call
        // did not add, so a first call that gives back is not counted.
        let added = Added::by(call, first, second, third, result, 0, 0);
        let mut totals = begin(owner, mm, now - added.mapped - added.private_file);
        totals.mapped = added.mapped;
        totals.mapped_file = added.mapped_file;
        totals.reserved = added.reserved;
        totals.private_file = added.private_file;
        totals.now = now;
        if !keep(&id, &totals) {
            emit::count(Loss::Unattributed, (added.mapped + added.private_file) as u64);
            return;
        }
        if let Some(totals) = MEM_TOTALS.get_ptr_mut(&id) {
            announce(totals);
        }
    }
}

/// Adds what a call added, and notes the account it left behind.
#[inline(always)]
unsafe fn take(totals: *mut MemTotals, added: &Added, mm: *const u8, now: i64) {
    // SAFETY: `totals` is a map value, `mm` BTF-typed.
    unsafe {
        if added.mapped != 0 {
            add(&raw mut (*totals).mapped, added.mapped);
        }
        if added.mapped_file != 0 {
            add(&raw mut (*totals).mapped_file, added.mapped_file);
            add(&raw mut (*totals).private_file, added.private_file);
        }
        if added.reserved != 0 {
            add(&raw mut (*totals).reserved, added.reserved);
        }
        if added.protected != 0 {
            add(&raw mut (*totals).protected, added.protected);
        }
        (*totals).now = now;
        // Another thread may have changed the account and stored what it left before this store of an older value.
        let after = data(mm);
        if after != now {
            (*totals).now = after;
        }
    }
}

/// The totals of a process whose account is `base` as observation of it begins.
#[inline(always)]
unsafe fn begin(owner: *const u8, mm: *const u8, base: i64) -> MemTotals {
    // SAFETY: both are BTF-typed, non-null pointers.
    unsafe {
        MemTotals {
            task: task::record(owner),
            base,
            now: base,
            brk: load(mm, &MM_BRK),
            // Never the current epoch: the first event announces.
            announced: u64::from(emit::epoch()).wrapping_sub(1),
            ..MemTotals::default()
        }
    }
}

/// Keeps new totals; `false`, and a counted loss, when the map is full.
#[inline(always)]
fn keep(id: &TaskId, totals: &MemTotals) -> bool {
    const EXISTS: i32 = -17;
    match MEM_TOTALS.insert(id, totals, u64::from(BPF_NOEXIST)) {
        Ok(()) | Err(EXISTS) => true,
        Err(_) => {
            emit::count(Loss::MapFull, 1);
            false
        }
    }
}

/// Says once an epoch that a process's totals have changed.
#[inline(always)]
unsafe fn announce(totals: *mut MemTotals) {
    let epoch = u64::from(emit::epoch());
    // SAFETY: `totals` is a map value.
    unsafe {
        if (*totals).announced == epoch {
            return;
        }
        // One that finds no room is made again by the next event; the sweep after a loss finds the rest.
        let record = MemRecord { header: emit::header::<MemRecord>(MEM_ANNOUNCED), totals: *totals };
        if emit::emit(&record) {
            (*totals).announced = epoch;
        }
    }
}

/// Notes that events are followed.
#[inline(always)]
fn follow() {
    if let Some(followed) = FOLLOWED.get_ptr_mut(0) {
        // SAFETY: an array's element; every writer writes the same.
        unsafe {
            if *followed == 0 {
                *followed = 1;
            }
        }
    }
}

/// A new process begins with the memory that it inherits.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn mem_fork(ctx: BtfTracePointContext) -> i32 {
    let parent: *const u8 = ctx.arg(0);
    let child: *const u8 = ctx.arg(1);
    follow();
    // SAFETY: the tracepoint's arguments are BTF-typed tasks.
    unsafe {
        let id = task::id(child);
        if id.tgid == task::id(parent).tgid {
            return 0;
        }
        let mm = pointer(child, &TASK_MM);
        // A child of vfork lives in its parent's memory until exec gives it its own.
        if mm.is_null() || task::id(owner(mm, child)) != id {
            return 0;
        }
        keep(&id, &begin(child, mm, data(mm)));
    }
    0
}

/// Exec replaces the memory: what the new image begins with was mapped by nobody.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn mem_exec(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    follow();
    // SAFETY: the tracepoint's argument is a BTF-typed task.
    unsafe {
        let mm = pointer(task, &TASK_MM);
        if mm.is_null() {
            return 0;
        }
        let id = task::id(task);
        let now = data(mm);
        if MEM_TOTALS.get_ptr_mut(&id).is_none() && !keep(&id, &begin(task, mm, now)) {
            return 0;
        }
        let Some(totals) = MEM_TOTALS.get_ptr_mut(&id) else {
            return 0;
        };
        (*totals).base += now - (*totals).now;
        (*totals).now = now;
        (*totals).brk = load(mm, &MM_BRK);
        (*totals).task = task::record(task);
        announce(totals);
    }
    0
}

/// The end of a process is the end of its last thread.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn mem_exit(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    follow();
    // SAFETY: the tracepoint's argument is a BTF-typed task; its signal structure outlives it.
    unsafe {
        let signal = pointer(task, &TASK_SIGNAL);
        if signal.is_null() {
            return 0;
        }
        // Already lowered for this thread. Two last threads can both find 0: the second says the same again.
        let live: i32 = load(signal, &SIGNAL_LIVE);
        let who = task::record(task);
        if live != 0 || who.kernel_thread != 0 {
            return 0;
        }
        let peak: u64 = if exists(&SIGNAL_MAX_RSS) { load(signal, &SIGNAL_MAX_RSS) } else { 0 };
        let mut record =
            MemRecord { header: emit::header::<MemRecord>(MEM_ENDED), totals: MemTotals::default() };
        if let Some(totals) = MEM_TOTALS.get_ptr_mut(&who.id) {
            (*totals).task = who;
            (*totals).peak = peak * PAGE_SIZE;
            (*totals).ended = bpf_ktime_get_boot_ns();
            record.totals = *totals;
        } else {
            record.totals.task = who;
            record.totals.peak = peak * PAGE_SIZE;
            record.totals.ended = bpf_ktime_get_boot_ns();
        }
        emit::emit(&record);
    }
    0
}

/// Every process once: by its leader, or by any thread that still has memory where the leader has ended.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn mem_task(ctx: *mut iterator::Task) -> i32 {
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
        let leader = pointer(task, &task::TASK_LEADER);
        if leader != task && !pointer(leader, &TASK_MM).is_null() {
            return 0;
        }
        let who = task::record(task);
        if who.kernel_thread != 0 {
            return 0;
        }
        let data_vm: u64 = load(mm, &MM_DATA_VM);
        seed(task, mm, &who.id, (data_vm * PAGE_SIZE) as i64);
        let record = MemTaskRecord {
            task: who,
            rss: [
                element(mm, &MM_RSS, &MM_RSS_STRIDE, 0),
                element(mm, &MM_RSS, &MM_RSS_STRIDE, 1),
                element(mm, &MM_RSS, &MM_RSS_STRIDE, 2),
                element(mm, &MM_RSS, &MM_RSS_STRIDE, 3),
            ],
            total_vm: load(mm, &MM_TOTAL_VM),
            data_vm,
            page_tables: load(mm, &MM_PAGE_TABLES),
        };
        iterator::write(meta, &record);
    }
    0
}

/// Gives a process that no event has met its base line. A call that has changed the account and not yet returned is
/// taken to belong to what was there before: it then counts as mapped and as unmapped, which cancel out.
#[inline(always)]
unsafe fn seed(task: *const u8, mm: *const u8, id: &TaskId, now: i64) {
    let followed = FOLLOWED.get(0).copied().unwrap_or(0);
    if followed == 0 && emit::epoch() > FIRST_EPOCHS {
        return;
    }
    // SAFETY: BTF-typed, non-null pointers.
    unsafe {
        if MEM_TOTALS.get_ptr(id).is_none() && task::id(owner(mm, task)) == *id {
            keep(id, &begin(task, mm, now));
        }
    }
}
