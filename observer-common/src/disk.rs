//! The records, map values and kernel fields of the disk domain.

/// Names every kernel field of the domain once; `$with` makes a table of them (user space) or globals (kernel side).
#[macro_export]
macro_rules! disk_fields {
    ($with:path) => {
        $with! {}
    };
}

disk_fields!(crate::fields_as_table);
