//! How this object reads kernel memory: by probe reads, from plain addresses.
//!
//! Before 5.11 a program gets the current task as a plain number, and so it gets the object behind a descriptor. The
//! map with the memory of a socket is keyed by an address, and a typed pointer cannot become an address.

use aya_ebpf::{Global, helpers::bpf_probe_read_kernel};
use observer_common::{
    net::{STATE_NEW_SYN_RECV, STATE_TIME_WAIT},
    task::{TaskId, TaskRecord},
};
use observer_ebpf::{
    iterator,
    read::{self, MemoryAccess as _, Probing},
    task::{self, KERNEL_THREAD, TASK_FLAGS, TASK_LEADER},
};

use crate::fields::{FILE_INODE, FILE_PRIVATE, INODE_SB, SB_MAGIC, SOCK_SK_TYPE, SOCK_STATE, SOCKET_SK};

/// `SOCKFS_MAGIC`: the filesystem of sockets.
const SOCKFS: u64 = 0x534f_434b;
/// `SOCK_STREAM`: a raw socket can also have the protocol TCP, but has none of TCP's members.
const STREAM: u16 = 1;

/// Loads a member of the kernel object at `base`.
///
/// # Safety
/// `T` must be an integer, a pointer or an array of them, as wide as the field.
#[inline(always)]
pub unsafe fn load<T: Copy>(base: *const u8, field: &Global<u32>) -> T {
    // SAFETY: the caller's promise.
    unsafe { Probing::load(base, field) }
}

/// Loads a pointer member.
///
/// # Safety
/// As for [`load`]; the result may be null.
#[inline(always)]
pub unsafe fn pointer(base: *const u8, field: &Global<u32>) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe { load(base, field) }
}

/// The `sock` behind an open file; null if the file is not a socket.
///
/// # Safety
/// `file` must be a BTF-typed pointer to a `file`.
#[inline(always)]
pub unsafe fn socket_of(file: *const u8) -> *const u8 {
    // SAFETY: the caller's promise; what is typed needs no helper, and most files are left here.
    unsafe {
        let inode = read::pointer(file, &FILE_INODE);
        if inode.is_null() || read::load::<u64>(read::pointer(inode, &INODE_SB), &SB_MAGIC) != SOCKFS {
            return core::ptr::null();
        }
        // A descriptor that only refers to the path of a socket (`O_PATH`) has none.
        let socket = read::pointer(file, &FILE_PRIVATE);
        if socket.is_null() { core::ptr::null() } else { pointer(socket, &SOCKET_SK) }
    }
}

/// The current socket of the iterator, of any of TCP's kinds (full, request, time-wait); null at the end of its scan.
///
/// # Safety
/// `context` must be the iterator's own.
#[inline(always)]
pub unsafe fn met_socket(context: *mut iterator::Tcp) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe { address_at((&raw const (*context).sk_common).cast()) }
}

/// The `tcp_sock` that begins at `sk`; null if there is none.
///
/// # Safety
/// `sk` must be the address of a `sock` or a `sock_common`.
#[inline(always)]
pub unsafe fn tcp_sock(sk: *const u8) -> *const u8 {
    // SAFETY: the caller's promise. The two kinds that are no full sockets are told by their state.
    unsafe {
        let is_full = !matches!(load::<u8>(sk, &SOCK_STATE), STATE_TIME_WAIT | STATE_NEW_SYN_RECV);
        if is_full && load::<u16>(sk, &SOCK_SK_TYPE) == STREAM { sk } else { core::ptr::null() }
    }
}

/// The first argument at the attach point of the program, which is a pointer.
///
/// # Safety
/// `context` must be the program's own.
#[inline(always)]
pub unsafe fn first_argument(context: *mut core::ffi::c_void) -> *const u8 {
    // SAFETY: the caller's promise: the context is an array of arguments.
    unsafe { address_at(context.cast_const().cast()) }
}

/// The pointer at `place` as a plain address: a load would give it a type.
#[inline(always)]
unsafe fn address_at(place: *const *const u8) -> *const u8 {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(place) }.unwrap_or(core::ptr::null())
}

/// Whether a kernel thread runs: it has no descriptors, and releases sockets that io_uring held for a process. Before
/// 5.15 it is not known which system call the current process is in.
#[inline(always)]
pub fn is_reading() -> bool {
    // SAFETY: the helper checks each address.
    unsafe { Probing::load::<u32>(Probing::current(), &TASK_FLAGS) & KERNEL_THREAD != 0 }
}

/// The first thread of the current process, which identifies it.
#[inline(always)]
pub fn leader() -> *const u8 {
    // SAFETY: the helper checks each address.
    unsafe { Probing::pointer(Probing::current(), &TASK_LEADER) }
}

/// The current process, given its [`leader`].
#[inline(always)]
pub unsafe fn acting(leader: *const u8) -> TaskRecord {
    // SAFETY: as above.
    unsafe { task::record_of_current::<Probing>(Probing::current(), leader) }
}

/// The identity of the current process, given its [`leader`].
#[inline(always)]
pub unsafe fn acting_id(leader: *const u8) -> TaskId {
    // SAFETY: as above.
    unsafe { task::id_of::<Probing>(Probing::current(), leader) }
}
