//! What the kernel side writes becomes facts: whole, once, and nothing from bytes of another version.

use observer_common::disk::{
    EXACT, FREED, FreedRecord, GONE, HELD_DESCRIPTOR, HELD_EXECUTABLE, HELD_MAPPING, HELD_RING, HELD_SOCKET,
    HELD_TOO_MANY, LISTED_END, LISTED_FILE, LISTED_SWAP, NAMELESS, WROTE, WriterKey, WroteRecord,
};

use super::*;
use crate::{bytes::writer_key, holders::UNKNOWN};
use observer_core::{
    bytes::task_key,
    facts::{
        disk::{Descriptor, File, FileGrowth, Hold, InodeScanResult, ListedInode},
        process::ProcessFact,
    },
};

const HOLDER: TaskId = TaskId { start: 5_000, tgid: 42 };
const INODE: InodeId = InodeId { dev: 8 << 20 | 1, generation: 7, ino: 4711 };

fn task(id: TaskId) -> Vec<u8> {
    let mut bytes = id.start.to_ne_bytes().to_vec();
    bytes.extend(id.tgid.to_ne_bytes());
    bytes.extend(b"legacyd\0\0\0\0\0\0\0\0\0");
    bytes.extend(1000_u32.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes
}

struct Held {
    id: TaskId,
    thread: u32,
    fd: u32,
    flags: u32,
    mapping: (u64, u64),
    how: u32,
    backing: InodeId,
}

const FD: Held = Held {
    id: HOLDER,
    thread: 42,
    fd: 7,
    flags: 0o2001,
    mapping: (0, 0),
    how: HELD_DESCRIPTOR,
    backing: InodeId { dev: 0, generation: 0, ino: 0 },
};

const MAPPING: Held = Held { how: HELD_MAPPING, ..FD };

/// A record of the lists of inodes, and the path that follows it.
fn listed(inode: InodeId, kind: u32, numbers: [u64; 2], path: &[u8]) -> Vec<u8> {
    let mut bytes = [inode_key(inode), inode_key(InodeId::default())].concat();
    bytes.extend([numbers[0], numbers[1], 0xef53].map(u64::to_ne_bytes).concat());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((path.len() as u32).to_ne_bytes());
    bytes.extend(path);
    bytes.resize(bytes.len().next_multiple_of(8), 0xee);
    bytes
}

fn held(held: &Held) -> Vec<u8> {
    let mut bytes = task(held.id);
    bytes.extend(inode_key(INODE));
    bytes.extend(inode_key(held.backing));
    for number in [12_345_u64, 16_384, 0xef53, held.mapping.0, held.mapping.1] {
        bytes.extend(number.to_ne_bytes());
    }
    for number in [held.thread, held.fd, held.flags, 1, held.how, 0] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes
}

fn wrote() -> Vec<u8> {
    wrote_at(99)
}

fn wrote_at(at: u64) -> Vec<u8> {
    let mut record = WROTE.to_ne_bytes().to_vec();
    record.extend((size_of::<WroteRecord>() as u32).to_ne_bytes());
    record.extend(at.to_ne_bytes());
    record.extend(task(HOLDER));
    record.extend(inode_key(INODE));
    record.extend(task_key(TaskId { start: 6_000, tgid: 43 }));
    record
}

/// A file that `HOLDER` made `bytes` bigger than its 100 bytes were.
fn total(bytes: u64, flags: u64) -> Vec<u8> {
    let mut value = task_key(HOLDER);
    value.extend(
        [bytes, 3, 100 + bytes, 100, 4096, 0xef53, 1, flags, 100 + bytes].map(u64::to_ne_bytes).concat(),
    );
    value
}

fn grew(decoder: &mut DiskDecoder, bytes: u64, flags: u64) -> Decoded {
    let mut out = Decoded::default();
    decoder.entry(names::FILES, &inode_key(INODE), &total(bytes, flags), &mut out).unwrap();
    out
}

fn pass(decoder: &mut DiskDecoder, program: ProgramName, records: &[Held]) -> Decoded {
    let mut out = Decoded::default();
    let bytes: Vec<u8> = records.iter().flat_map(held).collect();
    decoder.pass(program, &bytes, &mut out).unwrap();
    decoder.passed(&mut out);
    out
}

fn facts(out: &Decoded) -> Vec<DiskFact> {
    let facts = out.facts.iter().filter_map(|fact| match fact {
        Fact::Disk(fact) => Some(fact.clone()),
        _ => None,
    });
    facts.collect()
}

fn on(fd: u32, thread: u32) -> Descriptor {
    Descriptor { fd, thread, append: true, writable: true }
}

#[test]
fn one_holder_however_many_descriptors() {
    let out = pass(&mut DiskDecoder::default(), names::DESCRIPTOR, &[Held { fd: 9, ..FD }, FD]);
    let file = File { size: 12_345, allocated: 16_384, magic: 0xef53 };
    let hold = Hold::Descriptors(vec![on(7, 42), on(9, 42)]);
    assert_eq!(
        facts(&out),
        [DiskFact::File { inode: INODE, file }, DiskFact::Holder { inode: INODE, id: HOLDER, hold }]
    );
    let met = ProcessFact::Met { id: HOLDER, comm: b"legacyd"[..].into(), uid: 1000, kernel_thread: false };
    assert_eq!(out.facts[0], Fact::Process(met));
    assert_eq!(out.read, [(names::DELETIONS, inode_key(INODE))]);
}

#[test]
fn a_pass_that_could_not_tell_everything_tells_nothing_and_another_takes_its_place() {
    let round = ScanPlan { whole: true, attended: false, writers: false };
    let mut decoder = DiskDecoder::default();
    let tables = pass(&mut decoder, names::DESCRIPTOR_TABLE, &[FD]);
    assert_eq!(facts(&tables), facts(&pass(&mut DiskDecoder::default(), names::DESCRIPTOR, &[FD])));
    assert!(!decoder.needs_scan(names::DESCRIPTOR, round));
    let full = Held { how: HELD_TOO_MANY, ..FD };
    assert_eq!(facts(&pass(&mut decoder, names::DESCRIPTOR_TABLE, &[FD, full])), []);
    assert!(decoder.needs_scan(names::DESCRIPTOR, round));
    assert_eq!(
        decoder.stands_for(names::DESCRIPTOR_TABLE),
        names::DESCRIPTOR,
        "what the one found, the other has"
    );
    pass(&mut decoder, names::DESCRIPTOR_TABLE, &[]);
    assert!(!decoder.needs_scan(names::DESCRIPTOR, round));
    assert!(
        DiskDecoder::default().needs_scan(names::DESCRIPTOR, round),
        "where there is no pass over tables"
    );
}

#[test]
fn threads_that_outlive_their_leader_show_one_table_once_and_one_of_their_own_beside_it() {
    let records = [Held { thread: 43, ..FD }, Held { thread: 44, ..FD }, Held { thread: 45, fd: 8, ..FD }];
    let out = pass(&mut DiskDecoder::default(), names::DESCRIPTOR, &records);
    let hold = Hold::Descriptors(vec![on(7, 43), on(8, 45)]);
    assert_eq!(facts(&out)[1], DiskFact::Holder { inode: INODE, id: HOLDER, hold });
}

#[test]
fn the_lowest_mapping_stands_for_all() {
    let records =
        [Held { mapping: (0x3000, 0x4000), ..MAPPING }, Held { mapping: (0x1000, 0x2000), ..MAPPING }];
    let out = pass(&mut DiskDecoder::default(), names::MAPPING, &records);
    let hold = Hold::Mapping { start: 0x1000, end: 0x2000 };
    assert_eq!(facts(&out)[1], DiskFact::Holder { inode: INODE, id: HOLDER, hold });
}

#[test]
fn what_carries_a_file_is_told_with_the_descriptor_that_leads_to_it() {
    let mut decoder = DiskDecoder::default();
    let records =
        [Held { how: HELD_RING, fd: 5, ..FD }, Held { how: HELD_SOCKET, fd: 6, ..FD }, Held { fd: 8, ..FD }];
    let out = pass(&mut decoder, names::INDIRECT, &records);
    let holds: Vec<Hold> = facts(&out)
        .into_iter()
        .filter_map(|fact| match fact {
            DiskFact::Holder { hold, .. } => Some(hold),
            _ => None,
        })
        .collect();
    assert_eq!(
        holds,
        [Hold::Registered { ring: 5 }, Hold::InFlight { socket: 6 }],
        "the descriptor is another pass's"
    );
    let out = pass(&mut decoder, names::EXECUTABLE, &[Held { how: HELD_EXECUTABLE, ..FD }]);
    assert_eq!(facts(&out)[1], DiskFact::Holder { inode: INODE, id: HOLDER, hold: Hold::Executable });
    assert!(decoder.pass(names::INDIRECT, &held(&Held { how: 9, ..FD }), &mut Decoded::default()).is_err());
}

#[test]
fn lists_are_told_how_many_files_of_a_filesystem_are_known_unless_they_alone_know_one_of_it() {
    let inode = |dev, ino| InodeId { dev, ino, ..INODE };
    let told = |decoder: &mut DiskDecoder| -> Vec<(u64, u64)> {
        let number = |bytes: Vec<u8>| u64::from_ne_bytes(bytes.try_into().unwrap());
        decoder.found().into_iter().map(|(_, dev, files)| (number(dev), number(files))).collect()
    };
    let mut decoder = DiskDecoder::default();
    let dev = INODE.dev.into();
    assert_eq!(told(&mut decoder), []);
    pass(&mut decoder, names::DESCRIPTOR, &[FD, Held { thread: 43, ..FD }]);
    pass(&mut decoder, names::MAPPING, &[MAPPING]);
    assert_eq!(told(&mut decoder), [(dev, 1)], "one file, however it is held");
    // An overlay's file has its data in another file, which no process leads to.
    pass(&mut decoder, names::INDIRECT, &[Held { backing: inode(5, 1), ..FD }]);
    assert_eq!(told(&mut decoder), [(5, 1), (dev, 1)]);
    // What is carried has no path but the one in the lists.
    pass(&mut decoder, names::INDIRECT, &[Held { how: HELD_RING, ..FD }]);
    assert_eq!(told(&mut decoder), [(5, UNKNOWN), (dev, 1)]);
    let list = [
        listed(inode(INODE.dev, 9), LISTED_FILE, [1, 0], b""),
        listed(InodeId::default(), LISTED_END, [9, 1], b""),
    ];
    decoder.pass(names::INODE_LIST, &list.concat(), &mut Decoded::default()).unwrap();
    assert_eq!(told(&mut decoder), [(5, UNKNOWN), (dev, UNKNOWN)]);
    let end = listed(InodeId::default(), LISTED_END, [9, 1], b"");
    decoder.pass(names::INODE_LIST, &end, &mut Decoded::default()).unwrap();
    assert_eq!(told(&mut decoder), [(5, UNKNOWN), (dev, 1)]);
}

#[test]
fn lists_tell_of_what_nothing_else_found_and_only_when_they_were_read_to_their_end() {
    let inode = |ino| InodeId { ino, ..INODE };
    let mut decoder = DiskDecoder::default();
    pass(&mut decoder, names::DESCRIPTOR, &[FD]);
    // The overlay's file 20 is held by a descriptor; its data is in file 21.
    let overlay = Held { backing: inode(21), ..FD };
    pass(&mut decoder, names::INDIRECT, &[overlay]);
    let mut out = Decoded::default();
    let first = [
        listed(INODE, LISTED_FILE, [1, 0], b"x\0"),
        listed(inode(21), LISTED_FILE, [1, 0], b""),
        listed(inode(22), LISTED_SWAP, [7, 4096], b"swap file\0var\0"),
    ]
    .concat();
    decoder.pass(names::INODE_LIST, &first, &mut out).unwrap();
    assert_eq!((facts(&out), out.partial), (vec![], true), "another pass goes on");
    let mut out = Decoded::default();
    let last =
        [listed(inode(23), LISTED_FILE, [9, 0], b""), listed(InodeId::default(), LISTED_END, [99, 1], b"")];
    decoder.pass(names::INODE_LIST, &last.concat(), &mut out).unwrap();
    let file = |ino, size, allocated| DiskFact::File {
        inode: inode(ino),
        file: File { size, allocated, magic: 0xef53 },
    };
    let listed = |ino, swap, path: Option<&[u8]>| DiskFact::Listed {
        inode: inode(ino),
        listing: ListedInode { swap, path: path.map(<[u8]>::to_vec) },
    };
    let expected = [
        file(22, 7, 4096),
        listed(22, true, Some(b"/var/swap file")),
        file(23, 9, 0),
        listed(23, false, None),
        DiskFact::Walked(InodeScanResult { inodes: 99, complete: true }),
    ];
    assert_eq!((facts(&out), out.partial), (expected.to_vec(), false));
    assert!(decoder.pass(names::INODE_LIST, &last[0][..40], &mut Decoded::default()).is_err());
}

#[test]
fn a_record_announces_the_file_and_both_its_writers() {
    let mut out = Decoded::default();
    DiskDecoder::default().record(&wrote(), &mut out).unwrap();
    let key = |task| (names::WRITTEN, writer_key(WriterKey { inode: INODE, task }));
    let expected = [(names::FILES, inode_key(INODE)), key(HOLDER), key(TaskId { start: 6_000, tgid: 43 })];
    assert_eq!(out.read, expected);
    assert_eq!(out.facts.len(), 1, "who wrote is met");
}

#[test]
fn a_total_never_goes_back_when_an_older_one_is_read_later() {
    let mut decoder = DiskDecoder::default();
    grew(&mut decoder, 500, EXACT);
    let key = writer_key(WriterKey { inode: INODE, task: HOLDER });
    let mut out = Decoded::default();
    decoder.entry(names::WRITTEN, &key, &[200_u64, 1].map(u64::to_ne_bytes).concat(), &mut out).unwrap();
    let growing = FileGrowth {
        magic: 0xef53,
        size: 600,
        first_size: 100,
        first_allocated: 4096,
        had_hole: false,
        nameless: false,
        exact: true,
        appends: 3,
        owner: Some(HOLDER),
        writers: vec![(HOLDER, 500)],
    };
    assert_eq!(facts(&out), [DiskFact::FileGrowth { inode: INODE, growing: growing.into() }]);
}

#[test]
fn what_has_lost_its_name_is_told_of_as_such_and_its_deletion_looked_up() {
    let out = grew(&mut DiskDecoder::default(), 500, EXACT | NAMELESS);
    let [DiskFact::FileGrowth { growing, .. }] = &facts(&out)[..] else { panic!() };
    assert!(growing.nameless);
    assert_eq!(out.read, [(names::DELETIONS, inode_key(INODE))]);
}

#[test]
fn who_deleted_it_is_asked_until_that_is_known_and_not_for_ever() {
    let mut decoder = DiskDecoder::default();
    // Its last name is gone before the program that tells of it has run.
    for asked in [1, 1, 1, 0] {
        assert_eq!(pass(&mut decoder, names::DESCRIPTOR, &[FD]).read.len(), asked);
    }
    pass(&mut decoder, names::DESCRIPTOR, &[]);
    assert_eq!(pass(&mut decoder, names::DESCRIPTOR, &[FD]).read.len(), 1);
    let mut out = Decoded::default();
    let value = [task(TaskId { start: 1, tgid: 998 }), 77_u64.to_ne_bytes().to_vec()].concat();
    decoder.entry(names::DELETIONS, &inode_key(INODE), &value, &mut out).unwrap();
    let by = TaskId { start: 1, tgid: 998 };
    assert_eq!(facts(&out), [DiskFact::Deleted { inode: INODE, by, at: 77 }]);
    assert_eq!(pass(&mut decoder, names::DESCRIPTOR, &[FD]).read, []);
}

#[test]
fn entries_of_a_freed_file_leave_the_kernel_after_they_were_read() {
    let mut decoder = DiskDecoder::default();
    let out = grew(&mut decoder, 500, EXACT | NAMELESS | GONE);
    assert_eq!((facts(&out).len(), out.remove.len()), (1, 0));
    let out = pass(&mut decoder, names::DESCRIPTOR, &[]);
    assert_eq!(facts(&out), [DiskFact::GrowingGone { inode: INODE, freed: true }]);
    let key = writer_key(WriterKey { inode: INODE, task: HOLDER });
    assert_eq!(out.remove, [(names::FILES, inode_key(INODE)), (names::WRITTEN, key)]);
}

#[test]
fn a_file_is_watched_while_it_is_heard_of_or_held_without_a_name() {
    for (flags, holder, stays) in [(EXACT, None, false), (EXACT | NAMELESS, Some(FD), true)] {
        let mut decoder = DiskDecoder::default();
        grew(&mut decoder, 500, flags);
        let held: Vec<Held> = holder.into_iter().collect();
        for seconds in [1, 59] {
            decoder.record(&wrote_at(99 + seconds * 1_000_000_000), &mut Decoded::default()).unwrap();
            assert_eq!(pass(&mut decoder, names::DESCRIPTOR, &held).remove, []);
        }
        decoder.record(&wrote_at(62_000_000_000), &mut Decoded::default()).unwrap();
        let out = pass(&mut decoder, names::DESCRIPTOR, &held);
        assert_eq!(out.remove.is_empty(), stays);
        let gone = DiskFact::GrowingGone { inode: INODE, freed: false };
        assert_eq!(facts(&out).contains(&gone), !stays);
    }
}

#[test]
fn what_deletions_freed_is_told_by_device() {
    let mut decoder = DiskDecoder::default();
    let mut record = FREED.to_ne_bytes().to_vec();
    record.extend((size_of::<FreedRecord>() as u32).to_ne_bytes());
    record.extend(99_u64.to_ne_bytes());
    record.extend(inode_key(InodeId { dev: INODE.dev, ..InodeId::default() }));
    let mut out = Decoded::default();
    decoder.record(&record, &mut out).unwrap();
    let key = u64::from(INODE.dev).to_ne_bytes().to_vec();
    assert_eq!(out.read, [(names::FREED, key.clone())]);
    decoder.entry(names::FREED, &key, &[8192_u64, 1].map(u64::to_ne_bytes).concat(), &mut out).unwrap();
    assert_eq!(facts(&out), [DiskFact::Freed { dev: INODE.dev, bytes: 8192 }]);
}

#[test]
fn a_process_writes_what_its_threads_write() {
    let thread = |thread: u64, written: u64| {
        let mut bytes = task(HOLDER);
        bytes.extend([written, 10, thread].map(u64::to_ne_bytes).concat());
        bytes
    };
    let mut out = Decoded::default();
    let bytes = [thread(42, 4096), thread(43, LITTLE)].concat();
    DiskDecoder::default().pass(names::WRITER, &bytes, &mut out).unwrap();
    assert_eq!(facts(&out), [DiskFact::Written { id: HOLDER, written: LITTLE + 4096, cancelled: 20 }]);
}

#[test]
fn bytes_of_another_version_are_refused() {
    let mut decoder = DiskDecoder::default();
    let mut out = Decoded::default();
    assert!(decoder.pass(names::DESCRIPTOR, &[0; 135], &mut out).is_err());
    assert!(decoder.pass(ProgramName::new("disk_socket"), &[], &mut out).is_err());
    assert!(decoder.record(&wrote()[..87], &mut out).is_err());
    assert!(decoder.record(&[9; 88], &mut out).is_err());
    assert!(decoder.entry(names::WRITTEN, &[0; 31], &[0; 16], &mut out).is_err());
    assert!(decoder.entry(MapName::new("SIZES"), &[0; 16], &[0; 8], &mut out).is_err());
    assert_eq!(out.facts, []);
}
