//! Where a field of a kernel structure is, and how wide it is.

use super::{
    Btf, MAX_DEPTH, Named,
    layout::kind::{STRUCT, UNION},
};

/// A resolved field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FieldLocation {
    /// Bytes from the start of the outermost type; for `type.member[]` the size of an element.
    pub value: u32,
    /// Bytes.
    pub width: u32,
}

/// As data: `at 1256, 4 wide`.
impl From<FieldLocation> for String {
    fn from(location: FieldLocation) -> Self {
        format!("at {}, {} wide", location.value, location.width)
    }
}

/// A text that is not the location of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the location of a field")]
pub struct NoLocation(String);

impl TryFrom<String> for FieldLocation {
    type Error = NoLocation;

    fn try_from(text: String) -> Result<Self, NoLocation> {
        let parts = text.strip_prefix("at ").and_then(|text| text.strip_suffix(" wide"));
        let numbers = parts.and_then(|parts| parts.split_once(", "));
        let location = numbers
            .and_then(|(value, width)| Some(Self { value: value.parse().ok()?, width: width.parse().ok()? }));
        location.ok_or(NoLocation(text))
    }
}

impl Btf {
    /// The location of the field at a path, as `observer_common::field` describes paths; `None` if this kernel lacks a
    /// type or member of it.
    pub fn locate(&self, path: &str) -> Option<FieldLocation> {
        path.split(" | ").find_map(|shape| self.locate_shape(shape))
    }

    fn locate_shape(&self, path: &str) -> Option<FieldLocation> {
        let (path, is_element) = path.strip_suffix("[]").map_or((path, false), |path| (path, true));
        let (root, members) = path.split_once('.')?;
        let (offset, id) = self.ids(Named::Struct, root).iter().find_map(|id| self.member(*id, members))?;
        if is_element {
            let size = self.size(self.array(id)?, 0).unwrap_or(0);
            return Some(FieldLocation { value: size, width: size });
        }
        Some(FieldLocation { value: offset, width: self.size(id, 0).unwrap_or(0) })
    }

    /// Offset and type of the dotted `members` within the struct, union or array `id`.
    fn member(&self, id: u32, members: &str) -> Option<(u32, u32)> {
        let (name, rest) = members.split_once('.').map_or((members, None), |(name, rest)| (name, Some(rest)));
        let (offset, id) = self.direct(id, name.as_bytes(), 0)?;
        let Some(rest) = rest else { return Some((offset, id)) };
        let (inner, id) = self.member(id, rest)?;
        Some((offset.checked_add(inner)?, id))
    }

    /// Offset and type of the member `name`, including those of anonymous structs and unions.
    fn direct(&self, id: u32, name: &[u8], depth: usize) -> Option<(u32, u32)> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut id = self.bare(id);
        if let Some(element) = self.array(id) {
            id = self.bare(element);
        }
        let begin = self.begin(id)?;
        let info = self.word(begin + 4);
        if !matches!(info >> 24 & 31, STRUCT | UNION) {
            return None;
        }
        for index in 0..(info & 0xffff) as usize {
            let member = begin + 12 + index * 12;
            let bits =
                if info >> 31 == 1 { self.word(member + 8) & 0x00ff_ffff } else { self.word(member + 8) };
            let (found, of) = (self.name(self.word(member)), self.word(member + 4));
            if found == name {
                return Some((bits / 8, of));
            }
            if found.is_empty()
                && let Some((inner, of)) = self.direct(of, name, depth + 1)
            {
                return Some(((bits / 8).checked_add(inner)?, of));
            }
        }
        None
    }
}
