//! From the bytes of the mem object to facts.

use hashbrown::HashSet;
use observer_common::{
    mem::{MEM_ANNOUNCED, MEM_ENDED, MEM_OOM, MemRecord, MemTaskRecord, MemTotals, OomRecord},
    names::{MapName, ProgramName, mem as names},
    task::TaskId,
};

use observer_core::{
    bytes::{Reader, met, task_key},
    domain::{Decode, Decoded, Malformed},
    facts::{
        Fact,
        mem::{MemFact, Memory, Totals},
        process::ProcessFact,
    },
};

/// Bytes of what a pass writes of one thread.
const RECORD: usize = size_of::<MemTaskRecord>();

/// Decodes what the mem object writes.
#[derive(Debug)]
pub struct MemDecoder {
    page_size: i64,
    /// Processes that the pass under way has met: threads that outlive their leader are met one by one, and the memory is
    /// the same.
    seen: HashSet<TaskId>,
    /// As many as the one before had met, and some more.
    expected: usize,
}

impl MemDecoder {
    /// For a machine with pages of `page_size` bytes.
    #[must_use]
    pub fn new(page_size: u64) -> Self {
        Self { page_size: page_size as i64, seen: HashSet::new(), expected: 0 }
    }

    fn memory(&self, rss: [i64; 4], total_vm: u64) -> Memory {
        let [file, anon, swap, shmem] = rss.map(|pages| pages.saturating_mul(self.page_size));
        Memory { file, anon, swap, shmem, virt: (total_vm as i64).saturating_mul(self.page_size) }
    }

    fn task(&self, record: &MemTaskRecord) -> MemFact {
        let memory = self.memory(record.rss, record.total_vm);
        MemFact::Counters { id: record.task.id, memory, page_tables: record.page_tables }
    }

    /// Takes whole records of a pass.
    fn take(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let uncounted = program == names::TASK_UNCOUNTED;
        if !(uncounted || program == names::TASK) {
            return Err(Malformed { text: format!("a pass of {program}, which is no iterator of mem") });
        }
        if self.seen.is_empty() {
            out.facts.reserve_exact(2 * self.expected);
        }
        for mut reader in Reader::records(program.as_str(), bytes, RECORD)? {
            let record = task_counters(&mut reader)?;
            // Whoever has memory has address space; without any it is what a thread keeps of the counters.
            if record.total_vm == 0 {
                let kept = out.unsettled.entry(record.task.id).or_default();
                for (sum, pages) in kept.iter_mut().zip(record.rss) {
                    *sum = sum.saturating_add(pages.saturating_mul(self.page_size));
                }
            } else if self.seen.insert(record.task.id) {
                out.facts.push(met(&record.task));
                if uncounted {
                    out.uncounted.push((record.task.id, record.page_tables));
                } else {
                    out.facts.push(Fact::Mem(self.task(&record)));
                }
            }
        }
        Ok(())
    }

    fn out_of_memory(&self, at: u64, from: &mut Reader<'_>, out: &mut Decoded) -> Result<(), Malformed> {
        let (victim, trigger) = (from.task()?, from.task()?);
        let rss = [from.i64()?, from.i64()?, from.i64()?, from.i64()?];
        let whole = victim.id.start != 0;
        out.facts.push(met(&trigger));
        if whole {
            out.facts.push(met(&victim));
        }
        out.facts.push(Fact::Mem(MemFact::OutOfMemory {
            at,
            victim: victim.id,
            trigger: trigger.id,
            memory: (whole && rss != [0; 4]).then(|| self.memory(rss, 0)),
        }));
        Ok(())
    }
}

impl Decode for MemDecoder {
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let header = Reader::new("mem record", bytes).header()?;
        let size = if header.kind == MEM_OOM { size_of::<OomRecord>() } else { size_of::<MemRecord>() };
        let mut reader = Reader::of("mem record", bytes, size)?;
        reader.header()?;
        if header.kind == MEM_OOM {
            return self.out_of_memory(header.at, &mut reader, out);
        }
        let totals = totals(&mut reader)?;
        match header.kind {
            MEM_ANNOUNCED => {
                out.facts.push(met(&totals.task));
                out.facts.push(fact(&totals));
                out.read.push((names::TOTALS, task_key(totals.task.id)));
            }
            MEM_ENDED => end(&totals, out),
            kind => return Err(Malformed { text: format!("mem record of unknown kind {kind}") }),
        }
        Ok(())
    }

    fn part(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<usize, Malformed> {
        let whole = bytes.len() - bytes.len() % RECORD;
        self.take(program, &bytes[..whole], out)?;
        Ok(whole)
    }

    fn pass(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let taken = self.take(program, bytes, out);
        self.expected = self.seen.len() + self.seen.len() / 16;
        self.seen.clear();
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
        let totals = totals(&mut Reader::of(names::TOTALS.as_str(), value, size_of::<MemTotals>())?)?;
        if totals.ended == 0 {
            out.facts.push(met(&totals.task));
            out.facts.push(fact(&totals));
        } else {
            end(&totals, out);
        }
        Ok(())
    }

    fn reports_exits(&self) -> bool {
        true
    }

    fn totals(&self) -> &'static [MapName] {
        &[names::TOTALS]
    }
}

/// The last that is said of a process. Said twice (by the ring and by a sweep), it says the same.
fn end(totals: &MemTotals, out: &mut Decoded) {
    out.facts.push(met(&totals.task));
    out.facts.push(fact(totals));
    out.facts.push(Fact::Process(ProcessFact::Ended { id: totals.task.id, at: totals.ended }));
    out.remove.push((names::TOTALS, task_key(totals.task.id)));
}

fn fact(totals: &MemTotals) -> Fact {
    // Below zero only while threads of the process are between a change and its record.
    let positive = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
    Fact::Mem(MemFact::Totals {
        id: totals.task.id,
        totals: Totals {
            mapped: positive(totals.mapped),
            unmapped: positive(totals.unmapped()),
            mapped_file: positive(totals.mapped_file),
            reserved: positive(totals.reserved),
            protected: totals.protected,
            // 0 where this kernel does not keep it.
            peak: (totals.ended != 0 && totals.peak != 0).then_some(totals.peak),
        },
    })
}

fn totals(reader: &mut Reader<'_>) -> Result<MemTotals, Malformed> {
    Ok(MemTotals {
        task: reader.task()?,
        mapped: reader.i64()?,
        mapped_file: reader.i64()?,
        reserved: reader.i64()?,
        private_file: reader.i64()?,
        protected: reader.i64()?,
        base: reader.i64()?,
        now: reader.i64()?,
        brk: reader.u64()?,
        ended: reader.u64()?,
        peak: reader.u64()?,
        announced: reader.u64()?,
    })
}

fn task_counters(reader: &mut Reader<'_>) -> Result<MemTaskRecord, Malformed> {
    Ok(MemTaskRecord {
        task: reader.task()?,
        rss: [reader.i64()?, reader.i64()?, reader.i64()?, reader.i64()?],
        total_vm: reader.u64()?,
        data_vm: reader.u64()?,
        page_tables: reader.u64()?,
    })
}

#[cfg(test)]
mod tests {
    use observer_common::task::COMM_LEN;

    use super::*;

    const ID: TaskId = TaskId { start: 5_000, tgid: 42 };

    fn task(comm: &[u8]) -> Vec<u8> {
        let mut bytes = task_key(ID);
        let mut name = [0; COMM_LEN];
        name[..comm.len()].copy_from_slice(comm);
        bytes.extend(name);
        bytes.extend(1000_u32.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes
    }

    /// mapped, mapped_file, reserved, private_file, protected, base, now, brk, ended, peak, announced
    fn totals(members: [i64; 11]) -> Vec<u8> {
        let mut bytes = task(b"leaky");
        bytes.extend(members.iter().flat_map(|member| member.to_ne_bytes()));
        bytes
    }

    fn record(kind: u32, members: [i64; 11]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((size_of::<MemRecord>() as u32).to_ne_bytes());
        bytes.extend(7_u64.to_ne_bytes());
        bytes.extend(totals(members));
        bytes
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
    fn what_left_the_account_is_what_was_unmapped() {
        // It held 100, mapped 64 and 10 of a private file, mprotect gave 5; 150 are left: 29 are gone.
        let mut out = Decoded::default();
        let bytes = record(MEM_ANNOUNCED, [64, 20, 32, 10, 5, 100, 150, 0, 0, 0, 3]);
        MemDecoder::new(4096).record(&bytes, &mut out).expect("a whole record");
        let expected =
            Totals { mapped: 64, unmapped: 29, mapped_file: 20, reserved: 32, protected: 5, peak: None };
        assert_eq!(found(&out), expected);
        assert_eq!(out.read, [(names::TOTALS, task_key(ID))]);
        assert!(out.remove.is_empty());
    }

    #[test]
    fn an_end_is_final_and_removes_the_entry() {
        let mut out = Decoded::default();
        let bytes = record(MEM_ENDED, [64, 0, 0, 0, 0, 100, 164, 0, 9_000, 8_192, 3]);
        MemDecoder::new(4096).record(&bytes, &mut out).expect("a whole record");
        assert_eq!(found(&out).peak, Some(8_192));
        assert_eq!(out.remove, [(names::TOTALS, task_key(ID))]);
        assert!(out.read.is_empty());
        assert!(out.facts.contains(&Fact::Process(ProcessFact::Ended { id: ID, at: 9_000 })));
    }

    #[test]
    fn an_end_that_the_ring_lost_is_found_by_the_sweep() {
        let mut out = Decoded::default();
        let bytes = totals([64, 0, 0, 0, 0, 0, 64, 0, 9_000, 0, 3]);
        MemDecoder::new(4096).entry(names::TOTALS, &task_key(ID), &bytes, &mut out).expect("a whole entry");
        assert_eq!(found(&out).mapped, 64);
        assert_eq!(out.remove, [(names::TOTALS, task_key(ID))]);
    }

    #[test]
    fn whoever_is_killed_is_told_of_with_who_asked_for_memory() {
        let mut bytes = Vec::new();
        bytes.extend(MEM_OOM.to_ne_bytes());
        bytes.extend((size_of::<OomRecord>() as u32).to_ne_bytes());
        bytes.extend(7_u64.to_ne_bytes());
        bytes.extend([task(b"leaky"), task(b"innocent")].concat());
        bytes.extend([3_i64, 2, 1, 0].iter().flat_map(|member| member.to_ne_bytes()));
        let mut out = Decoded::default();
        MemDecoder::new(4096).record(&bytes, &mut out).expect("a whole record");
        let memory = Some(Memory { file: 12_288, anon: 8_192, swap: 4_096, shmem: 0, virt: 0 });
        let fact = MemFact::OutOfMemory { at: 7, victim: ID, trigger: ID, memory };
        assert_eq!(out.facts.last(), Some(&Fact::Mem(fact)));
        assert_eq!(out.facts.len(), 3, "both were met");
        // A kernel that lets no program read what it holds.
        let mut uncounted = bytes.clone();
        uncounted[96..].fill(0);
        let mut out = Decoded::default();
        MemDecoder::new(4096).record(&uncounted, &mut out).expect("a whole record");
        let fact = MemFact::OutOfMemory { at: 7, victim: ID, trigger: ID, memory: None };
        assert_eq!(out.facts.last(), Some(&Fact::Mem(fact)));
        // A kernel that tells a number only.
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
        let mut bytes = task(b"workers");
        bytes.extend([3_i64, 2, -1, 0, 100, 50, 4096].iter().flat_map(|member| member.to_ne_bytes()));
        let twice = [bytes.clone(), bytes].concat();
        let mut out = Decoded::default();
        MemDecoder::new(4096).pass(names::TASK, &twice, &mut out).expect("whole records");
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
    fn what_threads_keep_of_the_counters_is_told_apart() {
        let record = |rss: [i64; 4], total_vm: i64| {
            let mut bytes = task(b"workers");
            bytes.extend(rss.iter().chain(&[total_vm, 0, 0]).flat_map(|member| member.to_ne_bytes()));
            bytes
        };
        let bytes = [record([1, 2, 0, 0], 0), record([10, 20, 0, 0], 100), record([0, -3, 0, 1], 0)].concat();
        let mut out = Decoded::default();
        MemDecoder::new(4096).pass(names::TASK, &bytes, &mut out).expect("whole records");
        assert_eq!(out.unsettled, [(ID, [4_096, -4_096, 0, 4_096])].into());
        assert_eq!(out.facts.len(), 2, "one process, met and counted");
    }

    #[test]
    fn counters_that_were_not_read_are_asked_for_and_never_zero() {
        let mut bytes = task(b"workers");
        bytes.extend([0_i64, 0, 0, 0, 100, 50, 4096].iter().flat_map(|member| member.to_ne_bytes()));
        let mut out = Decoded::default();
        MemDecoder::new(4096).pass(names::TASK_UNCOUNTED, &bytes, &mut out).expect("whole records");
        assert_eq!(out.uncounted, [(ID, 4096)]);
        assert!(!out.facts.iter().any(|fact| matches!(fact, Fact::Mem(_))));
    }

    #[test]
    fn bytes_of_another_version_are_refused() {
        let mut decoder = MemDecoder::new(4096);
        let mut out = Decoded::default();
        assert!(decoder.record(&[0; 143], &mut out).is_err());
        assert!(decoder.record(&record(77, [0; 11]), &mut out).is_err());
        assert!(decoder.pass(names::TASK, &[0; 95], &mut out).is_err());
        assert!(decoder.entry(names::TOTALS, &[0; 8], &[0; 128], &mut out).is_err());
        assert!(decoder.entry(names::TOTALS, &task_key(ID), &[0; 127], &mut out).is_err());
    }
}
