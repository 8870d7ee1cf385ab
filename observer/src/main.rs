//! Exit codes and broken pipes; nothing else.

fn main() {}
