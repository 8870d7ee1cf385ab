//! What `disk` says of workloads that know their own truth.
