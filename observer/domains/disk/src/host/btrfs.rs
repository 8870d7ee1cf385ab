//! Reads extents from btrfs trees: the size of compressed extents on the device, and the files that share an extent.
//!
//! This needs CAP_SYS_ADMIN. A descriptor of any file of the filesystem is enough; no file is opened.

use std::{
    collections::BTreeMap,
    os::fd::{AsRawFd as _, OwnedFd},
};

/// `BTRFS_IOC_TREE_SEARCH`, `…_INO_LOOKUP`, `…_LOGICAL_INO` of `linux/btrfs.h`.
const TREE_SEARCH: libc::c_ulong = 0xd000_9411;
const INO_LOOKUP: libc::c_ulong = 0xd000_9412;
const LOGICAL_INO: libc::c_ulong = 0xc038_9424;

/// `BTRFS_EXTENT_DATA_KEY`, `BTRFS_ROOT_BACKREF_KEY`, `BTRFS_ROOT_TREE_OBJECTID`, `BTRFS_FS_TREE_OBJECTID` of
/// `linux/btrfs_tree.h`.
const EXTENT_DATA: u32 = 108;
const ROOT_BACKREF: u32 = 144;
const ROOT_TREE: u64 = 1;
const TOP: u64 = 5;

/// The limits of tree searches for the extents of one file, and of nested subvolumes.
const SEARCHES: usize = 64;
const DEPTH: usize = 32;

/// `struct btrfs_ioctl_search_args`: a key of 13 words, and space for items.
#[repr(C)]
struct Search {
    key: Key,
    room: [u8; 4096 - 104],
}

/// `struct btrfs_ioctl_search_key`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Key {
    tree: u64,
    objects: [u64; 2],
    offsets: [u64; 2],
    transactions: [u64; 2],
    kinds: [u32; 2],
    items: u32,
    unused: u32,
    more: [u64; 4],
}

/// An item of a tree: the offset in its key, and its bytes.
type Item = (u64, Vec<u8>);

/// Items of one object and kind in a tree, from `offset` on, as many as fit into one answer.
fn search(file: &OwnedFd, tree: u64, object: u64, kind: u32, offset: u64) -> Option<Vec<Item>> {
    let key = Key {
        tree,
        objects: [object; 2],
        offsets: [offset, u64::MAX],
        transactions: [0, u64::MAX],
        kinds: [kind; 2],
        items: 4096,
        unused: 0,
        more: [0; 4],
    };
    let mut search = Box::new(Search { key, room: [0; 4096 - 104] });
    // SAFETY: the kernel reads and writes one `btrfs_ioctl_search_args`, which `Search` is.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), TREE_SEARCH as _, &raw mut *search) };
    if result != 0 {
        return None;
    }
    let mut items = Vec::new();
    let mut rest = search.room.as_slice();
    for _ in 0..search.key.items {
        // `struct btrfs_ioctl_search_header`: transaction, object, offset, kind, length.
        let (offset, found, length) = (word(rest, 16)?, half(rest, 24)?, half(rest, 28)?);
        let body = rest.get(32..32_usize.checked_add(length as usize)?)?;
        if found == kind {
            items.push((offset, body.to_vec()));
        }
        rest = rest.get(32 + body.len()..)?;
    }
    Some(items)
}

/// Bytes on the device of each extent of the file `ino`, by address; `None` if not all of them can be read.
pub fn sizes(file: &OwnedFd, ino: u64) -> Option<BTreeMap<u64, u64>> {
    let mut sizes = BTreeMap::new();
    let mut from = 0;
    for _ in 0..SEARCHES {
        // Tree 0 is the tree of the descriptor's own subvolume.
        let items = search(file, 0, ino, EXTENT_DATA, from)?;
        let Some((last, _)) = items.last() else { return Some(sizes) };
        from = last.checked_add(1)?;
        // `struct btrfs_file_extent_item`: the address and the length on the device. Inline extents are shorter.
        sizes.extend(items.iter().filter_map(|(_, item)| Some((word(item, 21)?, word(item, 29)?))));
    }
    None
}

/// Paths, from the root of the filesystem, of files that share the extent at `address`.
pub fn sharers(file: &OwnedFd, address: u64) -> Vec<Vec<u8>> {
    // `struct btrfs_data_container`: four counts, then (inode, offset, root) of each.
    let mut found = vec![0_u64; 512];
    let mut arguments = [address, (found.len() * 8) as u64, 0, 0, 0, 0, found.as_mut_ptr() as u64];
    // SAFETY: the kernel reads one `btrfs_ioctl_logical_ino_args`, and writes no more into `found` than the size in it.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), LOGICAL_INO as _, arguments.as_mut_ptr()) };
    if result != 0 {
        return Vec::new();
    }
    let owners = found.get(2..).into_iter().flat_map(|references| references.chunks_exact(3));
    let owners = owners.take_while(|owner| owner[0] != 0);
    owners.filter_map(|owner| path(file, owner[2], owner[0])).collect()
}

/// The path of an inode of a subvolume, from the root of the filesystem; `None` if it has no path.
fn path(file: &OwnedFd, subvolume: u64, ino: u64) -> Option<Vec<u8>> {
    let mut path = within(file, subvolume, ino)?;
    let mut root = subvolume;
    for _ in 0..DEPTH {
        if root == TOP {
            return Some([b"/", path.as_slice()].concat());
        }
        let backrefs = search(file, ROOT_TREE, root, ROOT_BACKREF, 0)?;
        let (parent, item) = backrefs.first()?;
        // `struct btrfs_root_ref`: the folder, a sequence number, the length of the name, the name.
        let folder = word(item, 0)?;
        let name = item.get(18..)?;
        let above = if folder == FIRST_INODE { Vec::new() } else { within(file, *parent, folder)? };
        path = [above.as_slice(), name, b"/", path.as_slice()].concat();
        root = *parent;
    }
    None
}

/// The inode of a subvolume's root folder.
const FIRST_INODE: u64 = 256;

/// The path of an inode within its subvolume. The path of a folder ends with a slash.
fn within(file: &OwnedFd, subvolume: u64, ino: u64) -> Option<Vec<u8>> {
    // `struct btrfs_ioctl_ino_lookup_args`: tree, object, and space for the path.
    let mut lookup = vec![0_u64; 512];
    lookup[0] = subvolume;
    lookup[1] = ino;
    // SAFETY: the kernel reads and writes one `btrfs_ioctl_ino_lookup_args` of 4,096 bytes, as long as `lookup`.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), INO_LOOKUP as _, lookup.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    let bytes = lookup.get(2..)?.iter().flat_map(|word| word.to_ne_bytes());
    Some(bytes.take_while(|byte| *byte != 0).collect())
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
