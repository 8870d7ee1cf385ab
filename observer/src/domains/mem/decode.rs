//! From the bytes of the mem object to facts.

use crate::domains::{Decode, Decoded, Malformed};

/// Decodes what the mem object writes.
#[derive(Debug)]
pub struct MemDecoder {
    page_size: u64,
}

impl MemDecoder {
    /// For a machine with pages of `page_size` bytes.
    #[must_use]
    pub const fn new(page_size: u64) -> Self {
        Self { page_size }
    }
}

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
