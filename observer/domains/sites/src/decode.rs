//! Takes the records of the sites object. They hold bytes of stacks, so no fact is made of them here: the domain's
//! reader unwinds them first.

use observer_common::{
    names::{MapName, ProgramName},
    sites::{FaultHead, PYTHON_FRAMES, PythonFrame, SITES_FAULT},
};
use observer_core::{
    bytes,
    domain::{Decode, Decoded, Malformed},
};

/// A fault as the kernel reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFault {
    pub head: FaultHead,
    /// Frames of Python, innermost first.
    pub python: Vec<PythonFrame>,
    /// The stack from the stack pointer on.
    pub stack: Vec<u8>,
}

/// The decoder of the sites object's records. It keeps nothing.
#[derive(Debug)]
pub struct SitesDecoder;

impl Decode for SitesDecoder {
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let (head, stack) = bytes::read_front::<FaultHead>("a fault", bytes)?;
        let malformed =
            || Malformed { text: format!("a record of kind {} and {} bytes", head.header.kind, bytes.len()) };
        if head.header.kind != SITES_FAULT || head.header.size as usize != bytes.len() {
            return Err(malformed());
        }
        let (python, stack) = bytes::read_front::<[PythonFrame; PYTHON_FRAMES]>("frames of Python", stack)?;
        let python = python.get(..head.python_frames as usize).ok_or_else(malformed)?.to_vec();
        let stack = stack.get(..head.stack_bytes as usize).ok_or_else(malformed)?.to_vec();
        let left = out.left.get_or_insert_with(|| Box::new(Vec::<RawFault>::new()));
        if let Some(faults) = left.downcast_mut::<Vec<RawFault>>() {
            faults.push(RawFault { head, python, stack });
        }
        Ok(())
    }

    fn scan(&mut self, program: ProgramName, _: &[u8], _: &mut Decoded) -> Result<(), Malformed> {
        Err(Malformed { text: format!("a scan of {program}, and sites has none") })
    }

    fn entry(&mut self, map: MapName, _: &[u8], _: &[u8], _: &mut Decoded) -> Result<(), Malformed> {
        Err(Malformed { text: format!("an entry of {map}, and sites has no totals") })
    }
}

#[cfg(test)]
mod tests {
    use observer_common::{
        record::RecordHeader,
        sites::{FaultRecord, STACK_BYTES},
        task::TaskId,
    };
    use zerocopy::IntoBytes as _;

    use super::*;

    #[test]
    fn a_record_has_as_much_of_a_stack_as_it_says() {
        let header = RecordHeader { kind: SITES_FAULT, size: size_of::<FaultRecord>() as u32, at: 7 };
        let id = TaskId { start: 5, tgid: 42 };
        let head = FaultHead { header, id, stack_bytes: 16, python_frames: 2, ..FaultHead::default() };
        let frame = PythonFrame { code: 3, instruction: 4 };
        let mut record = FaultRecord { head, python: [frame; PYTHON_FRAMES], stack: [9; STACK_BYTES] };
        let mut out = Decoded::default();
        for _ in 0..2 {
            SitesDecoder.record(record.as_bytes(), &mut out).expect("a whole record");
        }
        let faults =
            out.left.take().expect("it is left to the reader").downcast::<Vec<RawFault>>().expect("faults");
        assert_eq!(*faults, vec![RawFault { head, python: vec![frame; 2], stack: vec![9; 16] }; 2]);
        assert!(out.facts.is_empty(), "no bytes of a stack are in a fact");
        record.head.stack_bytes = STACK_BYTES as u32 + 1;
        assert!(SitesDecoder.record(record.as_bytes(), &mut out).is_err());
        record.head = FaultHead { python_frames: PYTHON_FRAMES as u32 + 1, ..head };
        assert!(SitesDecoder.record(record.as_bytes(), &mut out).is_err());
        assert!(SitesDecoder.record(&record.as_bytes()[..100], &mut out).is_err());
    }
}
