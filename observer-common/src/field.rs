//! Kernel fields by name: declared once, resolved in the running kernel's BTF by user space, read by the kernel side
//! through a frozen global of the same name.
//!
//! A path is `type.member.member…`. Anonymous structs and unions are searched too, an array in the middle means its
//! first element, `type.member[]` is the size of one element of that array, and ` | ` separates the paths of
//! different kernels, tried in order. The width is that of the member in bytes (0: not checked).

/// The value of a global whose field this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// One field: the global that receives its byte offset, its path, its width.
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
