//! Numbers as people read them: binary units for bytes, decimal ones for bits, words for durations.
