//! A recording can contain any numbers, and every view must report without a panic.
//!
//! The facts are synthetic, with few processes, files, sockets and groups, so that they refer to each other, and with
//! numbers at the limits of their types. The tested binary checks its arithmetic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{net::Ipv4Addr, sync::Arc};

use observer_core::facts::{
    Fact, TaskId,
    disk::{
        Answer, Descriptor, DiskFact, File, Hold, HoldKind, InodeId, InodeScanResult, ListedInode,
        LoopDevice, Mount, Space, Stat,
    },
    loss::{LossFact, SkippedFact},
    mem::{Limit, Machine, MemFact, Memory, Totals},
    net::{
        ClosedFact, ClosedTotalsFact, ConnectionFact, Counters, Endpoint, Endpoints, FlowFact, FlowSlot,
        LinkFact, NetFact, Protocol, QueueFact, SaturationFact, SocketFact, TcpMeasures, TcpTimes,
    },
    process::ProcessFact,
    session::{IntervalFact, SessionFact, Timestamp},
};
use observer_sources::record::Recorder;
use observer_tests::{Observer, TempDir};

/// Reproducible random numbers (xorshift).
struct Random(u64);

impl Random {
    fn any(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.any() % end
    }

    /// A number, usually at a limit of its type.
    fn extreme(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => u64::MAX - 1,
            4 => i64::MAX as u64,
            5 => i64::MIN as u64,
            6 => u64::from(u32::MAX),
            _ => self.any() >> self.below(64),
        }
    }

    fn signed(&mut self) -> i64 {
        self.extreme() as i64
    }

    fn half(&mut self) -> u32 {
        let number = self.extreme();
        if self.below(2) == 0 { number as u32 } else { (number >> 32) as u32 }
    }

    fn maybe(&mut self) -> Option<u64> {
        let number = self.extreme();
        (self.below(3) > 0).then_some(number)
    }

    fn id(&mut self) -> TaskId {
        TaskId { start: self.below(2) * self.extreme(), tgid: 1 + self.below(4) }
    }

    fn inode(&mut self) -> InodeId {
        InodeId { dev: self.below(2) as u32, ino: self.below(3), ..InodeId::default() }
    }

    fn memory(&mut self) -> Memory {
        Memory {
            file: self.signed(),
            anon: self.signed(),
            swap: self.signed(),
            shmem: self.signed(),
            virt: self.signed(),
        }
    }

    fn mem(&mut self) -> MemFact {
        let id = self.id();
        let cgroup = vec![b'/', b'a' + self.below(2) as u8];
        match self.below(9) {
            0 | 1 => MemFact::Counters { id, memory: self.memory(), page_tables: self.extreme() },
            2 => MemFact::Exact { id, memory: self.memory() },
            3 => MemFact::Totals {
                id,
                totals: Totals {
                    mapped: self.extreme(),
                    unmapped: self.extreme(),
                    mapped_file: self.extreme(),
                    reserved: self.extreme(),
                    protected: self.signed(),
                    peak: self.maybe(),
                },
            },
            4 => MemFact::Place { id, cgroup },
            5 => MemFact::Limit {
                cgroup,
                nearest: Some(Limit { limit: self.extreme(), usage: self.extreme(), ..Limit::default() }),
            },
            6 => MemFact::Gone { id },
            7 => MemFact::SlabsRead { took: self.extreme() },
            _ => MemFact::Machine(Box::new(Machine {
                total: self.extreme(),
                free: self.extreme(),
                available: self.maybe(),
                buffers: self.extreme(),
                cached: self.extreme(),
                swap_cached: self.extreme(),
                anon: self.extreme(),
                shmem: self.extreme(),
                slab: self.extreme(),
                kernel_stack: self.extreme(),
                page_tables: self.extreme(),
                secondary_page_tables: self.maybe(),
                per_cpu: self.maybe(),
                vmalloc: self.maybe(),
                hugetlb: self.extreme(),
                swap_total: self.extreme(),
                swap_free: self.extreme(),
            })),
        }
    }

    fn disk(&mut self) -> DiskFact {
        let (inode, id) = (self.inode(), self.id());
        match self.below(15) {
            0 | 1 => {
                let file = File { size: self.extreme(), allocated: self.extreme(), magic: self.extreme() };
                DiskFact::File { inode, file }
            }
            2 => {
                let descriptor =
                    Descriptor { fd: self.half(), thread: self.half(), append: true, writable: true };
                DiskFact::Holder { inode, id, hold: Hold::Descriptors(vec![descriptor]) }
            }
            3 => {
                let hold = Hold::Mapping { start: self.extreme(), end: self.extreme() };
                DiskFact::Holder { inode, id, hold }
            }
            4 => DiskFact::HolderGone { inode, id, how: HoldKind::Mapping },
            5 => DiskFact::Deleted { inode, by: id, at: self.extreme() },
            6 => {
                DiskFact::Writers { inode, written: vec![(id, self.extreme()), (self.id(), self.extreme())] }
            }
            7 => {
                let stat = Some(Stat { size: self.extreme(), allocated: self.extreme() });
                DiskFact::Asked { inode, answer: Answer { stat, path: Some(b"/x".to_vec()) } }
            }
            8 => {
                let mounts = (0..2).map(|dev| Mount { dev, fs: b"ext4".to_vec(), ..Mount::default() });
                DiskFact::Mounts(mounts.collect())
            }
            9 => {
                let space = Space {
                    size: self.extreme(),
                    used: self.extreme(),
                    available: self.extreme(),
                    inodes: self.extreme(),
                    inodes_used: self.extreme(),
                };
                DiskFact::Space { dev: self.below(2) as u32, space }
            }
            10 => DiskFact::Written { id, written: self.extreme(), cancelled: self.extreme() },
            11 => {
                let listing = ListedInode { swap: self.below(2) == 0, path: Some(b"/x".to_vec()) };
                DiskFact::Listed { inode, listing }
            }
            12 => DiskFact::Walked(InodeScanResult { inodes: self.extreme(), complete: self.below(2) == 0 }),
            13 => DiskFact::Loops(vec![LoopDevice {
                number: self.half(),
                dev: self.half(),
                ino: self.below(3),
            }]),
            _ => {
                let holds = [
                    Hold::Executable,
                    Hold::Registered { ring: self.half() },
                    Hold::InFlight { socket: self.half() },
                ];
                let hold = holds[self.below(3) as usize].clone();
                DiskFact::Holder { inode, id, hold }
            }
        }
    }

    fn counters(&mut self) -> Counters {
        Counters { tx: self.extreme(), rx: self.extreme(), retransmitted: self.extreme() }
    }

    fn ends(&mut self) -> Endpoints {
        let mut end = || Endpoint::new(Ipv4Addr::from(self.half()).into(), self.half() as u16);
        Endpoints { netns: 1, local: end(), remote: Some(end()) }
    }

    fn connection(&mut self) -> ConnectionFact {
        ConnectionFact {
            cookie: self.below(3),
            opened: self.extreme(),
            passive: self.below(2) == 0,
            owner: Some(self.id()),
            holders: [self.id()].into(),
            ends: self.ends(),
            state: self.below(14) as u8,
            counters: self.counters(),
            measures: TcpMeasures {
                srtt: self.half(),
                rtt_min: Some(self.half()),
                mss: self.half(),
                cwnd: self.half(),
                packets_out: self.half(),
                rate_delivered: self.half(),
                rate_interval: self.half(),
                delivered: self.half(),
                unsent: self.half(),
                unacked: self.half(),
                window: self.half(),
                unread: self.half(),
                pacing_rate: self.extreme(),
                chrono: [self.half(), self.half(), self.half()],
            },
            times: None,
        }
    }

    fn times(&mut self) -> TcpTimes {
        TcpTimes {
            last_sent: self.half(),
            last_received: self.half(),
            ssthresh: self.half(),
            lost: self.half(),
            app_limited: self.half(),
            segments_out: self.half(),
            segments_in: self.half(),
            send_buffer: self.half(),
            send_queued: self.half(),
            receive_buffer: self.half(),
            receive_window: self.half(),
        }
    }

    fn net(&mut self) -> NetFact {
        let key = FlowSlot { task: self.id(), cookie: self.below(3), created: self.below(2) };
        let protocol =
            [Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Mptcp][self.below(4) as usize];
        match self.below(13) {
            0 => NetFact::UntimedConnection(self.connection().into()),
            10 => {
                NetFact::RemoteName { address: Ipv4Addr::from(self.half()).into(), name: Some(vec![0xff; 3]) }
            }
            1 | 8 => {
                let (connection, times) = (self.connection(), Some(self.times()));
                NetFact::Connection(ConnectionFact { times, ..connection }.into())
            }
            9 => NetFact::Jiffies(self.half()),
            2 => {
                let (connection, counters) = (Arc::new(self.connection()), self.counters());
                NetFact::Closed(Box::new(ClosedFact { connection, seen: Some(counters), at: self.extreme() }))
            }
            3 => NetFact::Vanished { cookie: self.below(3) },
            4 => {
                let (tx, rx) = (self.extreme(), self.extreme());
                NetFact::Flow(FlowFact { key, protocol, remote: None, tx, rx })
            }
            5 => NetFact::ClosedTotals(ClosedTotalsFact {
                owner: self.id(),
                counters: self.counters(),
                connections: self.extreme(),
            }),
            6 => NetFact::Socket(Arc::new(SocketFact {
                cookie: self.below(3),
                holders: [self.id()].into(),
                protocol,
                listening: self.below(2) == 0,
                ends: self.ends(),
                queued: self.half(),
                queue_limit: Some(self.half()),
                drops: self.half(),
            })),
            11 => NetFact::Namespace { netns: self.half(), cgroup: Some(b"/x".to_vec()) },
            7 => NetFact::Saturation(vec![SaturationFact {
                name: b"eth0".to_vec(),
                errors: self.extreme(),
                queue: (self.below(2) == 0).then_some(QueueFact {
                    packets: self.half(),
                    bytes: self.half(),
                    drops: self.half(),
                }),
            }]),
            _ => NetFact::Links(vec![LinkFact {
                name: b"eth0".to_vec(),
                speed: self.maybe(),
                tx: self.extreme(),
                rx: self.extreme(),
                drops: self.extreme(),
            }]),
        }
    }

    fn process(&mut self) -> ProcessFact {
        let id = self.id();
        match self.below(6) {
            0 => ProcessFact::Ended { id, at: self.extreme() },
            1 => ProcessFact::Unnamed { id },
            _ => ProcessFact::Met { id, comm: b"x"[..].into(), uid: self.half(), kernel_thread: false },
        }
    }

    fn loss(&mut self) -> LossFact {
        LossFact {
            domain: ["mem", "disk", "net"][self.below(3) as usize].to_owned(),
            ring: self.extreme(),
            map_full: self.extreme(),
            unattributed: self.extreme(),
            unread: self.extreme(),
        }
    }

    fn fact(&mut self) -> Fact {
        match self.below(21) {
            0 => Fact::Loss(self.loss()),
            1 => Fact::Pace(IntervalFact { interval: f64::MAX, asked: 0.0 }),
            2..5 => Fact::Process(self.process()),
            5..10 => Fact::Mem(self.mem()),
            10..15 => Fact::Disk(self.disk()),
            20 => Fact::Skipped(SkippedFact { domain: "mem".to_owned(), runs: self.extreme() }),
            _ => Fact::Net(self.net()),
        }
    }
}

fn session(began: Timestamp) -> Fact {
    Fact::Session(Box::new(SessionFact { began, ..SessionFact::default() }))
}

#[test]
fn extreme_values_in_a_recording_are_reported() {
    let folder = TempDir::new("extremes");
    for seed in 1..=3 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
        let path = folder.file("extreme.recording");
        let _ = std::fs::remove_file(&path);
        let mut recorder = Recorder::create(&path).unwrap();
        let moment = |boot: u64| Timestamp { boot, wall: boot };
        recorder.push(&session(moment(0)));
        for report in 1..=40_u64 {
            for _ in 0..60 {
                recorder.push(&random.fact());
            }
            // The last times are at the limit of their type.
            let at = if report > 38 { u64::MAX - 40 + report } else { report * 1_000_000_000 };
            recorder.tick(moment(at));
        }
        recorder.finish().unwrap();
        let views: [&[&str]; 9] = [
            &["mem"],
            &["mem", "--by", "comm"],
            &["disk"],
            &["disk", "--deleted-open"],
            &["net"],
            &["net", "--by", "comm"],
            &["net", "--by", "remote"],
            &["net", "--connections"],
            &["net", "--listen"],
        ];
        for view in views {
            for format in ["--json", "--plain"] {
                let path = path.to_str().unwrap();
                let words = [&["replay", path], view, &[format]].concat();
                let output = Observer::command(&words).output().unwrap();
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(matches!(output.status.code(), Some(0 | 3)), "seed {seed}, {view:?}: {errors}");
                assert!(!output.stdout.is_empty());
            }
        }
    }
}
