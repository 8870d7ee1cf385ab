//! The codes of this domain's notes.

observer_core::note_codes! {
    MEM_TREND: remark "mem-trend";
    MEM_LIMIT: remark "mem-limit";
    MEM_ENDED: remark "mem-ended";
    MEM_OOM: remark "mem-oom";
    MEM_RESTART: remark "mem-restart";
    MEM_SLABS_READ_BEFORE: remark "mem-slabs-read-before";
    MEM_STALL: remark "mem-stall";
}
