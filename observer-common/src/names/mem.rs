//! The programs of the mem domain, and the maps that user space opens.

/// Names every program of the domain once; `$with` makes constants of them or checks that they exist.
#[macro_export]
macro_rules! mem_programs {
    ($with:path) => {
        $with! {
            FORK: mem_fork;
            EXEC: mem_exec;
            EXIT: mem_exit;
            MMAP: mem_mmap;
            MUNMAP: mem_munmap;
            MREMAP: mem_mremap;
            BRK: mem_brk;
            MPROTECT: mem_mprotect;
            PKEY_MPROTECT: mem_pkey_mprotect;
            MMAP_32: mem_mmap_32;
            MMAP_OLD: mem_mmap_old;
            MUNMAP_32: mem_munmap_32;
            MREMAP_32: mem_mremap_32;
            BRK_32: mem_brk_32;
            MPROTECT_32: mem_mprotect_32;
            PKEY_MPROTECT_32: mem_pkey_mprotect_32;
            SYS_EXIT: mem_sys_exit;
            SYS_EXIT_PROBING: mem_sys_exit_probing;
            OOM: mem_oom;
            OOM_PROBING: mem_oom_probing;
            OOM_UNCOUNTED: mem_oom_uncounted;
            OOM_NUMBER: mem_oom_number;
            TASK: mem_task;
            TASK_UNCOUNTED: mem_task_uncounted;
        }
    };
}

/// Names every map of the domain that user space opens.
#[macro_export]
macro_rules! mem_maps {
    ($with:path) => {
        $with! {
            TOTALS: MEM_TOTALS;
        }
    };
}

mem_programs!(crate::program_names);
mem_maps!(crate::map_names);
