//! From the bytes of the mem object to facts.

use std::collections::HashSet;

use observer_common::{
    mem::{MEM_ANNOUNCED, MEM_ENDED, MemRecord, MemTaskRecord, MemTotals},
    record::RecordHeader,
    task::{COMM_LEN, TaskId, TaskRecord},
};

use crate::{
    domains::{Decode, Decoded, Malformed},
    observation::{
        Observation,
        mem::{MemFact, Memory, Totals},
        process::ProcessFact,
    },
};

/// The map that holds each process's totals.
const TOTALS: &str = "MEM_TOTALS";
/// The iterator's program.
const PASS: &str = "mem_task";
/// The iterator's program that leaves the counters to `/proc`.
const UNCOUNTED: &str = "mem_task_uncounted";

/// Decodes what the mem object writes.
#[derive(Debug)]
pub struct MemDecoder {
    page_size: i64,
}

impl MemDecoder {
    /// For a machine with pages of `page_size` bytes.
    #[must_use]
    pub const fn new(page_size: u64) -> Self {
        Self { page_size: page_size as i64 }
    }

    fn task(&self, record: &MemTaskRecord) -> MemFact {
        let [file, anon, swap, shmem] = record.rss.map(|pages| pages.saturating_mul(self.page_size));
        let virt = (record.total_vm as i64).saturating_mul(self.page_size);
        MemFact::Counters {
            id: record.task.id,
            memory: Memory { file, anon, swap, shmem, virt },
            page_tables: record.page_tables,
        }
    }
}

impl Decode for MemDecoder {
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let mut reader = Reader::of("record", bytes, size_of::<MemRecord>())?;
        let header = reader.header();
        let totals = reader.totals();
        match header.kind {
            MEM_ANNOUNCED => {
                out.facts.push(met(&totals.task));
                out.facts.push(fact(&totals));
                out.read.push((TOTALS, key(totals.task.id)));
            }
            MEM_ENDED => end(&totals, out),
            kind => return Err(Malformed { text: format!("mem record of unknown kind {kind}") }),
        }
        Ok(())
    }

    fn pass(&mut self, program: &str, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        const SIZE: usize = size_of::<MemTaskRecord>();
        let uncounted = program == UNCOUNTED;
        if !(uncounted || program == PASS) || !bytes.len().is_multiple_of(SIZE) {
            let text = format!("{} bytes of {program}, expected whole records of {SIZE}", bytes.len());
            return Err(Malformed { text });
        }
        // Threads that outlive their leader are met one by one; the memory is the same.
        let mut seen = HashSet::with_capacity(bytes.len() / SIZE);
        for record in bytes.chunks_exact(SIZE) {
            let record = Reader::of("task", record, SIZE)?.task_counters();
            if seen.insert(record.task.id) {
                out.facts.push(met(&record.task));
                if uncounted {
                    out.uncounted.push((record.task.id, record.page_tables));
                } else {
                    out.facts.push(Observation::Mem(self.task(&record)));
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, map: &str, entry: &[u8], value: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        if map != TOTALS || entry.len() != size_of::<TaskId>() {
            return Err(Malformed { text: format!("entry of {map} with a key of {} bytes", entry.len()) });
        }
        let totals = Reader::of(TOTALS, value, size_of::<MemTotals>())?.totals();
        if totals.ended == 0 {
            out.facts.push(met(&totals.task));
            out.facts.push(fact(&totals));
        } else {
            end(&totals, out);
        }
        Ok(())
    }

    fn tells_ends(&self) -> bool {
        true
    }

    fn totals(&self) -> &'static [&'static str] {
        &[TOTALS]
    }
}

/// The last that is said of a process. Said twice (by the ring and by a sweep), it says the same.
fn end(totals: &MemTotals, out: &mut Decoded) {
    out.facts.push(met(&totals.task));
    out.facts.push(fact(totals));
    out.facts.push(Observation::Process(ProcessFact::Ended { id: totals.task.id, at: totals.ended }));
    out.remove.push((TOTALS, key(totals.task.id)));
}

fn fact(totals: &MemTotals) -> Observation {
    // Below zero only while threads of the process are between a change and its record.
    let positive = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
    Observation::Mem(MemFact::Totals {
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

fn met(task: &TaskRecord) -> Observation {
    let length = task.comm.iter().position(|byte| *byte == 0).unwrap_or(COMM_LEN);
    Observation::Process(ProcessFact::Met {
        id: task.id,
        comm: task.comm[..length].to_vec(),
        uid: task.uid,
        kernel_thread: task.kernel_thread != 0,
    })
}

/// A process's key in the maps, as the kernel side lays it out.
fn key(id: TaskId) -> Vec<u8> {
    [id.start.to_ne_bytes(), id.tgid.to_ne_bytes()].concat()
}

/// Takes a record apart, member after member in the order of its declaration. The size has been checked: reading past
/// the end gives zeroes.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn of(what: &str, bytes: &'a [u8], size: usize) -> Result<Self, Malformed> {
        if bytes.len() == size {
            Ok(Self { rest: bytes })
        } else {
            Err(Malformed { text: format!("mem {what} of {} bytes, expected {size}", bytes.len()) })
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let Some((head, rest)) = self.rest.split_first_chunk() else {
            return [0; N];
        };
        self.rest = rest;
        *head
    }

    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.bytes())
    }

    fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.bytes())
    }

    fn i64(&mut self) -> i64 {
        i64::from_ne_bytes(self.bytes())
    }

    fn header(&mut self) -> RecordHeader {
        RecordHeader { kind: self.u32(), size: self.u32(), at: self.u64() }
    }

    fn task(&mut self) -> TaskRecord {
        TaskRecord {
            id: TaskId { start: self.u64(), tgid: self.u64() },
            comm: self.bytes(),
            uid: self.u32(),
            kernel_thread: self.u32(),
        }
    }

    fn totals(&mut self) -> MemTotals {
        MemTotals {
            task: self.task(),
            mapped: self.i64(),
            mapped_file: self.i64(),
            reserved: self.i64(),
            private_file: self.i64(),
            protected: self.i64(),
            base: self.i64(),
            now: self.i64(),
            brk: self.u64(),
            ended: self.u64(),
            peak: self.u64(),
            announced: self.u64(),
        }
    }

    fn task_counters(&mut self) -> MemTaskRecord {
        MemTaskRecord {
            task: self.task(),
            rss: [self.i64(), self.i64(), self.i64(), self.i64()],
            total_vm: self.u64(),
            data_vm: self.u64(),
            page_tables: self.u64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TaskId = TaskId { start: 5_000, tgid: 42 };

    fn task(comm: &[u8]) -> Vec<u8> {
        let mut bytes = key(ID);
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
                Observation::Mem(MemFact::Totals { id, totals }) if *id == ID => Some(*totals),
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
        assert_eq!(out.read, [(TOTALS, key(ID))]);
        assert!(out.remove.is_empty());
    }

    #[test]
    fn an_end_is_final_and_removes_the_entry() {
        let mut out = Decoded::default();
        let bytes = record(MEM_ENDED, [64, 0, 0, 0, 0, 100, 164, 0, 9_000, 8_192, 3]);
        MemDecoder::new(4096).record(&bytes, &mut out).expect("a whole record");
        assert_eq!(found(&out).peak, Some(8_192));
        assert_eq!(out.remove, [(TOTALS, key(ID))]);
        assert!(out.read.is_empty());
        assert!(out.facts.contains(&Observation::Process(ProcessFact::Ended { id: ID, at: 9_000 })));
    }

    #[test]
    fn an_end_that_the_ring_lost_is_found_by_the_sweep() {
        let mut out = Decoded::default();
        let bytes = totals([64, 0, 0, 0, 0, 0, 64, 0, 9_000, 0, 3]);
        MemDecoder::new(4096).entry(TOTALS, &key(ID), &bytes, &mut out).expect("a whole entry");
        assert_eq!(found(&out).mapped, 64);
        assert_eq!(out.remove, [(TOTALS, key(ID))]);
    }

    #[test]
    fn threads_without_their_leader_are_one_process() {
        let mut bytes = task(b"workers");
        bytes.extend([3_i64, 2, -1, 0, 100, 50, 4096].iter().flat_map(|member| member.to_ne_bytes()));
        let twice = [bytes.clone(), bytes].concat();
        let mut out = Decoded::default();
        MemDecoder::new(4096).pass(PASS, &twice, &mut out).expect("whole records");
        let memory = Memory { file: 12_288, anon: 8_192, swap: -4_096, shmem: 0, virt: 409_600 };
        assert_eq!(
            out.facts,
            [
                Observation::Process(ProcessFact::Met {
                    id: ID,
                    comm: b"workers".to_vec(),
                    uid: 1000,
                    kernel_thread: false
                }),
                Observation::Mem(MemFact::Counters { id: ID, memory, page_tables: 4096 }),
            ]
        );
    }

    #[test]
    fn counters_that_were_not_read_are_asked_for_and_never_zero() {
        let mut bytes = task(b"workers");
        bytes.extend([0_i64, 0, 0, 0, 100, 50, 4096].iter().flat_map(|member| member.to_ne_bytes()));
        let mut out = Decoded::default();
        MemDecoder::new(4096).pass(UNCOUNTED, &bytes, &mut out).expect("whole records");
        assert_eq!(out.uncounted, [(ID, 4096)]);
        assert!(!out.facts.iter().any(|fact| matches!(fact, Observation::Mem(_))));
    }

    #[test]
    fn bytes_of_another_version_are_refused() {
        let mut decoder = MemDecoder::new(4096);
        let mut out = Decoded::default();
        assert!(decoder.record(&[0; 143], &mut out).is_err());
        assert!(decoder.record(&record(77, [0; 11]), &mut out).is_err());
        assert!(decoder.pass(PASS, &[0; 95], &mut out).is_err());
        assert!(decoder.entry(TOTALS, &[0; 8], &[0; 128], &mut out).is_err());
        assert!(decoder.entry(TOTALS, &key(ID), &[0; 127], &mut out).is_err());
    }
}
