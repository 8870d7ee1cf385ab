//! Unread data of sockets and pipes, rings of packet sockets, and other memory that descriptors lead to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    LEAST,
    descriptors::{Descriptors, Sought, process},
    socket_diag,
};
use observer_core::facts::mem::{MemoryObject, ObjectId, ObjectKind};

/// Files in RAM whose holders are searched: the devices of their filesystems, and the mount points.
#[derive(Debug, Default)]
pub(super) struct FilesInRam {
    pub devices: BTreeSet<u64>,
    pub points: Vec<Vec<u8>>,
}

/// Adds what the descriptors of the processes with these `folders` lead to. Objects of unknown processes are added as
/// well, if a socket is enough to find them.
pub(super) fn read(
    root: &Path,
    folders: &[PathBuf],
    files: FilesInRam,
    found: &mut BTreeMap<ObjectId, MemoryObject>,
) -> Descriptors {
    let queues = socket_diag::unix_queues().unwrap_or_default();
    let rings = socket_diag::packet_rings().unwrap_or_default();
    let datagrams = udp_queues(root);
    let sockets = queues.iter().filter(|queue| queue.bytes >= LEAST / 16);
    let sockets = sockets.flat_map(|queue| [Some(queue.writer), queue.reader].into_iter().flatten());
    let sought = Sought {
        sockets: sockets
            .chain(rings.iter().map(|(inode, _)| *inode))
            .chain(datagrams.iter().map(|(inode, _)| *inode))
            .collect(),
        devices: files.devices,
        points: files.points,
    };
    let mut held = Descriptors::default();
    for folder in folders {
        held.read(folder, &sought);
    }
    for ((device, inode), pid) in &held.files {
        let id = ObjectId { kind: ObjectKind::TmpfsFile, device: *device, number: *inode };
        if let Some(object) = found.get_mut(&id) {
            object.holder = Some(process(root, *pid));
        }
    }
    for (id, (bytes, name, pid)) in &held.objects {
        let mut object = MemoryObject::new(*id, *bytes, name.clone());
        object.holder = Some(process(root, *pid));
        found.insert(*id, object);
    }
    // Many small queues between two processes are one object, identified by the two processes.
    let holder = |inode: &u64| held.sockets.get(inode).map(|pid| process(root, *pid));
    let mut pairs: BTreeMap<(Option<u32>, Option<u32>), u64> = BTreeMap::new();
    for queue in &queues {
        let pid = |inode: &u64| held.sockets.get(inode).copied();
        let bytes = pairs.entry((queue.reader.as_ref().and_then(pid), pid(&queue.writer))).or_default();
        *bytes = bytes.saturating_add(queue.bytes);
    }
    let number = |reader: Option<u32>, writer: Option<u32>| {
        u64::from(reader.unwrap_or(0)) << 32 | u64::from(writer.unwrap_or(0))
    };
    for ((reader, writer), bytes) in pairs {
        let id = ObjectId { kind: ObjectKind::UnixSocket, device: 0, number: number(reader, writer) };
        let mut object = MemoryObject::new(id, bytes, b"unread in unix sockets".to_vec());
        object.holder = reader.map(|pid| process(root, pid));
        object.writer = writer.map(|pid| process(root, pid));
        found.insert(id, object);
    }
    let mut add = |kind, name: &[u8], inode: u64, bytes: u64| {
        let holder = holder(&inode);
        let pid = holder.as_ref().map_or(0, |holder| holder.pid);
        let id = ObjectId { kind, device: 0, number: pid.into() };
        let object = found.entry(id).or_insert_with(|| MemoryObject::new(id, 0, name.to_vec()));
        object.bytes = object.bytes.saturating_add(bytes);
        object.holder = holder;
    };
    rings
        .iter()
        .for_each(|(inode, bytes)| add(ObjectKind::PacketRing, b"rings of packet sockets", *inode, *bytes));
    datagrams
        .iter()
        .for_each(|(inode, bytes)| add(ObjectKind::UdpSocket, b"unread in UDP sockets", *inode, *bytes));
    held
}

/// UDP sockets with unread bytes: inode, bytes.
fn udp_queues(root: &Path) -> Vec<(u64, u64)> {
    let of = |file: &str| fs::read_to_string(root.join("proc/net").join(file)).unwrap_or_default();
    ["udp", "udp6", "udplite", "udplite6"]
        .iter()
        .flat_map(|file| of(file).lines().skip(1).filter_map(udp_queue).collect::<Vec<_>>())
        .filter(|(_, bytes)| *bytes >= LEAST / 16)
        .collect()
}

/// One line: number, addresses, state, `sent:received` in hexadecimal, …; the inode is the tenth word.
fn udp_queue(line: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (_, received) = words.get(4)?.split_once(':')?;
    Some((words.get(9)?.parse().ok()?, u64::from_str_radix(received, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unread_datagrams_are_counted_by_inode() {
        let line = " 1370: 0100007F:3039 00000000:0000 07 00000000:00033C00 00:00000000 00000000     0        0 700123 2 0000 0";
        assert_eq!(udp_queue(line), Some((700_123, 0x33C00)));
    }
}
