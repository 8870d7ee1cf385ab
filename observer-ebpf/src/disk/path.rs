//! The last path of a file that no descriptor refers to: component by component, from the last one up.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use observer_ebpf::iterator::repeat;

use crate::{DENTRY_NAME, DENTRY_PARENT, probe};

/// The most bytes of a path: `PATH_MAX`, and the part of the last component beyond it.
pub const PATH_BYTES: usize = 4096;
const NAME_BYTES: usize = 256;
/// The most components of a path of `PATH_MAX` bytes.
const DEPTH: u32 = 2048;

/// Buffer for a path.
pub type Path = [u8; PATH_BYTES + NAME_BYTES];

struct PathCursor {
    dentry: u64,
    path: *mut Path,
    used: u64,
    whole: u64,
}

/// Writes the components of the path that ends at `dentry`, each followed by a NUL, and returns their length in
/// bytes: 0 if there are more than can be read, because a part of a path would be misleading.
///
/// # Safety
/// `path` must be valid; `dentry` may be anything.
#[inline(always)]
pub unsafe fn read(dentry: u64, path: *mut Path) -> u32 {
    let mut way = PathCursor { dentry, path, used: 0, whole: 0 };
    // SAFETY: the way is on this stack.
    unsafe { repeat(DEPTH, component, &raw mut way) };
    if way.whole != 0 { way.used as u32 & (2 * PATH_BYTES as u32 - 1) } else { 0 }
}

unsafe extern "C" fn component(_: u32, way: *mut PathCursor) -> i64 {
    // SAFETY: the way is on the caller's stack; probing faults safely, and a name ends before the path does.
    unsafe {
        let way = &mut *way;
        let dentry = way.dentry as *const u8;
        let parent: u64 = probe(dentry, &DENTRY_PARENT);
        if parent == way.dentry {
            way.whole = 1;
            return 1;
        }
        let used = way.used;
        if used >= PATH_BYTES as u64 {
            return 1;
        }
        let name: u64 = probe(dentry, &DENTRY_NAME);
        let room = way.path.cast::<u8>().add(used as usize);
        let length = bpf_probe_read_kernel_str(room.cast(), NAME_BYTES as u32, name as *const _);
        // An empty name is its NUL.
        if length <= 1 {
            return 1;
        }
        way.used = used + length as u64;
        way.dentry = parent;
        0
    }
}
