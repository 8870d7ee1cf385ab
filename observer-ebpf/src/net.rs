//! The kernel side of the net domain for kernels from 5.12 on: what is remembered of a socket lives in the socket, and
//! kernel memory is read by direct loads. The rest is in `net/mod.rs`, of which `net_older.rs` makes the same for older
//! kernels.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

#[path = "net/direct.rs"]
mod access;
#[path = "net/in_socket.rs"]
mod kept;
#[path = "net/mod.rs"]
mod net;
