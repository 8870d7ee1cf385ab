//! A loader that does not read the kernel's types.
//!
//! The loader's only constructor reads all of them, for relocations that these objects do not have: 43 ms, more than all
//! else that a start does, and 25 MB that stay with the process. It does without where it cannot read them, so it is made
//! while this process can open no file.

use aya::EbpfLoader;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A loader without the kernel's types. No other thread may need a new descriptor meanwhile: there is none at a start.
pub fn loader() -> EbpfLoader<'static> {
    let before = getrlimit(Resource::Nofile);
    let lowered = setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).is_ok();
    let mut loader = EbpfLoader::new();
    if lowered {
        // Up to the maximum, which was not touched, a limit may always be raised.
        let _ = setrlimit(Resource::Nofile, before);
    }
    // Where the limit was refused it has read them after all.
    loader.btf(None);
    loader
}
