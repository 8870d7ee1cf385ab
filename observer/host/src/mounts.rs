//! The mount table of a process, and the mount that a path leads to.
//!
//! The order of `mountinfo` means nothing: a new root comes after mounts that were moved into it. The tree shows
//! which mounts are hidden: a mount hides what its parent has at its mount point and below, other mounts included.
//!
//! Not visible: a mount that comes or goes after the table was read.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use observer_core::facts::disk::Mount;

/// Writable filesystems that this machine's own kernel serves from its own storage or memory.
const LOCAL: &[&str] = &[
    "bcachefs",
    "btrfs",
    "devtmpfs",
    "exfat",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "hugetlbfs",
    "jfs",
    "nilfs2",
    "ntfs3",
    "overlay",
    "reiserfs",
    "tmpfs",
    "udf",
    "vfat",
    "xfs",
    "zfs",
];

/// Other filesystems that this machine's own kernel serves: no path through them waits for a server.
const SERVED: &[&str] = &[
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "efivarfs",
    "erofs",
    "fusectl",
    "iso9660",
    "mqueue",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "securityfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// Mounts, in the order of `mountinfo`.
#[derive(Debug, Default)]
pub struct Mounts {
    lines: Vec<Line>,
    /// The ids of mounts that no path leads to.
    hidden: BTreeSet<u64>,
}

#[derive(Debug)]
struct Line {
    /// Unique among all mounts of the machine while it is mounted.
    number: u64,
    parent: u64,
    mount: Mount,
}

impl Mounts {
    /// The mounts that the process with the folder `process` sees.
    pub fn of(process: &Path) -> Option<Self> {
        Some(Self::read(&fs::read(process.join("mountinfo")).ok()?))
    }

    /// The lines of `mountinfo`; a malformed line is left out.
    pub fn read(text: &[u8]) -> Self {
        let lines: Vec<_> = text.split(|byte| *byte == b'\n').filter_map(line).collect();
        let hidden = hidden(&lines);
        Self { lines, hidden }
    }

    pub fn all(&self) -> impl Iterator<Item = &Mount> {
        self.lines.iter().map(|line| &line.mount)
    }

    /// The mounts that their path leads to, each with its id.
    pub fn visible(&self) -> impl Iterator<Item = (u64, &Mount)> {
        let lines = self.lines.iter().filter(|line| !self.hidden.contains(&line.number));
        lines.map(|line| (line.number, &line.mount))
    }

    /// The visible mounts with a path through nothing that may hang.
    pub fn reached_locally(&self) -> impl Iterator<Item = &Mount> {
        let known: BTreeMap<u64, &Line> = self.lines.iter().map(|line| (line.number, line)).collect();
        self.visible().filter(move |(number, _)| path_is_served(&known, *number)).map(|(_, mount)| mount)
    }

    /// The one of them that `path` leads into.
    pub fn reached_locally_at(&self, path: &[u8]) -> Option<&Mount> {
        let at = self.at(path)?;
        self.reached_locally().find(|mount| std::ptr::eq(*mount, at))
    }

    /// The mount that `path` leads into.
    pub fn at(&self, path: &[u8]) -> Option<&Mount> {
        let above = self.visible().map(|(_, mount)| mount).filter(|mount| is_below(path, &mount.point));
        above.max_by_key(|mount| mount.point.len())
    }

    /// The device of the filesystem that the mount with this id shows.
    pub fn device(&self, number: u64) -> Option<u32> {
        self.lines.iter().find(|line| line.number == number).map(|line| line.mount.dev)
    }
}

/// Whether this machine's own kernel serves it.
pub fn is_local(mount: &Mount) -> bool {
    LOCAL.iter().any(|fs| fs.as_bytes() == mount.fs)
}

/// Whether this machine's own kernel serves every mount that the path to the mount `number` leads through.
fn path_is_served(known: &BTreeMap<u64, &Line>, number: u64) -> bool {
    let mut line = known.get(&number).copied();
    // The depth is bounded by the number of mounts, because the text may contain a cycle.
    for _ in 0..known.len() {
        let Some(above) = line.and_then(|line| known.get(&line.parent)).copied() else { break };
        let fs = above.mount.fs.as_slice();
        if !is_local(&above.mount) && !SERVED.iter().any(|served| served.as_bytes() == fs) {
            return false;
        }
        line = Some(above);
    }
    true
}

/// Whether `path` is `point` or below it.
fn is_below(path: &[u8], point: &[u8]) -> bool {
    Path::new(OsStr::from_bytes(path)).starts_with(OsStr::from_bytes(point))
}

/// The ids of mounts that another one hides, or that are mounted on a hidden one.
fn hidden(lines: &[Line]) -> BTreeSet<u64> {
    let known: BTreeMap<u64, &Line> = lines.iter().map(|line| (line.number, line)).collect();
    let mut children: BTreeMap<u64, Vec<&Line>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.parent != line.number) {
        children.entry(line.parent).or_default().push(line);
    }
    let on = |number: u64| children.get(&number).into_iter().flatten();
    let passed_by = |line: &Line| {
        on(line.parent)
            .any(|other| other.number != line.number && is_below(&line.mount.point, &other.mount.point))
    };
    let is_hidden = |line: &Line| {
        let covered = on(line.number).any(|other| other.mount.point == line.mount.point);
        let mut above = Some(line);
        // The depth is bounded by the number of mounts, because the text may contain a cycle.
        let passed = (0..lines.len()).any(|_| {
            let Some(line) = above else { return false };
            above = known.get(&line.parent).copied();
            passed_by(line)
        });
        covered || passed
    };
    lines.iter().filter(|line| is_hidden(line)).map(|line| line.number).collect()
}

/// `36 35 8:1 /root /point rw,relatime shared:1 - ext4 /dev/sda1 rw`
fn line(line: &[u8]) -> Option<Line> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [number, parent, device, root, point, options, ..] = words.as_slice() else { return None };
    let separator = words.iter().position(|word| *word == b"-")?;
    let text = |word| std::str::from_utf8(word).ok();
    let (major, minor) = text(*device)?.split_once(':')?;
    let mount = Mount {
        dev: major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?,
        root: unescaped(root),
        point: unescaped(point),
        fs: words.get(separator + 1)?.to_vec(),
        source: unescaped(words.get(separator + 2)?),
        read_only: options.split(|byte| *byte == b',').any(|option| option == b"ro"),
    };
    Some(Line { number: text(*number)?.parse().ok()?, parent: text(*parent)?.parse().ok()?, mount })
}

/// Space, tab, newline and backslash are written in octal.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| byte == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = &tail[3..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_with_its_spaces_and_options() {
        let text = b"36 35 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw\n\
            40 36 0:27 /a\\040b /mnt/x\\012y\\134 ro,nosuid - tmpfs my\\040tmp rw\nnonsense\n";
        let expected = [
            Mount {
                dev: 8 << 20 | 1,
                root: b"/".to_vec(),
                point: b"/".to_vec(),
                fs: b"ext4".to_vec(),
                source: b"/dev/sda1".to_vec(),
                read_only: false,
            },
            Mount {
                dev: 27,
                root: b"/a b".to_vec(),
                point: b"/mnt/x\ny\\".to_vec(),
                fs: b"tmpfs".to_vec(),
                source: b"my tmp".to_vec(),
                read_only: true,
            },
        ];
        let mounts = Mounts::read(text);
        assert_eq!(mounts.all().cloned().collect::<Vec<_>>(), expected);
        assert_eq!((mounts.device(40), mounts.device(41)), (Some(27), None));
    }

    #[test]
    fn the_tree_and_not_the_order_decides_which_mounts_are_hidden() {
        // The root comes after what was moved into it; /srv was mounted over after /srv/a; /mnt was mounted twice.
        let text = b"20 27 0:21 / /proc rw - proc proc rw\n\
            24 27 0:24 / /run rw - tmpfs tmpfs rw\n\
            27 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            30 27 8:2 / /srv/a rw - ext4 /dev/sda2 rw\n\
            31 30 8:3 / /srv/a/b rw - ext4 /dev/sda3 rw\n\
            32 27 0:40 / /srv rw - nfs4 far rw\n\
            33 27 8:4 / /mnt rw - ext4 /dev/sda4 rw\n\
            34 33 8:5 / /mnt/c rw - ext4 /dev/sda5 rw\n\
            35 33 0:41 / /mnt rw - nfs4 far rw\n";
        let mounts = Mounts::read(text);
        let visible: Vec<u64> = mounts.visible().map(|(number, _)| number).collect();
        assert_eq!(visible, [20, 24, 27, 32, 35]);
        let fs = |path: &str| mounts.at(path.as_bytes()).map(|mount| mount.fs.clone());
        assert_eq!(fs("/srv/a/b/x"), Some(b"nfs4".to_vec()));
        assert_eq!(fs("/run/x"), Some(b"tmpfs".to_vec()));
        assert_eq!(fs("/running"), Some(b"ext4".to_vec()));
    }

    #[test]
    fn a_path_through_a_server_is_not_gone() {
        let text = b"27 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            30 27 0:40 / /far rw - nfs4 far rw\n\
            31 30 8:2 / /far/near rw - ext4 /dev/sda2 rw\n\
            32 31 8:3 / /far/near/by rw - ext4 /dev/sda3 rw\n\
            33 27 0:21 / /proc rw - proc proc rw\n\
            34 33 0:22 / /proc/x rw - tmpfs x rw\n";
        let mounts = Mounts::read(text);
        let points: Vec<&[u8]> = mounts.reached_locally().map(|mount| mount.point.as_slice()).collect();
        assert_eq!(points, [&b"/"[..], b"/far", b"/proc", b"/proc/x"]);
    }

    /// The kernel agrees: paths lead to the mounts that are visible here.
    #[test]
    fn the_root_of_this_machine_is_visible() {
        let mounts = Mounts::of(Path::new("/proc/self")).unwrap();
        let here = rustix::fs::statx(
            rustix::fs::CWD,
            "/",
            rustix::fs::AtFlags::empty(),
            rustix::fs::StatxFlags::MNT_ID,
        );
        let number = here.unwrap().stx_mnt_id;
        assert!(mounts.visible().any(|(visible, mount)| visible == number && mount.point == b"/"));
    }
}
