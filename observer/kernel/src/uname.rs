//! The release and build of the running kernel.

use std::path::Path;

/// Release and build of the running kernel, as `uname -r` and `uname -v` print them; empty if `/proc` below `root`
/// has no such file.
pub fn release(root: &Path) -> (String, String) {
    let read = |name: &str| {
        std::fs::read_to_string(root.join("proc/sys/kernel").join(name)).unwrap_or_default().trim().to_owned()
    };
    (read("osrelease"), read("version"))
}
