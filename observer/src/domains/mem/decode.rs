//! From the bytes of the mem object to facts.

use crate::domains::{Decode, Decoded, Malformed};

/// Decodes what the mem object writes.
#[derive(Debug, Default)]
pub struct MemDecoder;

impl Decode for MemDecoder {
    fn record(&mut self, _bytes: &[u8], _out: &mut Decoded) -> Result<(), Malformed> {
        Ok(())
    }

    fn pass(&mut self, _program: &str, _bytes: &[u8], _out: &mut Decoded) -> Result<(), Malformed> {
        Ok(())
    }

    fn entry(&mut self, _map: &str, _key: &[u8], _value: &[u8], _out: &mut Decoded) -> Result<(), Malformed> {
        Ok(())
    }

    fn totals(&self) -> &'static [&'static str] {
        &[]
    }
}
