//! Hands type ids to the loader in the only shape that it takes: type information.
//!
//! The loader looks a name up in BTF to learn its id. The ids are known already (from the cache, or from the one
//! reading of the kernel's types), so it is given types in which just these names stand at just these ids, and fillers
//! everywhere else. That takes a millisecond, where the kernel's own types take forty and as many megabytes.

use aya::{Btf, BtfError, Endianness};

use super::{
    btf::Named,
    facts::{KernelTypes, type_name},
};
use crate::hook::Point;

const FORWARD: u32 = 7;
const TYPEDEF: u32 = 8;
const FUNCTION: u32 = 12;

/// Types in which each of `points` has the id that it has in the running kernel.
///
/// # Errors
/// When the loader does not take them: a mismatch of versions.
pub fn attach_types(types: &KernelTypes, points: impl Iterator<Item = Point>) -> Result<Btf, BtfError> {
    let mut strings = vec![0];
    let mut words: Vec<u32> = [0, FORWARD << 24, 0].repeat(types.last_id as usize);
    for point in points {
        let (Some(id), (named, name)) = (types.id(point), type_name(point)) else { continue };
        let kind = match named {
            Named::Function => FUNCTION,
            Named::Typedef => TYPEDEF,
            Named::Struct | Named::Enum => continue,
        };
        let at = (id as usize).saturating_sub(1) * 3;
        if let Some(place) = words.get_mut(at..at + 3) {
            place.copy_from_slice(&[strings.len() as u32, kind << 24, 0]);
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
        }
    }
    let body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let header =
        [24, 0, body.len() as u32, body.len() as u32, strings.len() as u32].map(u32::to_ne_bytes).concat();
    let bytes = [&0xeb9f_u16.to_ne_bytes()[..], &[1, 0], &header, &body, &strings].concat();
    Btf::parse(&bytes, Endianness::default())
}
