//! The net domain's kernel object for kernels before 5.12. There, a program can neither store anything in a socket,
//! nor follow the current task or the object behind a descriptor by direct reads. So the memory of a socket is in a
//! map, and kernel memory is read by probe reads. Everything else is shared with the object of `main.rs`.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

mod actor;
mod closed;
mod control;
mod failed;
mod fields;
mod flow;
mod in_map;
mod lifecycle;
mod memory;
mod probing;
mod programs;
mod scan;
mod share;
mod socket;
mod storage;

use in_map as store;
use probing as access;
