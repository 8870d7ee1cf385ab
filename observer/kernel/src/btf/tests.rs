//! Lookups in types that are written by hand, whole and damaged.

use super::{
    Btf, Named,
    field::FieldLocation,
    layout::{MAGIC, kind},
};

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
    let header =
        [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32].map(u32::to_ne_bytes).concat();
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
    assert_eq!(btf.locate("outer.a"), Some(FieldLocation { value: 0, width: 4 }));
    assert_eq!(btf.locate("outer.b"), Some(FieldLocation { value: 8, width: 8 }));
    assert_eq!(btf.locate("outer.pairs.y"), Some(FieldLocation { value: 20, width: 4 }));
    assert_eq!(btf.locate("outer.pairs[]"), Some(FieldLocation { value: 8, width: 8 }));
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
    assert_eq!(parsed().locate("outer.gone | outer.b"), Some(FieldLocation { value: 8, width: 8 }));
}

#[test]
fn a_missing_type_or_member_is_not_found() {
    let btf = parsed();
    assert_eq!(btf.locate("outer.gone"), None);
    assert_eq!(btf.locate("inner.a"), None);
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
        let location = btf.locate("outer.pairs.y");
        if names.contains(&at) {
            assert!(
                matches!(location, None | Some(FieldLocation { value: 20, width: 4 })),
                "byte {at}: {location:?}"
            );
        }
        // Damaged types may give any result, but must not panic.
        let _ = btf.locate("outer.pairs[]");
        let _ = btf.prototype(Named::Typedef, "happened");
        let _ = btf.enumerates("numbers", "ONE");
    }
}
