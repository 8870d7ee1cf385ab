//! The programs of the sites domain, and the maps that user space opens.

/// Names every program of the domain once; `$with` makes constants of them or checks that they exist.
#[macro_export]
macro_rules! sites_programs {
    ($with:path) => {
        $with! {
            FAULT_USER: sites_fault_user;
            FAULT_USER_PROBING: sites_fault_user_probing;
            FAULT_KERNEL: sites_fault_kernel;
        }
    };
}

/// Names every map of the domain that user space opens.
#[macro_export]
macro_rules! sites_maps {
    ($with:path) => {
        $with! {
            PYTHON: SITES_PYTHON;
            WATCHED: SITES_WATCHED;
        }
    };
}

sites_programs!(crate::program_names);
sites_maps!(crate::map_names);
