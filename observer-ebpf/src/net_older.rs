//! The kernel side of the net domain for kernels before 5.12. Their programs may neither store anything in a socket nor
//! follow the current task or what a descriptor stands for by direct loads: what is remembered of a socket is in a map,
//! and kernel memory is probed. The rest is that of `net.rs`.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

#[path = "net/probing.rs"]
mod access;
#[path = "net/closed.rs"]
mod closed;
#[path = "net/flow.rs"]
mod flow;
#[path = "net/in_map.rs"]
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
