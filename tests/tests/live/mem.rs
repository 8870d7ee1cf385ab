//! What `mem` says of workloads that know their own truth.
