//! What the disk domain attaches, alternatives in order.

use observer_core::hook::{Alternative, Attachment, Hook, HookKind, Need, Point};

const fn iterator(program: &'static str, target: &'static str) -> Attachment {
    Attachment { program, point: Point::Iterator(target), optional: false }
}

const fn tracepoint(program: &'static str, name: &'static str) -> Attachment {
    Attachment { program, point: Point::BtfTracepoint(name), optional: false }
}

const fn fexit(program: &'static str, function: &'static str) -> Attachment {
    Attachment { program, point: Point::Fexit(function), optional: false }
}

const fn optional(program: &'static str, name: &'static str) -> Attachment {
    Attachment { program, point: Point::BtfTracepoint(name), optional: true }
}

/// The domain's hooks.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: "disk.descriptors",
        provides: "which processes hold deleted files by descriptors, and how big these files are",
        kind: HookKind::Scan,
        alternatives: &[
            Alternative {
                name: "BPF iterator task, tables of descriptors, probing",
                // The second where a process holds more than the first can tell.
                programs: &[iterator("disk_tables", "task"), iterator("disk_file", "task_file")],
                needs: &[Need::Helper("loop"), Need::Probing],
                blind: "",
            },
            Alternative {
                name: "BPF iterator task_file",
                programs: &[iterator("disk_file", "task_file")],
                needs: &[],
                blind: "",
            },
        ],
        columns: &[
            "path",
            "size",
            "allocated",
            "reclaimable",
            "rate",
            "reclaim",
            "deleted_open",
            "unexplained",
        ],
    },
    Hook {
        name: "disk.mappings",
        provides: "which processes hold deleted files by mappings",
        kind: HookKind::ScanOnDemand,
        alternatives: &[
            Alternative {
                name: "BPF iterator task_vma, probing",
                programs: &[iterator("disk_mapping_stacked", "task_vma")],
                needs: &[Need::ProbingWhere { global: "BACKING_DENTRY", is: None }],
                blind: "",
            },
            Alternative {
                name: "BPF iterator task_vma",
                programs: &[iterator("disk_mapping", "task_vma")],
                needs: &[],
                blind: "a mapped file of an overlay is shown as the file of the filesystem below it",
            },
            Alternative {
                name: "BPF iterator task, mappings from /proc",
                programs: &[iterator("disk_mapper", "task")],
                needs: &[],
                blind: "a mapped file of an overlay that no descriptor holds is not seen, nor one whose filesystem its \
                        process sees no more",
            },
        ],
        // Rows whose only holder is a mapping are missing without it; no column is.
        columns: &[],
    },
    Hook {
        name: "disk.executables",
        provides: "which processes run deleted files",
        kind: HookKind::ScanOnDemand,
        alternatives: &[Alternative {
            name: "BPF iterator task",
            programs: &[iterator("disk_executable", "task")],
            needs: &[],
            blind: "",
        }],
        columns: &[],
    },
    Hook {
        name: "disk.carried",
        provides: "which deleted files are registered with io_uring, or wait in unix sockets",
        kind: HookKind::ScanOnDemand,
        alternatives: &[Alternative {
            name: "BPF iterator task_file, probing",
            programs: &[iterator("disk_carried", "task_file")],
            needs: &[Need::Helper("loop"), Need::Probing],
            blind: "",
        }],
        columns: &[],
    },
    Hook {
        name: "disk.inodes",
        provides: "deleted files that no process holds: behind loop devices, swapped to, opened by the kernel",
        kind: HookKind::ScanRarely,
        alternatives: &[Alternative {
            name: "the lists of all inodes, by BPF iterator task, probing",
            programs: &[iterator("disk_listed", "task")],
            needs: &[Need::Helper("loop"), Need::Probing],
            blind: "",
        }],
        columns: &[],
    },
    Hook {
        name: "disk.deletions",
        provides: "who deleted a file and when",
        kind: HookKind::Event,
        alternatives: &[
            Alternative {
                name: "BTF tracepoints of the change time of inodes (Linux 6.13)",
                programs: &[
                    tracepoint("disk_changed", "ctime_ns_xchg"),
                    tracepoint("disk_unchanged", "ctime_xchg_skip"),
                    tracepoint("disk_set", "inode_set_ctime_to_ts"),
                ],
                needs: &[Need::Helper("get_current_task_btf"), Need::Helper("task_pt_regs"), Need::Probing],
                blind: "",
            },
            Alternative {
                name: "return of drop_nlink, probing",
                programs: &[fexit("disk_dropped_probing", "drop_nlink")],
                needs: &[Need::Probing],
                blind: "",
            },
            Alternative {
                name: "return of drop_nlink",
                programs: &[fexit("disk_dropped", "drop_nlink")],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: "where more than 16,384 files are deleted between two reports, some have no known deleter",
            },
            Alternative {
                name: "BTF tracepoint ext4_unlink_exit",
                programs: &[tracepoint("disk_ext4_unlink", "ext4_unlink_exit")],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: "files on other filesystems than ext4, and files that a rename replaced, have no known deleter",
            },
            Alternative {
                name: "BTF tracepoint ext4_unlink_exit, probing",
                programs: &[tracepoint("disk_ext4_unlink_probing", "ext4_unlink_exit")],
                needs: &[Need::Probing],
                blind: "files on other filesystems than ext4, and files that a rename replaced, have no known deleter",
            },
        ],
        columns: &["deleted_by", "deleted_at"],
    },
    Hook {
        name: "disk.growth",
        provides: "which process makes which file of ext4 grow, and what deletions free",
        kind: HookKind::Event,
        alternatives: &[
            Alternative {
                name: "BTF tracepoints of ext4",
                programs: &[
                    tracepoint("disk_delayed_write", "ext4_da_write_end"),
                    tracepoint("disk_write", "ext4_write_end"),
                    tracepoint("disk_journalled_write", "ext4_journalled_write_end"),
                    tracepoint("disk_fallocate", "ext4_fallocate_enter"),
                    tracepoint("disk_reserve", "ext4_da_reserve_space"),
                    tracepoint("disk_truncate", "ext4_truncate_enter"),
                    tracepoint("disk_dirty", "ext4_mark_inode_dirty"),
                    optional("disk_journal", "ext4_journal_start_inode"),
                    tracepoint("disk_evict", "ext4_evict_inode"),
                ],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: "",
            },
            Alternative {
                name: "BTF tracepoints of ext4, probing",
                programs: &[
                    tracepoint("disk_delayed_write_probing", "ext4_da_write_end"),
                    tracepoint("disk_write_probing", "ext4_write_end"),
                    tracepoint("disk_journalled_write_probing", "ext4_journalled_write_end"),
                    tracepoint("disk_fallocate_probing", "ext4_fallocate_enter"),
                    tracepoint("disk_reserve_probing", "ext4_da_reserve_space"),
                    tracepoint("disk_truncate_probing", "ext4_truncate_enter"),
                    tracepoint("disk_dirty_probing", "ext4_mark_inode_dirty"),
                    optional("disk_journal_probing", "ext4_journal_start_inode"),
                    tracepoint("disk_evict", "ext4_evict_inode"),
                ],
                needs: &[Need::Probing],
                blind: "",
            },
        ],
        columns: &["files", "unexplained"],
    },
    Hook {
        name: "disk.work",
        provides: "which process works on which file of other filesystems",
        kind: HookKind::Event,
        // What neither tells is noted where a file with several writers is shown.
        alternatives: &[
            Alternative {
                name: "BTF tracepoints of iomap, of the change time of inodes (Linux 6.13), of dirty pages",
                programs: &[
                    tracepoint("disk_iomap", "iomap_iter"),
                    tracepoint("disk_touched", "ctime_ns_xchg"),
                    tracepoint("disk_touched_elsewhere", "inode_set_ctime_to_ts"),
                    tracepoint("disk_dirty_pages", "writeback_mark_inode_dirty"),
                ],
                needs: &[Need::Helper("get_current_task_btf"), Need::Helper("task_pt_regs")],
                blind: "",
            },
            Alternative {
                name: "BTF tracepoints of iomap and of dirty pages",
                programs: &[
                    tracepoint("disk_iomap", "iomap_iter"),
                    tracepoint("disk_dirty_pages", "writeback_mark_inode_dirty"),
                ],
                needs: &[Need::Helper("get_current_task_btf")],
                blind: "files in RAM are known only while they are deleted and held",
            },
            Alternative {
                name: "BTF tracepoint of dirty pages, probing",
                programs: &[tracepoint("disk_dirty_pages_probing", "writeback_mark_inode_dirty")],
                needs: &[Need::Probing],
                blind: "files in RAM are known only while they are deleted and held; several writers of a file of xfs are \
                        not told apart; files that are only ever written around the page cache are not known",
            },
        ],
        columns: &[],
    },
    Hook {
        name: "disk.writers",
        provides: "how much each process writes to storage",
        kind: HookKind::Scan,
        alternatives: &[Alternative {
            name: "BPF iterator task",
            programs: &[iterator("disk_task", "task")],
            needs: &[],
            blind: "",
        }],
        columns: &["written"],
    },
];
