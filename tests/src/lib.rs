//! Shared by the tests: running observer, starting workloads, reading reports.
