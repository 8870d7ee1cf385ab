//! Decodes the records of the mem object into facts.

use std::collections::HashMap;

use hashbrown::HashSet;
use observer_common::{
    mem::{MEM_ANNOUNCED, MEM_ENDED, MEM_OOM, MemRecord, MemTaskRecord, MemTotals, OomRecord},
    names::{MapName, ProgramName, mem as names},
    task::TaskId,
};

use observer_core::{
    bytes::{self, key, met},
    domain::{Decode, Decoded, Malformed},
    facts::{
        Fact,
        mem::{MemFact, Memory, Totals},
        process::ProcessFact,
    },
};

/// The decoder of the mem object's records.
#[derive(Debug)]
pub struct MemDecoder {
    page_size: i64,
    /// Processes found by the current scan. A scan finds each thread that outlives its leader, all with the same
    /// memory.
    seen: HashSet<TaskId>,
    /// The expected number of processes: that of the last scan and some more.
    expected: usize,
    left: LeftToProc,
}

/// Results of a scan that the reader of `/proc` needs.
#[derive(Debug, Default)]
pub struct LeftToProc {
    /// Per-thread remainders of the kernel's counters, in bytes: file, anonymous, swap, shared. The values in `/proc`
    /// lack them.
    pub remainders: HashMap<TaskId, [i64; 4]>,
    /// Processes that the scan found without being able to read their counters, and the bytes of their page tables.
    pub uncounted: Vec<(TaskId, u64)>,
}

impl MemDecoder {
    /// `page_size`: bytes.
    #[must_use]
    pub fn new(page_size: u64) -> Self {
        Self { page_size: page_size as i64, seen: HashSet::new(), expected: 0, left: LeftToProc::default() }
    }

    fn memory(&self, rss: [i64; 4], total_vm: u64) -> Memory {
        let [file, anon, swap, shmem] = rss.map(|pages| pages.saturating_mul(self.page_size));
        Memory { file, anon, swap, shmem, virt: (total_vm as i64).saturating_mul(self.page_size) }
    }

    /// Decodes complete records of a scan.
    fn take(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let uncounted = program == names::TASK_UNCOUNTED;
        if !(uncounted || program == names::TASK) {
            return Err(Malformed { text: format!("a scan of {program}, which is no iterator of mem") });
        }
        if self.seen.is_empty() {
            out.facts.reserve_exact(2 * self.expected);
        }
        for record in bytes::records::<MemTaskRecord>(program, bytes)? {
            // A process with memory has address space. A record without address space holds the remainders of a thread.
            if record.total_vm == 0 {
                let kept = self.left.remainders.entry(record.task.id).or_default();
                for (sum, pages) in kept.iter_mut().zip(record.rss) {
                    *sum = sum.saturating_add(pages.saturating_mul(self.page_size));
                }
            } else if self.seen.insert(record.task.id) {
                out.facts.push(met(&record.task));
                if uncounted {
                    self.left.uncounted.push((record.task.id, record.page_tables));
                } else {
                    let memory = self.memory(record.rss, record.total_vm);
                    let (id, page_tables) = (record.task.id, record.page_tables);
                    out.facts.push(Fact::Mem(MemFact::Counters { id, memory, page_tables }));
                }
            }
        }
        Ok(())
    }

    fn out_of_memory(&self, record: &OomRecord, out: &mut Decoded) {
        let OomRecord { header, victim, trigger, rss } = record;
        // Before Linux 6.9 only the number of a thread is known.
        let whole = victim.id.start != 0;
        out.facts.push(met(trigger));
        if whole {
            out.facts.push(met(victim));
        }
        out.facts.push(Fact::Mem(MemFact::OutOfMemory {
            at: header.at,
            victim: victim.id,
            trigger: trigger.id,
            memory: (whole && *rss != [0; 4]).then(|| self.memory(*rss, 0)),
        }));
    }
}

impl Decode for MemDecoder {
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let what = "mem record";
        match bytes::header(what, bytes)?.kind {
            MEM_OOM => self.out_of_memory(&bytes::read(what, bytes)?, out),
            MEM_ANNOUNCED => {
                let MemRecord { totals, .. } = bytes::read(what, bytes)?;
                out.facts.extend([met(&totals.task), fact(&totals)]);
                out.read.push((names::TOTALS, key(&totals.task.id)));
            }
            MEM_ENDED => end(&bytes::read::<MemRecord>(what, bytes)?.totals, out),
            kind => return Err(Malformed { text: format!("mem record of unknown kind {kind}") }),
        }
        Ok(())
    }

    fn scan_part(
        &mut self,
        program: ProgramName,
        bytes: &[u8],
        out: &mut Decoded,
    ) -> Result<usize, Malformed> {
        let whole = bytes.len() - bytes.len() % size_of::<MemTaskRecord>();
        self.take(program, &bytes[..whole], out)?;
        Ok(whole)
    }

    fn scan(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let taken = self.take(program, bytes, out);
        self.expected = self.seen.len() + self.seen.len() / 16;
        self.seen.clear();
        out.left = Some(Box::new(std::mem::take(&mut self.left)));
        taken
    }

    fn entry(
        &mut self,
        map: MapName,
        entry: &[u8],
        value: &[u8],
        out: &mut Decoded,
    ) -> Result<(), Malformed> {
        if map != names::TOTALS || entry.len() != size_of::<TaskId>() {
            return Err(Malformed { text: format!("entry of {map} with a key of {} bytes", entry.len()) });
        }
        let totals: MemTotals = bytes::read(names::TOTALS, value)?;
        if totals.ended == 0 {
            out.facts.extend([met(&totals.task), fact(&totals)]);
        } else {
            end(&totals, out);
        }
        Ok(())
    }
}

/// The final facts of a process. If both the ring buffer and a scan report its exit, the facts are equal.
fn end(totals: &MemTotals, out: &mut Decoded) {
    let ended = ProcessFact::Ended { id: totals.task.id, at: totals.ended };
    out.facts.extend([met(&totals.task), fact(totals), Fact::Process(ended)]);
    out.remove.push((names::TOTALS, key(&totals.task.id)));
}

fn fact(totals: &MemTotals) -> Fact {
    // A value is negative only while a thread of the process is between a change and its record.
    let positive = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
    Fact::Mem(MemFact::Totals {
        id: totals.task.id,
        totals: Totals {
            mapped: positive(totals.mapped),
            unmapped: positive(totals.unmapped()),
            mapped_file: positive(totals.mapped_file),
            reserved: positive(totals.reserved),
            protected: totals.protected,
            // 0 if this kernel does not record the peak.
            peak: (totals.ended != 0 && totals.peak != 0).then_some(totals.peak),
        },
    })
}

#[cfg(test)]
mod tests {
    use observer_common::{record::RecordHeader, task::TaskRecord};

    use super::*;

    fn left(out: &mut Decoded) -> LeftToProc {
        *out.left.take().expect("a whole scan").downcast().expect("of this domain")
    }

    const ID: TaskId = TaskId { start: 5_000, tgid: 42 };

    fn task(comm: &[u8]) -> TaskRecord {
        let mut task = TaskRecord { id: ID, uid: 1000, ..TaskRecord::default() };
        task.comm[..comm.len()].copy_from_slice(comm);
        task
    }

    /// Totals of a process that held 100 bytes and has mapped 64.
    fn totals() -> MemTotals {
        MemTotals {
            task: task(b"leaky"),
            mapped: 64,
            base: 100,
            now: 164,
            announced: 3,
            ..MemTotals::default()
        }
    }

    fn header<T>(kind: u32) -> RecordHeader {
        RecordHeader { kind, size: size_of::<T>() as u32, at: 7 }
    }

    fn record(kind: u32, totals: MemTotals) -> Vec<u8> {
        key(&MemRecord { header: header::<MemRecord>(kind), totals })
    }

    fn counters(rss: [i64; 4], total_vm: u64) -> Vec<u8> {
        key(&MemTaskRecord { task: task(b"workers"), rss, total_vm, data_vm: 50, page_tables: 4096 })
    }

    fn found(out: &Decoded) -> Totals {
        out.facts
            .iter()
            .find_map(|fact| match fact {
                Fact::Mem(MemFact::Totals { id, totals }) if *id == ID => Some(*totals),
                _ => None,
            })
            .expect("a fact of the totals")
    }

    #[test]
    fn private_writable_memory_that_is_gone_was_unmapped() {
        // It held 100 bytes, mapped 64 and 10 of a private file, and mprotect added 5. 150 are left, so 29 were
        // unmapped.
        let mut out = Decoded::default();
        let changes =
            MemTotals { mapped_file: 20, reserved: 32, private_file: 10, protected: 5, now: 150, ..totals() };
        let bytes = record(MEM_ANNOUNCED, changes);
        MemDecoder::new(4096).record(&bytes, &mut out).expect("a whole record");
        let expected =
            Totals { mapped: 64, unmapped: 29, mapped_file: 20, reserved: 32, protected: 5, peak: None };
        assert_eq!(found(&out), expected);
        assert_eq!(out.read, [(names::TOTALS, key(&ID))]);
        assert!(out.remove.is_empty());
    }

    #[test]
    fn an_end_is_final_and_removes_the_entry() {
        let mut out = Decoded::default();
        let bytes = record(MEM_ENDED, MemTotals { ended: 9_000, peak: 8_192, ..totals() });
        MemDecoder::new(4096).record(&bytes, &mut out).expect("a whole record");
        assert_eq!(found(&out).peak, Some(8_192));
        assert_eq!(out.remove, [(names::TOTALS, key(&ID))]);
        assert!(out.read.is_empty());
        assert!(out.facts.contains(&Fact::Process(ProcessFact::Ended { id: ID, at: 9_000 })));
    }

    #[test]
    fn an_end_that_the_ring_buffer_lost_is_found_by_the_sweep() {
        let mut out = Decoded::default();
        let bytes = key(&MemTotals { ended: 9_000, ..totals() });
        MemDecoder::new(4096).entry(names::TOTALS, &key(&ID), &bytes, &mut out).expect("a whole entry");
        assert_eq!(found(&out).mapped, 64);
        assert_eq!(out.remove, [(names::TOTALS, key(&ID))]);
    }

    #[test]
    fn an_oom_kill_names_the_victim_and_the_trigger() {
        let record = OomRecord {
            header: header::<OomRecord>(MEM_OOM),
            victim: task(b"leaky"),
            trigger: task(b"innocent"),
            rss: [3, 2, 1, 0],
        };
        let mut bytes = key(&record);
        let mut out = Decoded::default();
        MemDecoder::new(4096).record(&bytes, &mut out).expect("a whole record");
        let memory = Some(Memory { file: 12_288, anon: 8_192, swap: 4_096, shmem: 0, virt: 0 });
        let fact = MemFact::OutOfMemory { at: 7, victim: ID, trigger: ID, memory };
        assert_eq!(out.facts.last(), Some(&Fact::Mem(fact)));
        assert_eq!(out.facts.len(), 3, "both were met");
        // A kernel on which no program can read the counters.
        let mut uncounted = bytes.clone();
        uncounted[96..].fill(0);
        let mut out = Decoded::default();
        MemDecoder::new(4096).record(&uncounted, &mut out).expect("a whole record");
        let fact = MemFact::OutOfMemory { at: 7, victim: ID, trigger: ID, memory: None };
        assert_eq!(out.facts.last(), Some(&Fact::Mem(fact)));
        // A kernel that reports only the thread number.
        bytes[16..24].fill(0);
        let mut out = Decoded::default();
        MemDecoder::new(4096).record(&bytes, &mut out).expect("a whole record");
        let Some(Fact::Mem(MemFact::OutOfMemory { victim, memory, .. })) = out.facts.last() else {
            panic!("{out:?}")
        };
        assert_eq!((victim.start, *memory), (0, None));
        assert_eq!(out.facts.len(), 2);
        assert!(MemDecoder::new(4096).record(&bytes[..127], &mut Decoded::default()).is_err());
    }

    #[test]
    fn threads_without_their_leader_are_one_process() {
        let bytes = counters([3, 2, -1, 0], 100);
        let twice = [bytes.clone(), bytes].concat();
        let mut out = Decoded::default();
        MemDecoder::new(4096).scan(names::TASK, &twice, &mut out).expect("whole records");
        let memory = Memory { file: 12_288, anon: 8_192, swap: -4_096, shmem: 0, virt: 409_600 };
        assert_eq!(
            out.facts,
            [
                Fact::Process(ProcessFact::Met {
                    id: ID,
                    comm: b"workers"[..].into(),
                    uid: 1000,
                    kernel_thread: false
                }),
                Fact::Mem(MemFact::Counters { id: ID, memory, page_tables: 4096 }),
            ]
        );
    }

    #[test]
    fn per_thread_remainders_are_kept_apart() {
        let scan = [counters([1, 2, 0, 0], 0), counters([10, 20, 0, 0], 100), counters([0, -3, 0, 1], 0)];
        let bytes = scan.concat();
        let mut out = Decoded::default();
        MemDecoder::new(4096).scan(names::TASK, &bytes, &mut out).expect("whole records");
        assert_eq!(left(&mut out).remainders, [(ID, [4_096, -4_096, 0, 4_096])].into());
        assert_eq!(out.facts.len(), 2, "one process, met and counted");
    }

    #[test]
    fn counters_that_were_not_read_are_queried_and_never_zero() {
        let bytes = counters([0; 4], 100);
        let mut out = Decoded::default();
        MemDecoder::new(4096).scan(names::TASK_UNCOUNTED, &bytes, &mut out).expect("whole records");
        assert_eq!(left(&mut out).uncounted, [(ID, 4096)]);
        assert!(!out.facts.iter().any(|fact| matches!(fact, Fact::Mem(_))));
    }

    #[test]
    fn bytes_of_another_version_are_an_error() {
        let mut decoder = MemDecoder::new(4096);
        let mut out = Decoded::default();
        assert!(decoder.record(&[0; 143], &mut out).is_err());
        assert!(decoder.record(&record(77, totals()), &mut out).is_err());
        assert!(decoder.scan(names::TASK, &[0; 95], &mut out).is_err());
        assert!(decoder.entry(names::TOTALS, &[0; 8], &[0; 128], &mut out).is_err());
        assert!(decoder.entry(names::TOTALS, &key(&ID), &[0; 127], &mut out).is_err());
    }
}
