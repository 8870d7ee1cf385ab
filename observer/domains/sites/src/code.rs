//! Which frames belong to an allocator, a runtime or a standard library: the site is the first frame that does not.
//!
//! The lists are of names that many programs have. A wrapper with another name is taken for the site itself, and the frame
//! that calls it is next in the path.

/// Libraries that allocate for others, by the start of their file's name.
const LIBRARIES: &[&str] = &[
    "ld-linux",
    "ld-musl",
    "libc++",
    "libc-",
    "libc.",
    "libgcc_s",
    "libjemalloc",
    "libm.",
    "libmimalloc",
    "libpthread",
    "libpython",
    "libstdc++",
    "libtcmalloc",
    "python3",
];

/// Functions that are linked into a program, by the start of their name.
const STARTS: &[&str] = &[
    "<alloc::",
    "<core::",
    "<hashbrown::",
    "<std::",
    "_GI_",
    "__gnu_cxx::",
    "__libc_",
    "__mem",
    "__rdl_",
    "__rg_",
    "__rust_",
    "__rustc",
    "_int_",
    "_mi_",
    "alloc::",
    "brk",
    "core::",
    "free",
    "hashbrown::",
    "je_",
    "mem",
    "mi_",
    "mmap",
    "operator new",
    "runtime.",
    "sbrk",
    "std::",
    "sysmalloc",
    "tc_",
    "tcmalloc",
];

/// Functions of allocators and their wrappers, by the end of their name: `xmalloc`, `g_malloc`, `zcalloc`.
const ENDS: &[&str] = &["aligned_alloc", "calloc", "malloc", "memalign", "realloc", "strdup", "strndup"];

/// Whether this file is one of an allocator, a runtime or a standard library. `path` is the one that the process has.
pub fn is_runtime_library(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    LIBRARIES.iter().any(|library| name.starts_with(library.as_bytes())) || path.starts_with(b"[")
}

/// Whether this file is a Python interpreter.
pub fn is_python(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.starts_with(b"python3") || name.starts_with(b"libpython")
}

/// Whether a function with this demangled name is one of an allocator, a runtime or a standard library.
pub fn is_runtime_function(name: &str) -> bool {
    // C++ puts the result of a template before its name.
    let name = name.strip_prefix("void ").unwrap_or(name);
    let base = name.split(['(', '<', '@']).next().unwrap_or(name);
    STARTS.iter().any(|start| name.starts_with(start)) || ENDS.iter().any(|end| base.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::{is_runtime_function, is_runtime_library};

    #[test]
    fn allocators_and_standard_libraries_are_no_sites() {
        for name in [
            "malloc",
            "xmalloc",
            "_int_malloc",
            "alloc::raw_vec::RawVec<T,A>::grow_one",
            "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
            "std::vector<int, std::allocator<int> >::push_back(int const&)",
            "void std::vector<int>::_M_realloc_insert<int>(int&&)",
            "operator new(unsigned long)",
            "memset",
            "runtime.mallocgc",
            "__memset_avx2_unaligned_erms",
        ] {
            assert!(is_runtime_function(name), "{name}");
        }
        for name in ["remember", "leak::grow", "cache_insert", "Cache::insert(std::string const&)", "fresh"] {
            assert!(!is_runtime_function(name), "{name}");
        }
        for path in
            ["/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/libjemalloc.so.2", "[vdso]", "/usr/bin/python3.11"]
        {
            assert!(is_runtime_library(path.as_bytes()), "{path}");
        }
        for path in ["/usr/bin/redis-server", "/opt/libcache.so", "/usr/lib/libcrypto.so.3"] {
            assert!(!is_runtime_library(path.as_bytes()), "{path}");
        }
    }
}
