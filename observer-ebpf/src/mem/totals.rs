//! Totals of each process: they begin with a baseline, calls add to them, and they are announced once an epoch.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_NOEXIST},
    helpers::bpf_ktime_get_boot_ns,
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use observer_common::{
    loss::Loss,
    mem::{MEM_ANNOUNCED, MemRecord, MemTotals, PAGE_SIZE},
    task::{TaskId, TaskRecord},
};
use observer_ebpf::{
    emit, lost,
    read::{Direct, MemoryAccess, exists},
    task::{self, TASK_LEADER},
};

use crate::{
    MM_BRK, MM_DATA_VM, MM_OWNER, TASK_MM,
    call::{Added, Call, MAP_FIXED},
};

/// Totals of each observed process; user space removes those of ended processes.
#[map]
pub static MEM_TOTALS: HashMap<TaskId, MemTotals> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// The address of a private writable file mapping.
#[repr(C)]
#[derive(Clone, Copy)]
struct Mapping {
    task: TaskId,
    address: u64,
}

/// The length of private writable file mappings, so that unmapping a whole one does not count as memory given back.
/// The loader's own (`MAP_FIXED`) are left out: every exec has some, and few are ever unmapped. An entry that is
/// replaced by a newer one counts as memory when its mapping is unmapped.
#[map]
static FILE_MAPPINGS: LruHashMap<Mapping, u64> = LruHashMap::with_max_entries(4096, 0);

/// One element: 1 once an event program has run. Without event programs, nothing would remove what the iterator adds.
#[map]
static FOLLOWED: Array<u32> = Array::with_max_entries(1, 0);

/// One element: when the latest scans began.
#[map]
static PASSES: Array<Passes> = Array::with_max_entries(1, 0);

#[repr(C)]
#[derive(Clone, Copy)]
struct Passes {
    /// The kernel's number of the latest scan.
    latest: u64,
    /// When it began, and when the one before it began: nanoseconds of the boot clock.
    began: u64,
    before: u64,
}

/// The first scans take a baseline of every process, whether or not an event was seen before.
const FIRST_EPOCHS: u32 = 2;

/// The task that a process's memory is accounted to, `mm->owner`; null where the kernel keeps none.
#[inline(always)]
pub unsafe fn owner<R: MemoryAccess>(mm: *const u8) -> *const u8 {
    // SAFETY: `mm` is a non-null pointer that `R` can read.
    if exists(&MM_OWNER) { unsafe { R::pointer(mm, &MM_OWNER) } } else { core::ptr::null() }
}

/// The memory that the current task uses, and its owner. The pointers are loaded once, before the branches: before
/// Linux 7.0 the verifier searches the kernel's types by name for each load, once per path.
pub struct Memory {
    mm: *const u8,
    /// Null if it is attributed to the current task.
    owner: *const u8,
    /// The leader of the process that it is attributed to.
    leader: *const u8,
}

impl Memory {
    /// `None` for a task without memory.
    #[inline(always)]
    pub unsafe fn of_current<R: MemoryAccess>() -> Option<Self> {
        let task = R::current();
        // SAFETY: `R` can read the current task and what is reached from it; a system call of a task that has memory
        // cannot outlive it.
        unsafe {
            let mm = R::pointer(task, &TASK_MM);
            if mm.is_null() {
                return None;
            }
            let owner = owner::<R>(mm);
            let leader = R::pointer(if owner.is_null() { task } else { owner }, &TASK_LEADER);
            Some(Self { mm, owner, leader })
        }
    }

    /// The identity of the process that it is attributed to.
    #[inline(always)]
    unsafe fn id<R: MemoryAccess>(&self) -> TaskId {
        // SAFETY: `R` can read the members' tasks, none of which is null.
        unsafe { task::id_of::<R>(self.leader, self.leader) }
    }

    /// That process with its names.
    #[inline(always)]
    unsafe fn record<R: MemoryAccess>(&self) -> TaskRecord {
        // SAFETY: as above.
        unsafe {
            if self.owner.is_null() {
                task::record_of_current::<R>(R::current(), self.leader)
            } else {
                task::record_of::<R>(self.owner, self.leader)
            }
        }
    }
}

/// An ended system call: its second to fourth argument (for munmap, the first instead of the fourth), and its result.
pub struct Ended {
    pub first: u64,
    pub second: u64,
    pub third: u64,
    pub result: u64,
}

/// Whether the memory that the process `id` uses is attributed to it.
#[inline(always)]
pub unsafe fn belongs(mm: *const u8, id: &TaskId) -> bool {
    // SAFETY: `mm` is a BTF-typed, non-null pointer.
    unsafe {
        let owner = owner::<Direct>(mm);
        owner.is_null() || task::id(owner) == *id
    }
}

/// `mm->data_vm` in bytes.
#[inline(always)]
pub unsafe fn data<R: MemoryAccess>(mm: *const u8) -> i64 {
    // SAFETY: `mm` is a non-null pointer that `R` can read.
    let pages: u64 = unsafe { R::load(mm, &MM_DATA_VM) };
    (pages * PAGE_SIZE) as i64
}

/// Adds to a total that other threads of the process may be adding to.
#[inline(always)]
unsafe fn add(total: *mut i64, amount: i64) {
    // The one atomic instruction that every kernel since 5.10 has; the compiler offers no atomics for this target.
    // SAFETY: the caller gives a member of a map value, aligned and alive for as long as the program runs.
    unsafe { core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) total, in(reg) amount) }
}

/// Adds one call to the totals of the process that owns the memory.
///
/// A subprogram, so that each program adds little to the object.
#[inline(never)]
pub unsafe fn account<R: MemoryAccess>(call: Call, ended: &Ended, memory: &Memory) {
    let Ended { first, second, third, result } = *ended;
    let mm = memory.mm;
    // SAFETY: `R` can read the current task's memory, which a system call of it cannot outlive.
    unsafe {
        follow();
        let id = memory.id::<R>();
        let now = data::<R>(mm);
        // Looked up once except the first time: the look-up is the most expensive part of a call.
        let mut totals = MEM_TOTALS.get_ptr_mut(&id);
        if totals.is_none() {
            // Its first event comes before the first scan: its baseline is `data_vm` less what this call added, so a
            // first call that gives memory back is not counted.
            let added = Added::by(call, first, second, third, result, 0, 0);
            let fresh = added.mapped + added.private_file;
            meet::<R>(memory, now - fresh, fresh);
            totals = MEM_TOTALS.get_ptr_mut(&id);
        }
        let Some(totals) = totals else {
            return;
        };
        let mut added = Added::by(call, first, second, third, result, now - (*totals).now, (*totals).brk);
        if call == Call::Mmap && added.private_file != 0 && third & MAP_FIXED == 0 {
            let mapping = Mapping { task: id, address: result };
            // If the map is full, the mapping counts as memory when it is unmapped.
            let _ = FILE_MAPPINGS.insert(&mapping, &(added.private_file as u64), 0);
        }
        if call == Call::Munmap && (*totals).private_file > 0 {
            added.private_file = -forget(&Mapping { task: id, address: third }, first);
        }
        take::<R>(totals, &added, mm, now);
        if call == Call::Brk {
            (*totals).brk = result;
        }
        announce(totals);
    }
}

/// Begins the totals of the process that owns the current task's memory, at `base`; counts `fresh` bytes as lost if
/// the map is full.
///
/// A subprogram, so that its variables are not on the stack of every call: the kernel limits the sum over a chain of
/// calls.
#[inline(never)]
unsafe fn meet<R: MemoryAccess>(memory: &Memory, base: i64, fresh: i64) {
    // SAFETY: as for `account`, which calls this.
    unsafe {
        let totals = begin::<R>(memory.record::<R>(), memory.mm, base);
        if !keep(&totals.task.id, &totals) {
            lost!(Loss::Unattributed, fresh as u64);
        }
    }
}

/// Removes the entry of a file mapping that was unmapped whole; returns its length, 0 if there was none.
#[inline(always)]
fn forget(mapping: &Mapping, unmapped: u64) -> i64 {
    // SAFETY: the value is copied at once; a recycled one belonged to a mapping that is gone too.
    let length = unsafe { FILE_MAPPINGS.get(mapping) }.copied().unwrap_or(0);
    if length == 0 || unmapped < length {
        return 0;
    }
    let _ = FILE_MAPPINGS.remove(mapping);
    length as i64
}

/// Adds what a call added, and stores `data_vm` after it.
#[inline(always)]
unsafe fn take<R: MemoryAccess>(totals: *mut MemTotals, added: &Added, mm: *const u8, now: i64) {
    // SAFETY: `totals` is a map value, `mm` a non-null pointer that `R` can read.
    unsafe {
        if added.mapped != 0 {
            add(&raw mut (*totals).mapped, added.mapped);
        }
        if added.mapped_file != 0 {
            add(&raw mut (*totals).mapped_file, added.mapped_file);
        }
        if added.private_file != 0 {
            add(&raw mut (*totals).private_file, added.private_file);
        }
        if added.reserved != 0 {
            add(&raw mut (*totals).reserved, added.reserved);
        }
        if added.protected != 0 {
            add(&raw mut (*totals).protected, added.protected);
        }
        (*totals).now = now;
        // Another thread may have changed `data_vm` and stored its value before this store of an older one.
        let after = data::<R>(mm);
        if after != now {
            (*totals).now = after;
        }
    }
}

/// The initial totals of a process with the `data_vm` `base`.
#[inline(always)]
pub unsafe fn begin<R: MemoryAccess>(task: TaskRecord, mm: *const u8, base: i64) -> MemTotals {
    // SAFETY: `mm` is a non-null pointer that `R` can read.
    unsafe {
        MemTotals {
            task,
            base,
            now: base,
            brk: R::load(mm, &MM_BRK),
            // Never the current epoch: the first event announces.
            announced: u64::from(emit::epoch()).wrapping_sub(1),
            ..MemTotals::default()
        }
    }
}

/// Stores new totals; `false`, and a counted loss, if the map is full.
#[inline(always)]
pub fn keep(id: &TaskId, totals: &MemTotals) -> bool {
    const EXISTS: i32 = -17;
    match MEM_TOTALS.insert(id, totals, u64::from(BPF_NOEXIST)) {
        Ok(()) | Err(EXISTS) => true,
        Err(_) => {
            lost!(Loss::MapFull, 1);
            false
        }
    }
}

/// Announces once an epoch that a process's totals have changed.
#[inline(always)]
pub unsafe fn announce(totals: *mut MemTotals) {
    let epoch = u64::from(emit::epoch());
    // SAFETY: `totals` is a map value.
    unsafe {
        if (*totals).announced == epoch {
            return;
        }
        // If the record does not fit, the next event sends it again; the sweep after a loss finds the rest.
        if say(MEM_ANNOUNCED, totals) {
            (*totals).announced = epoch;
        }
    }
}

/// Puts a process's totals into the ring buffer; `false` if they do not fit.
///
/// # Safety
/// `totals` must be a map value, or initialised memory of this program's.
#[inline(always)]
pub unsafe fn say(kind: u32, totals: *const MemTotals) -> bool {
    emit::emit_with(|record: *mut MemRecord| {
        // SAFETY: the caller's promise, and room for a whole record.
        unsafe {
            (*record).header = emit::header::<MemRecord>(kind);
            (*record).totals = *totals;
        }
    })
}

/// Notes that events are observed.
#[inline(always)]
pub fn follow() {
    if let Some(followed) = FOLLOWED.get_ptr_mut(0) {
        // SAFETY: an array's element; every writer writes the same.
        unsafe {
            if *followed == 0 {
                *followed = 1;
            }
        }
    }
}

/// When the scan before scan number `pass` began: nanoseconds of the boot clock, 0 if there was none.
#[inline(always)]
fn began_before(pass: u64) -> u64 {
    let Some(passes) = PASSES.get_ptr_mut(0) else { return 0 };
    // SAFETY: an array's element; scans are read one after the other. The helper may be called from any program.
    unsafe {
        if (*passes).latest != pass {
            let began = (*passes).began;
            *passes = Passes { latest: pass, began: bpf_ktime_get_boot_ns(), before: began };
        }
        (*passes).before
    }
}

/// Gives a process without events its baseline. A call that has changed `data_vm` and not yet returned is taken to
/// belong to the baseline: it then counts as mapped and as unmapped, which cancel out.
///
/// A process that existed when an earlier scan began got its baseline from that scan. This test saves a map look-up
/// for each process of each scan, which is a quarter of the time of the scan.
#[inline(always)]
pub unsafe fn seed(pass: u64, who: &TaskRecord, mm: *const u8, now: i64) {
    let id = &who.id;
    let followed = FOLLOWED.get(0).copied().unwrap_or(0);
    let earlier = began_before(pass);
    if emit::epoch() > FIRST_EPOCHS && (followed == 0 || id.start < earlier) {
        return;
    }
    // SAFETY: BTF-typed, non-null pointers.
    unsafe {
        if MEM_TOTALS.get_ptr(id).is_none() && belongs(mm, id) {
            keep(id, &begin::<Direct>(*who, mm, now));
        }
    }
}
