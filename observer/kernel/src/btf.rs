//! The kernel's type information: where a field is, how wide it is, which id a function or tracepoint has.
//!
//! Reads only what the caller needs, in two passes over the types: one finds where each type begins, one finds names.
//! The format is `Documentation/bpf/btf.rst` of the kernel. An unknown kind is an error, because the types after it
//! cannot be located.

use std::{collections::HashMap, fmt, ops::Range, path::Path};

/// The kinds that are looked up by name or followed; numbers as in the format.
mod kind {
    pub const INT: u32 = 1;
    pub const POINTER: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FORWARD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNCTION: u32 = 12;
    pub const PROTOTYPE: u32 = 13;
    pub const VARIABLE: u32 = 14;
    pub const SECTION: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECLARATION_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

const HEADER: usize = 24;
const MAGIC: u16 = 0xeb9f;
/// Deeper nesting of typedefs, arrays and anonymous members means that the types are damaged.
const MAX_DEPTH: usize = 32;

/// A kind of BTF type that has a name, and that programs are attached to or read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Named {
    Struct,
    Typedef,
    Function,
    Enum,
}

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
    fn from(place: FieldLocation) -> Self {
        format!("at {}, {} wide", place.value, place.width)
    }
}

impl TryFrom<String> for FieldLocation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.strip_prefix("at ").and_then(|text| text.strip_suffix(" wide"));
        let numbers = parts.and_then(|parts| parts.split_once(", "));
        let place = numbers
            .and_then(|(value, width)| Some(Self { value: value.parse().ok()?, width: width.parse().ok()? }));
        place.ok_or_else(|| format!("`{text}` is not the location of a field"))
    }
}

/// Why the types could not be read or a field could not be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BtfError(String);

impl fmt::Display for BtfError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for BtfError {}

/// The types of one kernel.
pub struct Btf {
    bytes: Vec<u8>,
    strings: Range<usize>,
    /// Where each type begins; ids start at 1, as id 0 is `void`.
    begins: Vec<u32>,
    names: HashMap<(Named, Vec<u8>), Vec<u32>>,
}

impl Btf {
    /// Reads the types in `path`, ready to look up `wanted` names.
    ///
    /// # Errors
    /// When the file cannot be read, or is not BTF of this machine's byte order.
    pub fn open(path: &Path, wanted: &[(Named, &str)]) -> Result<Self, BtfError> {
        let bytes = std::fs::read(path).map_err(|error| BtfError(format!("{}: {error}", path.display())))?;
        Self::parse(bytes, wanted).map_err(|error| BtfError(format!("{}: {error}", path.display())))
    }

    /// As [`Self::open`], from bytes.
    ///
    /// # Errors
    /// When the bytes are not BTF of this machine's byte order.
    pub fn parse(bytes: Vec<u8>, wanted: &[(Named, &str)]) -> Result<Self, BtfError> {
        let damaged = |what: &str| BtfError(format!("no kernel type information: {what}"));
        if bytes.len() < HEADER {
            return Err(damaged("shorter than its header"));
        }
        if u16::from_ne_bytes([bytes[0], bytes[1]]) != MAGIC {
            return Err(damaged("the first bytes are not those of BTF in this machine's byte order"));
        }
        let word = |at: usize| {
            bytes
                .get(at..at + 4)
                .map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]) as usize)
        };
        let section = |offset: usize| -> Option<Range<usize>> {
            let base = word(4)?.checked_add(word(offset)?)?;
            let end = base.checked_add(word(offset + 4)?)?;
            (end <= bytes.len()).then_some(base..end)
        };
        let types = section(8).ok_or_else(|| damaged("its types extend beyond its end"))?;
        let strings = section(16).ok_or_else(|| damaged("its names extend beyond its end"))?;
        let begins = begins(&bytes, types)?;
        let mut btf = Self { bytes, strings, begins, names: HashMap::new() };
        btf.find(wanted);
        Ok(btf)
    }

    fn word(&self, at: usize) -> u32 {
        self.bytes.get(at..at + 4).map_or(0, |word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
    }

    fn find(&mut self, wanted: &[(Named, &str)]) {
        let mut names: HashMap<(Named, Vec<u8>), Vec<u32>> =
            wanted.iter().map(|(named, name)| ((*named, name.as_bytes().to_vec()), Vec::new())).collect();
        // A name is compared only if its offset holds the text of a wanted name: most types are neither structs nor
        // functions, and looking up a borrowed slice would need an owned key.
        let mut by_name: HashMap<&[u8], Vec<Named>> = HashMap::new();
        for (named, name) in wanted {
            by_name.entry(name.as_bytes()).or_default().push(*named);
        }
        for (index, begin) in self.begins.iter().enumerate() {
            let named = match self.word(*begin as usize + 4) >> 24 & 31 {
                kind::STRUCT => Named::Struct,
                kind::TYPEDEF => Named::Typedef,
                kind::FUNCTION => Named::Function,
                kind::ENUM => Named::Enum,
                _ => continue,
            };
            let name = self.name(self.word(*begin as usize));
            if by_name.get(name).is_some_and(|kinds| kinds.contains(&named))
                && let Some(ids) = names.get_mut(&(named, name.to_vec()))
            {
                ids.push(index as u32 + 1);
            }
        }
        self.names = names;
    }

    fn name(&self, offset: u32) -> &[u8] {
        let from = self.strings.start.saturating_add(offset as usize).min(self.strings.end);
        let rest = &self.bytes[from..self.strings.end];
        &rest[..rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len())]
    }

    /// The id of a wanted name; the first if the kernel has several.
    pub fn id(&self, named: Named, name: &str) -> Option<u32> {
        self.names.get(&(named, name.as_bytes().to_vec()))?.first().copied()
    }

    /// What the wanted function takes and returns, or what the wanted tracepoint passes to programs: each argument as
    /// its width in bits or the type that it points to, such as `sock *, 32, 32 -> 64`.
    pub fn prototype(&self, named: Named, name: &str) -> Option<String> {
        let mut at = self.begin(self.id(named, name)?)?;
        // The type of a tracepoint is a pointer to a function. The first argument of that function is the program's own
        // data.
        let own = usize::from(named == Named::Typedef);
        for _ in 0..MAX_DEPTH {
            let info = self.word(at + 4);
            if info >> 24 & 31 != kind::PROTOTYPE {
                at = self.begin(self.word(at + 8))?;
                continue;
            }
            let argument = |index: usize| self.described(self.word(at + 16 + index * 8));
            let count = (info & 0xffff) as usize;
            let arguments: Vec<String> = (own..count).map(argument).collect();
            let mut text = arguments.join(", ");
            let result = self.word(at + 8);
            if own == 0 && result != 0 {
                text.push_str(" -> ");
                text.push_str(&self.described(result));
            }
            return Some(text);
        }
        None
    }

    /// A type as a program sees a value of it: its width in bits, or the type that it points to.
    fn described(&self, id: u32) -> String {
        let id = self.bare(id);
        let named = |id: u32| {
            let begin = self.begin(id)?;
            let name = self.name(self.word(begin));
            (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
        };
        match self.kind(id) {
            Some(kind::POINTER) => {
                let to = self.bare(self.begin(id).map_or(0, |begin| self.word(begin + 8)));
                format!("{} *", named(to).unwrap_or_else(|| "void".to_owned()))
            }
            Some(kind::STRUCT | kind::UNION) => named(id).unwrap_or_else(|| "struct".to_owned()),
            _ => {
                let bits = self.size(id, 0).map(|bytes| u64::from(bytes) * 8);
                bits.map_or_else(|| "?".to_owned(), |bits| bits.to_string())
            }
        }
    }

    /// Whether the wanted enumeration has a value of this name.
    pub fn enumerates(&self, name: &str, value: &str) -> bool {
        let Some(begin) = self.id(Named::Enum, name).and_then(|id| self.begin(id)) else { return false };
        let count = (self.word(begin + 4) & 0xffff) as usize;
        (0..count).any(|index| self.name(self.word(begin + 12 + index * 8)) == value.as_bytes())
    }

    /// Resolves a path as `observer_common::field` describes it.
    ///
    /// # Errors
    /// The message names the type or member that this kernel lacks.
    pub fn place(&self, path: &str) -> Result<FieldLocation, BtfError> {
        let mut first = None;
        for shape in path.split(" | ") {
            match self.shape(shape) {
                Ok(place) => return Ok(place),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| BtfError(format!("`{path}` names no field"))))
    }

    fn shape(&self, path: &str) -> Result<FieldLocation, BtfError> {
        let (path, element) = path.strip_suffix("[]").map_or((path, false), |path| (path, true));
        let (root, members) =
            path.split_once('.').ok_or_else(|| BtfError(format!("`{path}` has no member")))?;
        let ids = self.names.get(&(Named::Struct, root.as_bytes().to_vec()));
        let ids = ids.filter(|ids| !ids.is_empty());
        let ids = ids.ok_or_else(|| BtfError(format!("this kernel has no `struct {root}`")))?;
        let found = ids.iter().find_map(|id| self.member(*id, members));
        let (offset, id) = found.ok_or_else(|| BtfError(format!("this kernel has no `{path}`")))?;
        if element {
            let array = self.array(id).ok_or_else(|| BtfError(format!("`{path}` is no array here")))?;
            let size = self.size(array, 0).unwrap_or(0);
            return Ok(FieldLocation { value: size, width: size });
        }
        Ok(FieldLocation { value: offset, width: self.size(id, 0).unwrap_or(0) })
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
        if !matches!(info >> 24 & 31, kind::STRUCT | kind::UNION) {
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

    fn begin(&self, id: u32) -> Option<usize> {
        self.begins.get((id as usize).checked_sub(1)?).map(|begin| *begin as usize)
    }

    fn kind(&self, id: u32) -> Option<u32> {
        Some(self.word(self.begin(id)? + 4) >> 24 & 31)
    }

    /// The type behind typedefs and qualifiers.
    fn bare(&self, mut id: u32) -> u32 {
        for _ in 0..MAX_DEPTH {
            match self.kind(id) {
                Some(kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG) => {
                    id = self.begin(id).map_or(0, |begin| self.word(begin + 8));
                }
                _ => return id,
            }
        }
        id
    }

    /// The element type of an array.
    fn array(&self, id: u32) -> Option<u32> {
        let begin = self.begin(self.bare(id))?;
        (self.kind(self.bare(id))? == kind::ARRAY).then(|| self.word(begin + 12))
    }

    fn size(&self, id: u32, depth: usize) -> Option<u32> {
        if depth > MAX_DEPTH {
            return None;
        }
        let id = self.bare(id);
        let begin = self.begin(id)?;
        match self.kind(id)? {
            kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 | kind::FLOAT => {
                Some(self.word(begin + 8))
            }
            kind::POINTER => Some(size_of::<usize>() as u32),
            kind::ARRAY => self.size(self.word(begin + 12), depth + 1)?.checked_mul(self.word(begin + 20)),
            _ => None,
        }
    }
}

/// Where each type begins.
fn begins(bytes: &[u8], types: Range<usize>) -> Result<Vec<u32>, BtfError> {
    let mut begins = Vec::with_capacity(types.len() / 24);
    let mut at = types.start;
    while at < types.end {
        let Some(word) = bytes.get(at + 4..at + 8) else {
            return Err(BtfError("the types end in the middle of one".to_owned()));
        };
        let info = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
        let count = (info & 0xffff) as usize;
        let more = match info >> 24 & 31 {
            kind::POINTER
            | kind::FORWARD
            | kind::TYPEDEF
            | kind::VOLATILE
            | kind::CONST
            | kind::RESTRICT
            | kind::FUNCTION
            | kind::FLOAT
            | kind::TYPE_TAG => 0,
            kind::INT | kind::VARIABLE | kind::DECLARATION_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::SECTION | kind::ENUM64 => count * 12,
            kind::ENUM | kind::PROTOTYPE => count * 8,
            unknown => {
                return Err(BtfError(format!("kind {unknown} of type {} is not known", begins.len() + 1)));
            }
        };
        begins.push(at as u32);
        at += 12 + more;
    }
    if at > types.end {
        return Err(BtfError("the last type extends beyond the end of the types".to_owned()));
    }
    Ok(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct outer { int a; struct { long b; struct pair { int x, y; } pairs[4]; }; }` and a function, by hand.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0long\0outer\0a\0b\0pair\0x\0y\0pairs\0run\0happened\0numbers\0ONE\0";
        let at = |name: &str| {
            let needle = [b"\0", name.as_bytes(), b"\0"].concat();
            strings.windows(needle.len()).position(|window| window == needle).map_or(0, |at| at as u32 + 1)
        };
        let mut words: Vec<u32> = Vec::new();
        words.extend([at("int"), kind::INT << 24, 4, 32]); // 1
        words.extend([at("long"), kind::INT << 24, 8, 64]); // 2
        words.extend([at("pair"), kind::STRUCT << 24 | 2, 8, at("x"), 1, 0, at("y"), 1, 32]); // 3
        words.extend([0, kind::ARRAY << 24, 0, 3, 1, 4]); // 4
        words.extend([0, kind::STRUCT << 24 | 2, 40, at("b"), 2, 0, at("pairs"), 4, 64]); // 5
        words.extend([at("outer"), kind::STRUCT << 24 | 2, 48, at("a"), 1, 0, 0, 5, 64]); // 6
        words.extend([0, kind::PROTOTYPE << 24 | 2, 2, 0, 9, 0, 1]); // 7
        words.extend([at("run"), kind::FUNCTION << 24, 7]); // 8
        words.extend([0, kind::POINTER << 24, 10]); // 9
        words.extend([0, kind::CONST << 24, 3]); // 10
        words.extend([0, kind::POINTER << 24, 7]); // 11
        words.extend([at("happened"), kind::TYPEDEF << 24, 11]); // 12
        words.extend([at("numbers"), kind::ENUM << 24 | 1, 4, at("ONE"), 1]); // 13
        let types: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let header = [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32]
            .map(u32::to_ne_bytes)
            .concat();
        [&MAGIC.to_ne_bytes()[..], &[1, 0], &header, &types, &strings[..]].concat()
    }

    fn parsed() -> Btf {
        let wanted = [
            (Named::Struct, "outer"),
            (Named::Function, "run"),
            (Named::Function, "nil"),
            (Named::Typedef, "happened"),
            (Named::Enum, "numbers"),
        ];
        Btf::parse(sample(), &wanted).expect("sample parses")
    }

    #[test]
    fn a_member_is_found_through_anonymous_structs_and_arrays() {
        let btf = parsed();
        assert_eq!(btf.place("outer.a"), Ok(FieldLocation { value: 0, width: 4 }));
        assert_eq!(btf.place("outer.b"), Ok(FieldLocation { value: 8, width: 8 }));
        assert_eq!(btf.place("outer.pairs.y"), Ok(FieldLocation { value: 20, width: 4 }));
        assert_eq!(btf.place("outer.pairs[]"), Ok(FieldLocation { value: 8, width: 8 }));
    }

    #[test]
    fn a_prototype_lists_the_arguments_of_a_program() {
        let btf = parsed();
        assert_eq!(btf.prototype(Named::Function, "run").as_deref(), Some("pair *, 32 -> 64"));
        assert_eq!(btf.prototype(Named::Typedef, "happened").as_deref(), Some("32"));
        assert_eq!(btf.prototype(Named::Function, "nil"), None);
        assert!(btf.enumerates("numbers", "ONE"));
        assert!(!btf.enumerates("numbers", "TWO"));
    }

    #[test]
    fn the_first_path_that_the_kernel_has_is_used() {
        assert_eq!(parsed().place("outer.gone | outer.b"), Ok(FieldLocation { value: 8, width: 8 }));
    }

    #[test]
    fn an_error_names_the_missing_type_or_member() {
        let btf = parsed();
        assert_eq!(btf.place("outer.gone").unwrap_err().to_string(), "this kernel has no `outer.gone`");
        assert_eq!(btf.place("inner.a").unwrap_err().to_string(), "this kernel has no `struct inner`");
        assert_eq!(btf.id(Named::Function, "nil"), None);
        assert_eq!(btf.id(Named::Function, "run"), Some(8));
    }

    /// Names that [`sample`] has, looked up in damaged copies of it.
    const WANTED: [(Named, &str); 3] =
        [(Named::Struct, "outer"), (Named::Typedef, "happened"), (Named::Enum, "numbers")];

    #[test]
    fn types_that_are_truncated_or_extend_too_far_are_an_error() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(Btf::parse(whole[..length].to_vec(), &WANTED).is_err(), "the first {length} bytes");
        }
        // The last type is an enumeration: it gets one more value than there are bytes for.
        let last = Btf::parse(whole.clone(), &WANTED).unwrap().id(Named::Enum, "numbers").unwrap();
        let begin = parsed().begin(last).unwrap();
        let mut bytes = whole;
        bytes[begin + 4..begin + 8].copy_from_slice(&(kind::ENUM << 24 | 2).to_ne_bytes());
        assert!(Btf::parse(bytes, &WANTED).is_err());
    }

    #[test]
    fn a_damaged_byte_is_an_error_or_a_missing_name_and_never_a_panic() {
        let whole = sample();
        let names = parsed().strings;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let read = Btf::parse(bytes, &WANTED);
            // The magic number, the offset and length of the types, and those of the names.
            if at < 2 || (4..24).contains(&at) {
                assert!(read.is_err(), "byte {at} of the header");
            }
            let Ok(btf) = read else {
                assert!(!names.contains(&at), "byte {at} is of a name");
                continue;
            };
            let place = btf.place("outer.pairs.y");
            if names.contains(&at) {
                assert!(
                    matches!(place, Err(_) | Ok(FieldLocation { value: 20, width: 4 })),
                    "byte {at}: {place:?}"
                );
            }
            // Damaged types may give any result, but must not panic.
            let _ = btf.place("outer.pairs[]");
            let _ = btf.prototype(Named::Typedef, "happened");
            let _ = btf.enumerates("numbers", "ONE");
        }
    }
}
