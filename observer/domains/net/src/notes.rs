//! The notes of the net domain.

observer_core::notes! {
    /// Notes of `net`; docs/notes.md describes each.
    pub enum NetNote {
        /// A process fills the queue of its link.
        QueueFilled = "queue-filled", Watch;
        /// The queues of some interfaces are not known.
        LinkQueuesUnknown = "link-queues-unknown", Info;
        /// Datagrams passed while senders and receivers were not watched.
        DatagramsUnseen = "datagrams-unseen", Info, incomplete;
    }
}
