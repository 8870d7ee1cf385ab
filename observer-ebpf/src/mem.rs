//! The kernel side of the mem domain.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

use observer_ebpf as _;
