//! The codes of this domain's notes.

observer_core::note_codes! {
    QUEUE_FILLED: remark "queue-filled";
    LINK_QUEUES_UNKNOWN: remark "link-queues-unknown";
    DATAGRAMS_UNSEEN: gap "datagrams-unseen";
}
