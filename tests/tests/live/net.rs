//! What `net` says of workloads that know their own truth.
