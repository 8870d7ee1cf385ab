//! The log output of objects that were built to log (`cargo xtask ebpf --log`). The embedded objects have no log map.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// The log of one object, one line per message: `FILE:LINE: text`.
pub struct ProgramLog(EbpfLogger<Lines>);

/// Prints one line.
pub type Print = fn(&dyn std::fmt::Display);

struct Lines(Print);

impl ProgramLog {
    /// Takes over the object's log; `None` if it has none.
    pub fn of(ebpf: &mut Ebpf, print: Print) -> Option<Self> {
        EbpfLogger::init_with_logger(ebpf, Lines(print)).ok().map(Self)
    }

    /// Prints the messages since the last call.
    pub fn print(&mut self) {
        self.0.flush();
    }
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let (file, line) = (record.file().unwrap_or_default(), record.line().unwrap_or_default());
        (self.0)(&format_args!("{file}:{line}: {}", record.args()));
    }

    fn flush(&self) {}
}
