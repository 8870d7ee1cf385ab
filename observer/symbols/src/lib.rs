//! From addresses of a running process to frames, from outside: without stopping it, and without loading anything into
//! it.
//!
//! | step | type | reads |
//! | --- | --- | --- |
//! | which files are mapped where | [`Mapping`], by [`ProcessFiles`] | `/proc/PID/maps` |
//! | from registers and a copy of the stack to the addresses of a call path | [`Unwinder`] | `.eh_frame` of the mapped files |
//! | from a place in a file to functions and lines | [`Symbolizer`] | symbol tables and debug information |
//!
//! Unwinding needs no frame pointers, no symbols and no debug information: `.eh_frame` is part of what is loaded, so a
//! stripped binary has it. A file is opened through `/proc/PID/map_files`, which leads to the very file, also after it was
//! deleted or replaced, and in any container; without the capability for that, through `/proc/PID/root`.
//!
//! Not visible: code that a just-in-time compiler has written, beyond its address; functions of a binary without
//! `.eh_frame`, unless it keeps frame pointers; names and lines that only a debuginfod server has.
//!
//! **Bounds.** Files are another program's. Sections over a size are not read, names are printable and short, and what is
//! kept of files and answers is dropped when it is too much. framehop and blazesym are named in this crate only.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this crate reads the files that processes have mapped"
)]

mod elf;
mod frame;
mod mapping;
mod process;
mod symbolize;
mod unwind;

pub use self::{
    elf::{build_id, variable},
    frame::Frame,
    mapping::Mapping,
    process::{FileId, ProcessFiles},
    symbolize::Symbolizer,
    unwind::{Registers, Unwinder, Unwound},
};
