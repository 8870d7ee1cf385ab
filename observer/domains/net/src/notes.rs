//! The notes of the net domain.

observer_core::notes! {
    /// Notes of `net`; docs/notes.md describes each.
    pub enum NetNote {
        /// A process fills the queue of its link.
        QueueFilled = "queue-filled", Watch;
        /// The queues of some interfaces are not known.
        LinkQueuesUnknown = "link-queues-unknown", Info;
        /// Datagrams were sent or received while send and receive hooks were not attached.
        DatagramsUnseen = "datagrams-unseen", Info, incomplete;
        /// Connections that a process began were not established.
        ConnectionsFailed = "connections-failed", Info;
        /// Several processes may have moved bytes of short connections.
        BytesShared = "bytes-shared", Info;
    }
}
