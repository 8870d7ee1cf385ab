//! Narrows, groups, sorts and cuts a report as the command line asked.
