//! A minute of a busy machine, byte for byte as it crosses the kernel boundary, the same in every run.
//!
//! It is synthetic: the records have the layout of this version's kernel side, and invented names. Some processes live
//! for a second. Of the others, some grow, some transfer bytes, and most do little.

use observer_common::{
    disk::{
        self, EXACT, FileTotal, InodeId, UNLINKED, WROTE, WriterKey, WriterRecord, WriterTotal, WroteRecord,
    },
    mem::{MEM_ANNOUNCED, MEM_ENDED, MemRecord, MemTaskRecord, MemTotals},
    names::{self, MapName, ProgramName},
    net::{
        self, ClosedRecord, FAMILY_V4, Flow, FlowKey, FlowRecord, KIND_CLOSED, KIND_FLOW, PROTOCOL_TCP,
        PROTOCOL_UDP, SOCKET_SEEN, STATE_CLOSE, STATE_ESTABLISHED, SocketRecord,
    },
    record::RecordHeader,
    task::{TaskId, TaskRecord},
};

pub const SECONDS: u64 = 60;
/// Processes of the whole minute, and of each second.
const PROCESSES: u64 = 300;
const BRIEF: u64 = 20;
/// Deleted files with holders, and open connections.
const FILES: u64 = 40;
const CONNECTIONS: u64 = 400;

/// The data between two reports.
#[derive(Default)]
pub struct Second {
    /// Records of the ring buffer.
    pub records: Vec<Vec<u8>>,
    /// Entries of maps: map, key, value.
    pub entries: Vec<(MapName, Vec<u8>, Vec<u8>)>,
    /// Scans of iterators: program, records.
    pub passes: Vec<(ProgramName, Vec<u8>)>,
}

pub struct Minute {
    pub seconds: Vec<Second>,
}

impl Minute {
    /// The output of the domain's kernel object.
    pub fn of(domain: &str) -> Self {
        let second = match domain {
            "mem" => mem,
            "disk" => disk,
            _ => net,
        };
        Self { seconds: (0..SECONDS).map(second).collect() }
    }
}

/// The memory of a value that crosses the kernel boundary.
///
/// # Safety
/// `T` must have no padding: its module asserts the size of each such type.
unsafe fn bytes<T: Copy>(value: &T) -> Vec<u8> {
    // SAFETY: a plain value without padding is as many initialised bytes as its size.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>()) }.to_vec()
}

/// A reproducible pseudo-random number.
fn number(seed: u64, below: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 32)) % below
}

fn header<T>(kind: u32, second: u64) -> RecordHeader {
    RecordHeader { kind, size: size_of::<T>() as u32, at: 1_000_000_000_000 + second * 1_000_000_000 }
}

fn task(number: u64) -> TaskRecord {
    let mut comm = [0; 16];
    let name = format!("worker-{}", number % 50);
    comm[..name.len()].copy_from_slice(name.as_bytes());
    TaskRecord {
        id: TaskId { start: 1_000_000 * (number + 1), tgid: 100 + number },
        comm,
        uid: 1000,
        kernel_thread: 0,
    }
}

fn key(id: TaskId) -> Vec<u8> {
    [id.start.to_ne_bytes(), id.tgid.to_ne_bytes()].concat()
}

/// A tenth of the processes grows by at least a page per second, another tenth alternates.
fn mem(second: u64) -> Second {
    let mut out = Second::default();
    let totals = |process: u64, seconds: u64| MemTotals {
        task: task(process),
        mapped: (4096 * (process + 1) * seconds) as i64,
        now: (4096 * (process + 1) * seconds) as i64,
        announced: seconds,
        ..MemTotals::default()
    };
    let mut pass = Vec::new();
    for process in 0..PROCESSES {
        let grown = match process % 10 {
            0 => second * (1 + process),
            1 => number(process * SECONDS + second, 500),
            _ => 0,
        };
        let pages = 500 + number(process, 100_000) + grown;
        let record = MemTaskRecord {
            task: task(process),
            rss: [pages as i64 / 4, pages as i64, 0, 0],
            total_vm: 10 * pages,
            data_vm: 2 * pages,
            page_tables: 8 * pages,
        };
        // SAFETY: the types of the kernel boundary have no padding.
        unsafe {
            pass.extend(bytes(&record));
            if process % 10 < 2 {
                let header = header::<MemRecord>(MEM_ANNOUNCED, second);
                let totals = totals(process, second + 1);
                out.records.push(bytes(&MemRecord { header, totals }));
                out.entries.push((names::mem::TOTALS, key(totals.task.id), bytes(&totals)));
            }
        }
    }
    for brief in 0..BRIEF {
        let process = PROCESSES + second * BRIEF + brief;
        let ended = header::<MemRecord>(MEM_ENDED, second);
        let totals = MemTotals { ended: ended.at, peak: 1 << 20, ..totals(process, 1) };
        // SAFETY: as above.
        out.records.push(unsafe { bytes(&MemRecord { header: ended, totals }) });
    }
    out.passes.push((names::mem::TASK, pass));
    out
}

/// Every fourth deleted file grows by writes of two processes.
fn disk(second: u64) -> Second {
    let mut out = Second::default();
    let (mut held, mut writers) = (Vec::new(), Vec::new());
    for file in 0..FILES {
        let inode = InodeId { dev: 0x0080_0001, generation: 7, ino: 10_000 + file };
        let written = if file % 4 == 0 { 100_000 * second } else { 0 };
        let total = FileTotal {
            owner: task(file).id,
            bytes: written / 2,
            appends: second,
            size: (1 << 20) + written,
            first_size: 1 << 20,
            first_blocks: 1 << 20,
            magic: 0xef53,
            epoch: second,
            flags: UNLINKED | EXACT,
            counted: (1 << 20) + written,
            ..FileTotal::default()
        };
        // SAFETY: the types of the kernel boundary have no padding.
        unsafe { out.entries.push((names::disk::FILES, bytes(&inode), bytes(&total))) }
        for holder in [file, file + 1] {
            let record = disk::HeldRecord {
                task: task(holder),
                inode,
                size: (1 << 20) + written,
                allocated: (1 << 20) + written,
                magic: 0xef53,
                fd: 3 + file as u32,
                thread: task(holder).id.pid(),
                writable: 1,
                ..disk::HeldRecord::default()
            };
            // SAFETY: the types of the kernel boundary have no padding.
            unsafe {
                held.extend(bytes(&record));
                if file % 4 == 0 {
                    let wrote = WroteRecord {
                        header: header::<WroteRecord>(WROTE, second),
                        task: task(holder),
                        inode,
                        ..WroteRecord::default()
                    };
                    out.records.push(bytes(&wrote));
                    let key = WriterKey { inode, task: task(holder).id };
                    let total = WriterTotal { bytes: written / 2, epoch: second };
                    out.entries.push((names::disk::WRITTEN, bytes(&key), bytes(&total)));
                }
            }
        }
    }
    for process in 0..PROCESSES {
        let record = WriterRecord {
            task: task(process),
            written: (2 << 20) + if process % 5 == 0 { second * 8192 * process } else { 0 },
            thread: task(process).id.tgid,
            ..WriterRecord::default()
        };
        // SAFETY: as above.
        writers.extend(unsafe { bytes(&record) });
    }
    out.passes.push((names::disk::DESCRIPTOR, held));
    out.passes.push((names::disk::WRITER, writers));
    out
}

/// Open connections, short ones of each second, and datagrams.
fn net(second: u64) -> Second {
    let mut out = Second::default();
    let socket = |number: u64, seconds: u64| SocketRecord {
        cookie: 1 + number,
        owner: task(number % PROCESSES),
        opened: 900_000_000_000 + number,
        tx: seconds * 1000 * (number % 100),
        rx: seconds * 100 * (number % 70),
        local: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        remote: [10, 0, (number % 7) as u8, (number % 200) as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        netns: 4_026_531_840,
        local_port: 30_000 + (number % 20_000) as u16,
        remote_port: 443,
        family: FAMILY_V4,
        protocol: PROTOCOL_TCP,
        state: u32::from(STATE_ESTABLISHED),
        flags: SOCKET_SEEN,
        srtt: 800 + (number % 1000) as u32,
        rtt_min: 500,
        mss: 1448,
        cwnd: 10,
        ..SocketRecord::default()
    };
    let mut pass = Vec::new();
    for number in 0..CONNECTIONS {
        let record = net::HeldRecord {
            holder: task(number % PROCESSES),
            socket: socket(number, second + 1),
            ..net::HeldRecord::default()
        };
        // SAFETY: the types of the kernel boundary have no padding.
        pass.extend(unsafe { bytes(&record) });
    }
    for brief in 0..BRIEF {
        let number = CONNECTIONS + second * BRIEF + brief;
        let socket = socket(number, 1);
        let closed = ClosedRecord {
            header: header::<ClosedRecord>(KIND_CLOSED, second),
            cookie: socket.cookie,
            owner: socket.owner,
            opened: socket.opened,
            tx: socket.tx,
            rx: socket.rx,
            local: socket.local,
            remote: socket.remote,
            netns: socket.netns,
            local_port: socket.local_port,
            remote_port: socket.remote_port,
            family: u32::from(socket.family),
            state: u32::from(STATE_CLOSE),
            srtt: socket.srtt,
            rtt_min: socket.rtt_min,
            mss: socket.mss,
            ..ClosedRecord::default()
        };
        // SAFETY: as above.
        out.records.push(unsafe { bytes(&closed) });
    }
    for process in 0..PROCESSES / 10 {
        let (who, cookie) = (task(process), 1_000_000 + process);
        let record = FlowRecord { header: header::<FlowRecord>(KIND_FLOW, second), cookie, task: who };
        let flow = Flow {
            created: 900_000_000_000,
            tx: second * 64,
            rx: second * 64,
            netns: 4_026_531_840,
            family: FAMILY_V4,
            protocol: u32::from(PROTOCOL_UDP),
            ..Flow::default()
        };
        let key = FlowKey { task: who.id, cookie };
        // SAFETY: as above.
        unsafe {
            out.records.push(bytes(&record));
            out.entries.push((names::net::FLOWS, bytes(&key), bytes(&flow)));
        }
    }
    out.passes.push((names::net::SOCKET, pass));
    out.passes.push((names::net::TCP, Vec::new()));
    out
}
