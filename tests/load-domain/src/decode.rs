//! From the bytes of the load object to facts.

use std::collections::BTreeMap;

use observer_common::{
    names::{MapName, ProgramName},
    task::TaskId,
};
use observer_core::{
    bytes::{self, met},
    domain::{Decode, Decoded, Malformed},
};

use crate::{ebpf::record::ThreadRecord, time};

/// Adds up threads; it keeps nothing.
#[derive(Debug)]
pub struct LoadDecoder;

impl Decode for LoadDecoder {
    fn record(&mut self, bytes: &[u8], _out: &mut Decoded) -> Result<(), Malformed> {
        Err(Malformed { text: format!("a record of {} bytes, and load has none", bytes.len()) })
    }

    fn scan(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let mut processes: BTreeMap<TaskId, (u64, u64)> = BTreeMap::new();
        for ThreadRecord { task, ran, ended } in bytes::records(program, bytes)? {
            let (living, gone) = processes.entry(task.id).or_insert_with(|| {
                out.facts.push(met(&task));
                (0, 0)
            });
            *living = living.saturating_add(ran);
            *gone = ended.max(*gone);
        }
        let facts =
            processes.into_iter().map(|(id, (living, gone))| time::fact(id, living.saturating_add(gone)));
        out.facts.extend(facts);
        Ok(())
    }

    fn entry(&mut self, map: MapName, _: &[u8], _: &[u8], _: &mut Decoded) -> Result<(), Malformed> {
        Err(Malformed { text: format!("an entry of {map}, and load has no totals") })
    }
}

#[cfg(test)]
mod tests {
    use observer_common::task::TaskRecord;
    use zerocopy::IntoBytes as _;

    use super::*;
    use crate::ebpf::record::THREAD;

    #[test]
    fn the_time_of_a_process_is_that_of_its_threads_and_of_those_that_ended() {
        let task = TaskRecord { id: TaskId { start: 5, tgid: 42 }, ..TaskRecord::default() };
        let threads = [ThreadRecord { task, ran: 10, ended: 7 }, ThreadRecord { task, ran: 100, ended: 7 }];
        let mut out = Decoded::default();
        LoadDecoder.scan(THREAD, threads.as_bytes(), &mut out).expect("whole records");
        assert_eq!(out.facts, [met(&task), time::fact(task.id, 117)]);
        assert!(LoadDecoder.scan(THREAD, &threads.as_bytes()[1..], &mut out).is_err());
    }
}
