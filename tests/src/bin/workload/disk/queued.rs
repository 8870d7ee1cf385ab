//! Asynchronous writes: aio, and io_uring within the call, by the polling thread, and by a worker.

use std::{fs::File, os::fd::AsRawFd as _};

use anyhow::{Result, bail, ensure};
use io_uring::{IoUring, opcode, squeue, types};

use super::unbuffered::{Aligned, direct};

/// `IOCB_CMD_PWRITE` of `linux/aio_abi.h`.
const PWRITE: u16 = 1;

/// `struct iocb` of `linux/aio_abi.h`, on a little-endian machine.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    how: i32,
    command: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Default)]
struct Event {
    data: u64,
    iocb: u64,
    result: i64,
    more: i64,
}

/// Writes `bytes` bytes at `end`. A name with `direct` means direct I/O: the file's end and the bytes must
/// be whole blocks.
pub fn write(file: &File, end: u64, way: &str, bytes: usize) -> Result<()> {
    let filling = Aligned::new(bytes);
    let written = match way {
        "aio" => aio(file, end, filling.bytes())?,
        "aio-direct" => aio(&direct(file)?, end, filling.bytes())?,
        "uring" => uring(IoUring::new(2)?, file, end, filling.bytes(), squeue::Flags::empty())?,
        "uring-worker" => uring(IoUring::new(2)?, file, end, filling.bytes(), squeue::Flags::ASYNC)?,
        "uring-polled" => {
            let ring = IoUring::builder().setup_sqpoll(10).build(2)?;
            uring(ring, file, end, filling.bytes(), squeue::Flags::empty())?
        }
        "uring-direct" => {
            uring(IoUring::new(2)?, &direct(file)?, end, filling.bytes(), squeue::Flags::empty())?
        }
        _ => bail!("no such way"),
    };
    if written < 0 {
        // The caller reports the error.
        return Err(std::io::Error::from_raw_os_error(-written as i32).into());
    }
    ensure!(written == bytes as i64, "{written} of {bytes} bytes");
    Ok(())
}

fn aio(file: &File, end: u64, filling: &[u8]) -> Result<i64> {
    let mut context = 0_u64;
    let mut event = Event::default();
    let mut iocb = Iocb {
        command: PWRITE,
        fd: file.as_raw_fd() as u32,
        buffer: filling.as_ptr() as u64,
        bytes: filling.len() as u64,
        offset: end as i64,
        ..Iocb::default()
    };
    let mut list = [&raw mut iocb];
    // SAFETY: everything that the calls are given lives until the event has been waited for.
    unsafe {
        if libc::syscall(libc::SYS_io_setup, 1, &raw mut context) < 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        let submitted = libc::syscall(libc::SYS_io_submit, context, 1, list.as_mut_ptr());
        let error = std::io::Error::last_os_error();
        let come = if submitted == 1 {
            let none = std::ptr::null_mut::<libc::timespec>();
            libc::syscall(libc::SYS_io_getevents, context, 1, 1, &raw mut event, none)
        } else {
            0
        };
        libc::syscall(libc::SYS_io_destroy, context);
        if submitted != 1 {
            return Err(error.into());
        }
        ensure!(come == 1, "io_getevents");
    }
    Ok(event.result)
}

fn uring(mut ring: IoUring, file: &File, end: u64, filling: &[u8], flags: squeue::Flags) -> Result<i64> {
    // Before Linux 5.11 a polling thread accepts only registered files.
    ring.submitter().register_files(&[file.as_raw_fd()])?;
    let entry = opcode::Write::new(types::Fixed(0), filling.as_ptr(), filling.len() as u32)
        .offset(end)
        .build()
        .flags(flags);
    // SAFETY: file and filling live until the completion has been waited for.
    unsafe { ring.submission().push(&entry)? };
    ring.submit_and_wait(1)?;
    Ok(ring.completion().next().map_or(-1, |completion| i64::from(completion.result())))
}
