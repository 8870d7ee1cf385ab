//! The kernel side of the net domain for kernels from 5.12 on: what is remembered of a socket lives in the socket, and
//! kernel memory is read by direct loads. What the programs do is in `net/programs.rs`; `net_older.rs` makes the same
//! object for older kernels.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

#[path = "net/direct.rs"]
mod access;
#[path = "net/closed.rs"]
mod closed;
#[path = "net/flow.rs"]
mod flow;
#[path = "net/in_socket.rs"]
mod kept;
#[path = "net/life.rs"]
mod life;
#[path = "net/orders.rs"]
mod orders;
#[path = "net/pass.rs"]
mod pass;
#[path = "net/programs.rs"]
mod programs;
#[path = "net/share.rs"]
mod share;
#[path = "net/socket.rs"]
mod socket;
#[path = "net/storage.rs"]
mod storage;
#[path = "net/young.rs"]
mod young;
