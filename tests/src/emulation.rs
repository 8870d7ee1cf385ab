//! Emulated network paths: two network namespaces, a tun device in each, and a program between them that delays,
//! serialises, queues and loses packets like a link.
//!
//! It needs only namespaces and tun devices, and leaves nothing behind, because both belong to descriptors of the
//! processes that use them.

pub mod ends;
pub mod link;
pub mod namespace;
pub mod play;
pub mod random;
pub mod scenario;
pub mod table;
