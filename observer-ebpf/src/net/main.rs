//! The net domain's kernel object for kernels from 5.12 on: the memory of a socket is in the socket, and kernel
//! memory is read directly. `older.rs` makes the same programs for older kernels. Both objects have the same modules,
//! except the two that are renamed here: shared modules use them by the names `access` and `store`.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

mod actor;
mod closed;
mod control;
mod direct;
mod failed;
mod fields;
mod flow;
mod in_socket;
mod lifecycle;
mod memory;
mod programs;
mod recent;
mod scan;
mod share;
mod socket;
mod storage;

use direct as access;
use in_socket as store;
