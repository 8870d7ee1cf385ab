//! What managed runtimes know about their heaps, read from outside: without attaching, without stopping, without
//! loading anything into the process.
//!
//! A heap that is full looks flat from the kernel: a JVM at its `-Xmx` has constant resident memory while what lives
//! in it grows until it throws. The collector knows better. This crate reads what survived the last collection:
//!
//! | runtime | `live` is | read from |
//! | --- | --- | --- |
//! | HotSpot: Serial, Parallel, G1 | the old generation and the survivors after the last collection | the counters of `jstat`, in shared memory |
//! | Go 1.19 to 1.27 | the bytes that the last collection marked | `runtime.gcController` and `runtime.memstats`, by symbol or by the code that refers to them |
//! | CPython 3.8 to 3.13 | the small objects in use | the heads of the allocator's pools |
//!
//! What cannot be known has a [`Reason`], which is a sentence with a remedy. docs/runtimes.md has the details.
//!
//! ```no_run
//! use observer_runtimes::Finder;
//!
//! let mut finder = Finder::new("/".into());
//! if let Ok(Some(runtime)) = finder.find(4711) {
//!     match runtime.heap().and_then(|heap| heap.live) {
//!         Ok(bytes) => println!("{:?} {:?}: {bytes} bytes live", runtime.kind(), runtime.version()),
//!         Err(reason) => println!("{:?}: {reason}", runtime.kind()),
//!     }
//! }
//! ```
//!
//! **Cost.** [`Finder::find`] is for once per process: it opens the executable, and reads the mappings of a process
//! that is not a known binary. What an executable contains is kept, by the file's identity. [`Runtime::heap`] is for
//! every report: 64 KiB of reads for a JVM, ten short ones for Go, one per pool of 16 KiB (at most 8,192) for Python.
//!
//! **Danger.** The content is another program's. Every size and every pointer is checked, every loop has a bound. But
//! a page can be backed by a file system or a `userfaultfd` that never answers, and then a read waits for as long as
//! the process lives. Call from a thread that nothing waits for.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what is asked of other processes is asked here"
)]

mod elf;
mod finder;
mod go;
mod heap;
mod hotspot;
mod memory;
mod process;
mod python;

pub use self::{
    finder::{Finder, Runtime},
    heap::{Basis, Heap, Kind, Known, Reason},
};
