//! Kernel fields by name: declared once, resolved in the running kernel's BTF by user space, read by the kernel side
//! through a frozen global of the same name.
//!
//! A path is `type.member.member…`; anonymous structs and unions are searched through, an array on the way is entered
//! at its first element, `type.member[]` is the size of one element of that array, and ` | ` separates the shapes that
//! different kernels have, tried in order. The width is that of the member in bytes (0: not checked).

/// The value of a global whose field this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// One field: which global receives its byte offset, where it is found, how wide it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub global: &'static str,
    pub path: &'static str,
    pub width: u32,
}

/// Turns a domain's list of fields into a table for user space.
#[macro_export]
macro_rules! fields_as_table {
    ($($global:ident: $path:literal, $width:literal;)*) => {
        /// The kernel fields that this domain's programs read.
        pub const FIELDS: &[$crate::field::Field] =
            &[$($crate::field::Field { global: stringify!($global), path: $path, width: $width }),*];
    };
}
