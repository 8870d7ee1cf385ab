//! The programs of the disk domain, and the maps that user space opens.

/// Names every program of the domain once; `$with` makes constants of them or checks that they exist.
#[macro_export]
macro_rules! disk_programs {
    ($with:path) => {
        $with! {
            DESCRIPTOR: disk_file;
            DESCRIPTOR_TABLE: disk_descriptor_table;
            MAPPING: disk_mapping;
            MAPPING_STACKED: disk_mapping_stacked;
            MAPPER: disk_mapper;
            EXECUTABLE: disk_executable;
            INDIRECT: disk_indirect;
            INODE_LIST: disk_inode_list;
            PATH: disk_path;
            WRITER: disk_task;
            CHANGED: disk_changed;
            UNCHANGED: disk_unchanged;
            SET: disk_set;
            DROPPED: disk_dropped;
            DROPPED_PROBING: disk_dropped_probing;
            EXT4_UNLINK: disk_ext4_unlink;
            EXT4_UNLINK_PROBING: disk_ext4_unlink_probing;
            DELAYED_WRITE: disk_delayed_write;
            DELAYED_WRITE_PROBING: disk_delayed_write_probing;
            WRITE: disk_write;
            WRITE_PROBING: disk_write_probing;
            JOURNALLED_WRITE: disk_journalled_write;
            JOURNALLED_WRITE_PROBING: disk_journalled_write_probing;
            FALLOCATE: disk_fallocate;
            FALLOCATE_PROBING: disk_fallocate_probing;
            RESERVE: disk_reserve;
            RESERVE_PROBING: disk_reserve_probing;
            TRUNCATE: disk_truncate;
            TRUNCATE_PROBING: disk_truncate_probing;
            DIRTY: disk_dirty;
            DIRTY_PROBING: disk_dirty_probing;
            JOURNAL: disk_journal;
            JOURNAL_PROBING: disk_journal_probing;
            EVICT: disk_evict;
            IOMAP: disk_iomap;
            CHANGE_TIME: disk_change_time;
            CHANGE_TIME_SET: disk_change_time_set;
            BTRFS_EXTENT: disk_btrfs_extent;
            DIRTY_PAGES: disk_dirty_pages;
            DIRTY_PAGES_PROBING: disk_dirty_pages_probing;
        }
    };
}

/// Names every map of the domain that user space opens.
#[macro_export]
macro_rules! disk_maps {
    ($with:path) => {
        $with! {
            FILES: FILES;
            WRITTEN: WRITTEN;
            FREED: FREED;
            DELETIONS: DELETIONS;
            ACCOUNTED: ACCOUNTED;
            ASKED: ASKED;
        }
    };
}

disk_programs!(crate::program_names);
disk_maps!(crate::map_names);
