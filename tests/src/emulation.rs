//! Paths through a network that does not exist: two network namespaces, a tun device in each, and a program between
//! them that delays, serialises, queues and loses packets as a link would.
//!
//! It needs nothing of the kernel but namespaces and tun devices, and leaves nothing behind: both belong to descriptors
//! of the processes that use them.

pub mod ends;
pub mod link;
pub mod namespace;
pub mod numbers;
pub mod play;
pub mod scenario;
pub mod table;
