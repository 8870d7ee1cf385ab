//! From a cgroup's path to the systemd unit and the container that it belongs to.
