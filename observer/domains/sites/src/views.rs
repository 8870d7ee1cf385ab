//! The view of the sites domain.

use observer_core::view::View;

/// The command that has the view among its flags.
pub const COMMAND: &str = "mem";

/// Where in its code a process takes memory, and which of these places keep it.
pub const MEM_WHERE: View = View {
    flag: Some("where"),
    help: "Where in the code memory is taken, and where it is kept; without -p, of the processes that grow most. Sampled: \
           fresh pages by who touches them first",
    ..View::new("mem-where")
};

/// All views.
pub const ALL: &[View] = &[MEM_WHERE];
