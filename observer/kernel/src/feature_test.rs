//! Feature tests: whether a kernel accepts a program shows only when one of two instructions is loaded, and dropped.

use std::os::fd::{FromRawFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::{declared::attachments, privilege, types::KernelTypes};
use observer_core::{domain::Declaration, hook::Point};

/// Why programs cannot be attached to functions, in words. As data it is only its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
#[error("{0}")]
pub struct NoTrampolines(pub String);

/// `BPF_PROG_LOAD`, `BPF_PROG_TYPE_TRACING`, `BPF_TRACE_FEXIT` of `linux/bpf.h`.
const PROGRAM_LOAD: libc::c_long = 5;
const TRACING: u32 = 26;
const TRACE_FEXIT: u32 = 25;

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`, up to the last member used here; the kernel takes the rest
/// as zero.
#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    program_type: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    btf: u32,
    function_info_size: u32,
    function_info: u64,
    function_infos: u32,
    line_info_size: u32,
    line_info: u64,
    line_infos: u32,
    attach_type_id: u32,
}

const _: () = assert!(size_of::<ProgramLoad>() == 112);

/// Whether a program can be attached to the return of a kernel function (and so to its entry).
///
/// # Errors
/// When the kernel rejects such a program, or has none of the functions.
pub fn trampolines(types: &KernelTypes, domains: &[&Declaration]) -> Result<(), NoTrampolines> {
    let functions = attachments(domains).map(|at| at.point);
    let mut functions = functions.filter(|point| matches!(point, Point::Fexit(_) | Point::Fentry(_)));
    let Some(id) = functions.find_map(|point| types.id(point)) else {
        return Err(NoTrampolines("this kernel has none of the functions".to_owned()));
    };
    privilege::raise_memory_lock_limit();
    // r0 = 0; exit
    let code: [u64; 2] = [0xb7, 0x95];
    let attributes = ProgramLoad {
        program_type: TRACING,
        instructions: code.len() as u32,
        code: code.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        attach_type: TRACE_FEXIT,
        attach_type_id: id,
        ..ProgramLoad::default()
    };
    // SAFETY: the attributes and what they point to live across the call, and their size is given.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, PROGRAM_LOAD, &raw const attributes, size_of::<ProgramLoad>())
    };
    if result < 0 {
        let rejection = std::io::Error::last_os_error();
        return Err(NoTrampolines(match rejection.raw_os_error() {
            Some(libc::EPERM) => {
                "the kernel rejects programs on functions (EPERM), though it accepts others".to_owned()
            }
            _ => format!("the kernel rejects programs on functions: {rejection}"),
        }));
    }
    // SAFETY: the call succeeded, so the result is a new descriptor that has no other owner.
    drop(unsafe { OwnedFd::from_raw_fd(result as i32) });
    Ok(())
}
