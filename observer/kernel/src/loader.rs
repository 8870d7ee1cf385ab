//! A loader that does not read the kernel's types.
//!
//! The only constructor of aya's loader reads all types of the kernel, for relocations that these objects do not have.
//! That takes 43 ms, more than everything else at a start, and 25 MB that stay with the process. The loader works
//! without the types if it cannot open their file. No argument turns the reading off, and the path of the file is
//! fixed; so the constructor runs while this process may open no file.

use aya::EbpfLoader;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A loader without the kernel's types.
///
/// The limit of open files applies to all threads. So it is lowered only while this thread is the only one, for the
/// microseconds that the constructor takes. If there are other threads, the constructor reads the types: that costs
/// only time and memory.
pub fn loader() -> EbpfLoader<'static> {
    let before = getrlimit(Resource::Nofile);
    let lowered =
        is_only_thread() && setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).is_ok();
    let mut loader = EbpfLoader::new();
    if lowered {
        // A limit can always be raised again up to its maximum, which has not changed.
        let _ = setrlimit(Resource::Nofile, before);
    }
    // If the types were read, they are dropped here.
    loader.btf(None);
    loader
}

/// Whether this process has one thread; `false` where `/proc` does not list them.
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_stays_while_another_thread_runs() {
        // The test runner itself is another thread.
        let before = getrlimit(Resource::Nofile);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let opens = scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::fs::File::open("/proc/self/stat").expect("a descriptor is available at any time");
                }
            });
            assert!(!is_only_thread());
            let _ = loader();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            opens.join().expect("every file could be opened");
        });
        assert_eq!(getrlimit(Resource::Nofile), before);
    }
}
