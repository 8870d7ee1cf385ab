//! The hooks of the mem domain, each with its alternatives, best first.

use observer_common::names::mem as names;
use observer_core::hook::{Alternative, Hook, HookKind, Need, fexit, iterator, tracepoint};

/// The type of the resident counters in kernels before 6.2.
const COUNTERS: Need = Need::ProbingWhere { global: "MM_RSS_STRIDE", is: Some(8) };

/// The limitation of alternatives that cannot read the victim's counters when the kernel chooses it.
const HELD_BEFORE: &str = "the memory of the victim is that of the last report before it was chosen";

/// The domain's hooks.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: "mem.life",
        provides: "the start, exec and exit of every process",
        kind: HookKind::Event,
        alternatives: &[Alternative::new(
            "BTF tracepoints sched_process_fork, _exec, _exit",
            &[
                tracepoint(names::FORK, "sched_process_fork"),
                tracepoint(names::EXEC, "sched_process_exec"),
                tracepoint(names::EXIT, "sched_process_exit"),
            ],
        )],
        columns: &["mapped", "unmapped", "mapped_file", "reserved", "protected", "peak"],
    },
    Hook {
        name: "mem.mappings",
        provides: "what each process maps and unmaps by mmap, munmap, mremap and brk",
        kind: HookKind::Event,
        alternatives: &[
            Alternative::new(
                "fexit of the system calls",
                &[
                    fexit(names::MMAP, "__x64_sys_mmap"),
                    fexit(names::MUNMAP, "__x64_sys_munmap"),
                    fexit(names::MREMAP, "__x64_sys_mremap"),
                    fexit(names::BRK, "__x64_sys_brk"),
                    fexit(names::MPROTECT, "__x64_sys_mprotect"),
                    fexit(names::PKEY_MPROTECT, "__x64_sys_pkey_mprotect").optional(),
                    fexit(names::MMAP_32, "__ia32_sys_mmap_pgoff").optional(),
                    fexit(names::MMAP_OLD, "__ia32_compat_sys_ia32_mmap").optional(),
                    fexit(names::MUNMAP_32, "__ia32_sys_munmap").optional(),
                    fexit(names::MREMAP_32, "__ia32_sys_mremap").optional(),
                    fexit(names::BRK_32, "__ia32_sys_brk").optional(),
                    fexit(names::MPROTECT_32, "__ia32_sys_mprotect").optional(),
                    fexit(names::PKEY_MPROTECT_32, "__ia32_sys_pkey_mprotect").optional(),
                ],
            )
            .needing(&[Need::Helper("get_current_task_btf")]),
            Alternative::new("BTF tracepoint sys_exit", &[tracepoint(names::SYS_EXIT, "sys_exit")])
                .needing(&[Need::Helper("get_current_task_btf")]),
            Alternative::new(
                "BTF tracepoint sys_exit, probe reads",
                &[tracepoint(names::SYS_EXIT_PROBING, "sys_exit")],
            )
            .needing(&[Need::Probing]),
        ],
        columns: &["mapped", "unmapped", "mapped_file", "reserved", "protected"],
    },
    Hook {
        name: "mem.oom",
        provides: "which process is killed because memory ran out",
        kind: HookKind::Event,
        alternatives: &[
            Alternative::new("BTF tracepoint mark_victim", &[tracepoint(names::OOM, "mark_victim")])
                .needing(&[Need::Helper("get_current_task_btf"), COUNTERS]),
            Alternative::new(
                "BTF tracepoint mark_victim, probe reads",
                &[tracepoint(names::OOM_PROBING, "mark_victim")],
            )
            .needing(&[Need::Probing]),
            Alternative::new(
                "BTF tracepoint mark_victim, without counters",
                &[tracepoint(names::OOM_UNCOUNTED, "mark_victim")],
            )
            .needing(&[Need::Helper("get_current_task_btf")])
            .limited(HELD_BEFORE),
            Alternative::new(
                "BTF tracepoint mark_victim, process id only",
                &[tracepoint(names::OOM_NUMBER, "mark_victim")],
            )
            .needing(&[Need::Helper("get_current_task_btf")])
            .limited(HELD_BEFORE),
        ],
        columns: &[],
    },
    Hook {
        name: "mem.counters",
        provides: "resident, swapped and virtual memory of every process",
        kind: HookKind::Scan,
        alternatives: &[
            Alternative::new("BPF iterator task", &[iterator(names::TASK, "task")]).needing(&[COUNTERS]),
            Alternative::new(
                "BPF iterator task, counters from /proc",
                &[iterator(names::TASK_UNCOUNTED, "task")],
            )
            .limited("a process that exits while its counters are read has none in that report"),
        ],
        columns: &[
            "rss",
            "anon",
            "file",
            "shmem",
            "swap",
            "virt",
            "page_tables",
            "growth",
            "rate",
            "rate_low",
            "rate_high",
            "full_in",
            "full_in_low",
            "full_in_high",
        ],
    },
];
