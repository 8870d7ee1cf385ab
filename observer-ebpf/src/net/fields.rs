//! The offsets of the kernel fields that the net domain reads.

use observer_common::net_fields;
use observer_ebpf::fields_as_globals;

net_fields!(fields_as_globals);
