//! Passes type ids to the loader in the only form that it accepts: type information.
//!
//! The loader looks a name up in BTF to find its id. The ids are known already (from the cache, or from the one read
//! of the kernel's types). So it gets made-up types: exactly these names have exactly these ids, with fillers before
//! and between them. That takes some milliseconds; the kernel's own types take forty, and as many megabytes.

use aya::{Btf, BtfError, Endianness};

use super::{
    btf::{
        Named,
        layout::{MAGIC, kind},
    },
    types::{KernelTypes, type_name},
};
use observer_core::hook::Point;

/// Bytes of a type's description that has no members.
const SIZE: usize = 12;

/// Types in which each of `points` has the id that it has in the running kernel.
///
/// # Errors
/// When the loader rejects them: a mismatch of versions.
pub fn attach_types(types: &KernelTypes, points: impl Iterator<Item = Point>) -> Result<Btf, BtfError> {
    Btf::parse(&encoded(types, points), Endianness::default())
}

fn encoded(types: &KernelTypes, points: impl Iterator<Item = Point>) -> Vec<u8> {
    let mut named: Vec<(u32, u32, String)> = points
        .filter_map(|point| {
            let (named, name) = type_name(point);
            let kind = match named {
                Named::Function => kind::FUNCTION,
                Named::Typedef => kind::TYPEDEF,
                Named::Struct | Named::Enum => return None,
            };
            Some((types.id(point)?, kind, name))
        })
        .collect();
    named.sort_unstable();
    named.dedup();
    let mut strings = vec![0];
    let mut body = Vec::new();
    for (id, kind, name) in named {
        let filled = (id as usize).saturating_sub(1) * SIZE;
        // Two names for one id: one is enough.
        if body.len() > filled {
            continue;
        }
        body.extend(described(0, kind::FORWARD).repeat((filled - body.len()) / SIZE));
        body.extend(described(strings.len() as u32, kind));
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
    }
    let header =
        [24, 0, body.len() as u32, body.len() as u32, strings.len() as u32].map(u32::to_ne_bytes).concat();
    [&MAGIC.to_ne_bytes()[..], &[1, 0], &header, &body, &strings].concat()
}

/// A type of this kind without anything else; its name is at `name` in the strings.
fn described(name: u32, kind: u32) -> Vec<u8> {
    [name, kind << 24, 0].map(u32::to_ne_bytes).concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{btf, types::PointType};

    #[test]
    fn each_attach_point_has_its_id_and_no_type_follows_the_last() {
        let points = [Point::Iterator("task"), Point::BtfTracepoint("sys_exit"), Point::Fexit("drop_nlink")];
        let ids = [64_228, 17_585, 1];
        let mut types = KernelTypes::default();
        for (point, id) in points.iter().zip(ids) {
            types.points.insert(type_name(*point).1, PointType { id, ..PointType::default() });
        }
        // One that this kernel lacks, and one that is asked for twice.
        let asked = points.into_iter().chain([Point::Iterator("tcp"), points[1]]);
        let bytes = encoded(&types, asked);
        let wanted = points.map(type_name);
        let wanted: Vec<(Named, &str)> = wanted.iter().map(|(named, name)| (*named, name.as_str())).collect();
        let read = btf::Btf::parse(bytes.clone(), &wanted).expect("the bytes are type information");
        assert_eq!(
            wanted.iter().map(|(named, name)| read.id(*named, name)).collect::<Vec<_>>(),
            ids.map(Some)
        );
        assert!(bytes.len() < 64_228 * SIZE + 200, "{} bytes", bytes.len());
        assert!(Btf::parse(&bytes, Endianness::default()).is_ok());
    }
}
