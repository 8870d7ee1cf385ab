//! The kernel side of the net domain for kernels before 5.12. Their programs may neither store anything in a socket nor
//! follow the current task or what a descriptor stands for by direct loads: what is remembered of a socket is in a map,
//! and kernel memory is probed. The rest is in `net/mod.rs`, as that of `net.rs` is.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

#[path = "net/probing.rs"]
mod access;
#[path = "net/in_map.rs"]
mod kept;
#[path = "net/mod.rs"]
mod net;
