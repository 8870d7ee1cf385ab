//! Records of the kernel side become complete facts, once. Bytes of another version become no facts.

use std::sync::LazyLock;

use observer_common::disk::{
    EXACT, FREED, FileTotal, FreedRecord, GONE, HELD_DESCRIPTOR, HELD_EXECUTABLE, HELD_MAPPING, HELD_RING,
    HELD_SOCKET, HELD_TOO_MANY, HeldRecord, LISTED_END, LISTED_FILE, LISTED_SWAP, ListedRecord, UNLINKED,
    WROTE, WriterKey, WriterTotal, WroteRecord,
};
use observer_common::{record::RecordHeader, task::TaskRecord};

use super::{holders::UNKNOWN, *};
use observer_core::{
    facts::{
        disk::{Descriptor, File, FileGrowth, Hold, InodeScanResult, ListedInode},
        process::ProcessFact,
    },
    queries::HostQueries,
};

const HOLDER: TaskId = TaskId { start: 5_000, tgid: 42 };
const INODE: InodeId = InodeId { dev: 8 << 20 | 1, generation: 7, ino: 4711 };

/// The absence of an inode.
const NONE: InodeId = InodeId { dev: 0, generation: 0, ino: 0 };

const TASK: TaskRecord =
    TaskRecord { id: HOLDER, comm: *b"legacyd\0\0\0\0\0\0\0\0\0", uid: 1000, kernel_thread: 0 };

/// A descriptor of `HOLDER`.
const FD: HeldRecord = HeldRecord {
    task: TASK,
    inode: INODE,
    backing: NONE,
    size: 12_345,
    allocated: 16_384,
    magic: 0xef53,
    start: 0,
    end: 0,
    thread: 42,
    fd: 7,
    flags: 0o2001,
    writable: 1,
    how: HELD_DESCRIPTOR,
    _pad: 0,
};

const MAPPING: HeldRecord = HeldRecord { how: HELD_MAPPING, ..FD };

/// A record of the inode lists, and the path that follows it.
fn listed(inode: InodeId, kind: u32, [size, allocated]: [u64; 2], path: &[u8]) -> Vec<u8> {
    let name = path.len() as u32;
    let record = ListedRecord { inode, backing: NONE, size, allocated, magic: 0xef53, kind, name };
    let mut bytes = [&key(&record), path].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0xee);
    bytes
}

fn wrote(at: u64) -> Vec<u8> {
    let header = RecordHeader { kind: WROTE, size: size_of::<WroteRecord>() as u32, at };
    let previous = TaskId { start: 6_000, tgid: 43 };
    key(&WroteRecord { header, task: TASK, inode: INODE, previous })
}

fn writer_key(task: TaskId) -> Vec<u8> {
    key(&WriterKey { inode: INODE, task })
}

/// A file of 100 bytes that `HOLDER` made `bytes` longer.
fn total(bytes: u64, flags: u64) -> Vec<u8> {
    key(&FileTotal {
        owner: HOLDER,
        bytes,
        appends: 3,
        size: 100 + bytes,
        first_size: 100,
        first_blocks: 4096,
        magic: 0xef53,
        epoch: 1,
        flags,
        counted: 100 + bytes,
        ..FileTotal::default()
    })
}

fn grew(decoder: &mut DiskDecoder, bytes: u64, flags: u64) -> Decoded {
    let mut out = Decoded::default();
    decoder.entry(names::FILES, &key(&INODE), &total(bytes, flags), &mut out).unwrap();
    out
}

fn pass(decoder: &mut DiskDecoder, program: ProgramName, records: &[HeldRecord]) -> Decoded {
    let mut out = Decoded::default();
    let bytes: Vec<u8> = records.iter().flat_map(key).collect();
    decoder.scan(program, &bytes, &mut out).unwrap();
    decoder.scans_completed(&mut out);
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
fn many_descriptors_are_one_holder() {
    let out = pass(&mut DiskDecoder::default(), names::DESCRIPTOR, &[HeldRecord { fd: 9, ..FD }, FD]);
    let file = File { size: 12_345, allocated: 16_384, magic: 0xef53 };
    let hold = Hold::Descriptors(vec![on(7, 42), on(9, 42)]);
    assert_eq!(
        facts(&out),
        [DiskFact::File { inode: INODE, file }, DiskFact::Holder { inode: INODE, id: HOLDER, hold }]
    );
    let met = ProcessFact::Met { id: HOLDER, comm: b"legacyd"[..].into(), uid: 1000, kernel_thread: false };
    assert_eq!(out.facts[0], Fact::Process(met));
    assert_eq!(out.read, [(names::DELETIONS, key(&INODE))]);
}

#[test]
fn an_incomplete_scan_of_tables_has_no_facts_and_the_scan_of_descriptors_replaces_it() {
    let needed = |decoder: &DiskDecoder| decoder.needs_scan(HookKind::Scan, names::DESCRIPTOR, plan());
    let mut decoder = DiskDecoder::default();
    let tables = pass(&mut decoder, names::DESCRIPTOR_TABLE, &[FD]);
    assert_eq!(facts(&tables), facts(&pass(&mut DiskDecoder::default(), names::DESCRIPTOR, &[FD])));
    assert!(!needed(&decoder));
    let full = HeldRecord { how: HELD_TOO_MANY, ..FD };
    assert_eq!(facts(&pass(&mut decoder, names::DESCRIPTOR_TABLE, &[FD, full])), []);
    assert!(needed(&decoder));
    assert_eq!(tables.instead_of, Some(names::DESCRIPTOR), "what the one found, the other has");
    pass(&mut decoder, names::DESCRIPTOR_TABLE, &[]);
    assert!(!needed(&decoder));
    assert!(needed(&DiskDecoder::default()), "where there is no pass over tables");
}

#[test]
fn threads_that_outlive_their_leader_show_a_shared_table_once_and_their_own_tables() {
    let records = [
        HeldRecord { thread: 43, ..FD },
        HeldRecord { thread: 44, ..FD },
        HeldRecord { thread: 45, fd: 8, ..FD },
    ];
    let out = pass(&mut DiskDecoder::default(), names::DESCRIPTOR, &records);
    let hold = Hold::Descriptors(vec![on(7, 43), on(8, 45)]);
    assert_eq!(facts(&out)[1], DiskFact::Holder { inode: INODE, id: HOLDER, hold });
}

#[test]
fn the_lowest_mapping_stands_for_all() {
    let records = [
        HeldRecord { start: 0x3000, end: 0x4000, ..MAPPING },
        HeldRecord { start: 0x1000, end: 0x2000, ..MAPPING },
    ];
    let out = pass(&mut DiskDecoder::default(), names::MAPPING, &records);
    let hold = Hold::Mapping { start: 0x1000, end: 0x2000 };
    assert_eq!(facts(&out)[1], DiskFact::Holder { inode: INODE, id: HOLDER, hold });
}

#[test]
fn an_indirect_holder_is_reported_with_its_descriptor() {
    let mut decoder = DiskDecoder::default();
    let records = [
        HeldRecord { how: HELD_RING, fd: 5, ..FD },
        HeldRecord { how: HELD_SOCKET, fd: 6, ..FD },
        HeldRecord { fd: 8, ..FD },
    ];
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
    let out = pass(&mut decoder, names::EXECUTABLE, &[HeldRecord { how: HELD_EXECUTABLE, ..FD }]);
    assert_eq!(facts(&out)[1], DiskFact::Holder { inode: INODE, id: HOLDER, hold: Hold::Executable });
    assert!(
        decoder.scan(names::INDIRECT, &key(&HeldRecord { how: 9, ..FD }), &mut Decoded::default()).is_err()
    );
}

#[test]
fn programs_get_the_number_of_known_files_unless_a_list_alone_has_one() {
    let inode = |dev, ino| InodeId { dev, ino, ..INODE };
    let told = |decoder: &mut DiskDecoder| -> Vec<(u64, u64)> {
        let number = |bytes: Vec<u8>| u64::from_ne_bytes(bytes.try_into().unwrap());
        let mut decoded = Decoded::default();
        decoder.prepare(HookKind::ScanRarely, plan(), &mut decoded);
        decoded.write.into_iter().map(|(_, dev, files)| (number(dev), number(files))).collect()
    };
    let mut decoder = DiskDecoder::default();
    let dev = INODE.dev.into();
    assert_eq!(told(&mut decoder), []);
    pass(&mut decoder, names::DESCRIPTOR, &[FD, HeldRecord { thread: 43, ..FD }]);
    pass(&mut decoder, names::MAPPING, &[MAPPING]);
    assert_eq!(told(&mut decoder), [(dev, 1)], "one file, however it is held");
    // An overlay file has its data in another file, which no process refers to.
    pass(&mut decoder, names::INDIRECT, &[HeldRecord { backing: inode(5, 1), ..FD }]);
    assert_eq!(told(&mut decoder), [(5, 1), (dev, 1)]);
    // The only path of a file with an indirect holder is that of the inode lists.
    pass(&mut decoder, names::INDIRECT, &[HeldRecord { how: HELD_RING, ..FD }]);
    assert_eq!(told(&mut decoder), [(5, UNKNOWN), (dev, 1)]);
    let list = [listed(inode(INODE.dev, 9), LISTED_FILE, [1, 0], b""), listed(NONE, LISTED_END, [9, 1], b"")];
    decoder.scan(names::INODE_LIST, &list.concat(), &mut Decoded::default()).unwrap();
    assert_eq!(told(&mut decoder), [(5, UNKNOWN), (dev, UNKNOWN)]);
    let end = listed(NONE, LISTED_END, [9, 1], b"");
    decoder.scan(names::INODE_LIST, &end, &mut Decoded::default()).unwrap();
    assert_eq!(told(&mut decoder), [(5, UNKNOWN), (dev, 1)]);
}

#[test]
fn inode_lists_add_what_no_other_scan_found_once_they_were_read_to_their_end() {
    let inode = |ino| InodeId { ino, ..INODE };
    let mut decoder = DiskDecoder::default();
    pass(&mut decoder, names::DESCRIPTOR, &[FD]);
    // A descriptor holds file 20 of the overlay; its data is in file 21.
    let overlay = HeldRecord { backing: inode(21), ..FD };
    pass(&mut decoder, names::INDIRECT, &[overlay]);
    let mut out = Decoded::default();
    let first = [
        listed(INODE, LISTED_FILE, [1, 0], b"x\0"),
        listed(inode(21), LISTED_FILE, [1, 0], b""),
        listed(inode(22), LISTED_SWAP, [7, 4096], b"swap file\0var\0"),
    ]
    .concat();
    decoder.scan(names::INODE_LIST, &first, &mut out).unwrap();
    assert_eq!((facts(&out), out.partial), (vec![], true), "another pass goes on");
    let mut out = Decoded::default();
    let last = [listed(inode(23), LISTED_FILE, [9, 0], b""), listed(NONE, LISTED_END, [99, 1], b"")];
    decoder.scan(names::INODE_LIST, &last.concat(), &mut out).unwrap();
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
    assert!(decoder.scan(names::INODE_LIST, &last[0][..40], &mut Decoded::default()).is_err());
}

#[test]
fn a_record_announces_the_file_and_both_its_writers() {
    let mut out = Decoded::default();
    DiskDecoder::default().record(&wrote(99), &mut out).unwrap();
    let written = |task| (names::WRITTEN, writer_key(task));
    let expected = [(names::FILES, key(&INODE)), written(HOLDER), written(TaskId { start: 6_000, tgid: 43 })];
    assert_eq!(out.read, expected);
    assert_eq!(out.facts.len(), 1, "who wrote is met");
}

#[test]
fn an_older_total_that_is_read_later_changes_nothing() {
    let mut decoder = DiskDecoder::default();
    grew(&mut decoder, 500, EXACT);
    let mut out = Decoded::default();
    let older = key(&WriterTotal { bytes: 200, epoch: 1 });
    decoder.entry(names::WRITTEN, &writer_key(HOLDER), &older, &mut out).unwrap();
    let growing = FileGrowth {
        magic: 0xef53,
        size: 600,
        first_size: 100,
        first_allocated: 4096,
        had_hole: false,
        unlinked: false,
        exact: true,
        appends: 3,
        owner: Some(HOLDER),
        writers: vec![(HOLDER, 500)],
    };
    assert_eq!(facts(&out), [DiskFact::FileGrowth { inode: INODE, growing: growing.into() }]);
}

#[test]
fn an_unlinked_file_is_reported_and_its_deletion_looked_up() {
    let out = grew(&mut DiskDecoder::default(), 500, EXACT | UNLINKED);
    let [DiskFact::FileGrowth { growing, .. }] = &facts(&out)[..] else { panic!() };
    assert!(growing.unlinked);
    assert_eq!(out.read, [(names::DELETIONS, key(&INODE))]);
}

#[test]
fn a_deletion_is_looked_up_until_it_is_known_a_few_times_at_most() {
    let mut decoder = DiskDecoder::default();
    // The last name is gone before the program that reports it has run.
    for asked in [1, 1, 1, 0] {
        assert_eq!(pass(&mut decoder, names::DESCRIPTOR, &[FD]).read.len(), asked);
    }
    pass(&mut decoder, names::DESCRIPTOR, &[]);
    assert_eq!(pass(&mut decoder, names::DESCRIPTOR, &[FD]).read.len(), 1);
    let mut out = Decoded::default();
    let by = TaskId { start: 1, tgid: 998 };
    let value = key(&DeletionRecord { task: TaskRecord { id: by, ..TASK }, at: 77 });
    decoder.entry(names::DELETIONS, &key(&INODE), &value, &mut out).unwrap();
    assert_eq!(facts(&out), [DiskFact::Deleted { inode: INODE, by, at: 77 }]);
    assert_eq!(pass(&mut decoder, names::DESCRIPTOR, &[FD]).read, []);
}

#[test]
fn entries_of_a_freed_file_leave_the_kernel_after_they_were_read() {
    let mut decoder = DiskDecoder::default();
    let out = grew(&mut decoder, 500, EXACT | UNLINKED | GONE);
    assert_eq!((facts(&out).len(), out.remove.len()), (1, 0));
    let out = pass(&mut decoder, names::DESCRIPTOR, &[]);
    assert_eq!(facts(&out), [DiskFact::GrowingGone { inode: INODE, freed: true }]);
    assert_eq!(out.remove, [(names::FILES, key(&INODE)), (names::WRITTEN, writer_key(HOLDER))]);
}

#[test]
fn a_file_is_watched_while_it_has_events_or_is_held_and_unlinked() {
    for (flags, holder, stays) in [(EXACT, None, false), (EXACT | UNLINKED, Some(FD), true)] {
        let mut decoder = DiskDecoder::default();
        grew(&mut decoder, 500, flags);
        let held: Vec<HeldRecord> = holder.into_iter().collect();
        for seconds in [1, 59] {
            decoder.record(&wrote(99 + seconds * 1_000_000_000), &mut Decoded::default()).unwrap();
            assert_eq!(pass(&mut decoder, names::DESCRIPTOR, &held).remove, []);
        }
        decoder.record(&wrote(62_000_000_000), &mut Decoded::default()).unwrap();
        let out = pass(&mut decoder, names::DESCRIPTOR, &held);
        assert_eq!(out.remove.is_empty(), stays);
        let gone = DiskFact::GrowingGone { inode: INODE, freed: false };
        assert_eq!(facts(&out).contains(&gone), !stays);
    }
}

#[test]
fn freed_bytes_are_reported_by_device() {
    let mut decoder = DiskDecoder::default();
    let header = RecordHeader { kind: FREED, size: size_of::<FreedRecord>() as u32, at: 99 };
    let record = FreedRecord { header, inode: InodeId { dev: INODE.dev, ..NONE } };
    let mut out = Decoded::default();
    decoder.record(&key(&record), &mut out).unwrap();
    let dev = key(&u64::from(INODE.dev));
    assert_eq!(out.read, [(names::FREED, dev.clone())]);
    decoder.entry(names::FREED, &dev, &key(&WriterTotal { bytes: 8192, epoch: 1 }), &mut out).unwrap();
    assert_eq!(facts(&out), [DiskFact::Freed { dev: INODE.dev, bytes: 8192 }]);
}

#[test]
fn the_writes_of_a_process_are_those_of_its_threads() {
    let thread = |thread, written| key(&WriterRecord { task: TASK, written, cancelled: 10, thread });
    let mut out = Decoded::default();
    let bytes = [thread(42, 4096), thread(43, LITTLE)].concat();
    DiskDecoder::default().scan(names::WRITER, &bytes, &mut out).unwrap();
    assert_eq!(facts(&out), [DiskFact::Written { id: HOLDER, written: LITTLE + 4096, cancelled: 20 }]);
}

#[test]
fn bytes_of_another_version_are_an_error() {
    let mut decoder = DiskDecoder::default();
    let mut out = Decoded::default();
    assert!(decoder.scan(names::DESCRIPTOR, &[0; 135], &mut out).is_err());
    assert!(decoder.scan(ProgramName::new("disk_socket"), &[], &mut out).is_err());
    assert!(decoder.record(&wrote(99)[..87], &mut out).is_err());
    assert!(decoder.record(&[9; 88], &mut out).is_err());
    assert!(decoder.entry(names::WRITTEN, &[0; 31], &[0; 16], &mut out).is_err());
    assert!(decoder.entry(MapName::new("SIZES"), &[0; 16], &[0; 8], &mut out).is_err());
    assert_eq!(out.facts, []);
}

/// The plan of a report without queries.
fn plan() -> ScanPlan<'static> {
    static NOTHING: LazyLock<HostQueries> = LazyLock::new(HostQueries::default);
    ScanPlan { first: false, whole: true, on_demand_attached: false, has_missing: false, queries: &NOTHING }
}
