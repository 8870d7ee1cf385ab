//! Frames of CPython 3.8 to 3.13: where an interpreter keeps them, and what they are called.
//!
//! The kernel side reads which code objects run and at which instruction, at the fault. Names and lines are read later,
//! from the code objects: these do not change, and live as long as their function.

use std::{collections::HashMap, fs::File, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use observer_common::sites::{DIRECT, PythonFrame, PythonLayout};
use observer_core::{facts::sites::InterpretedFrame, text::printable};
use observer_symbols::{ProcessFiles, variable};

use self::lines::line;

mod lines;

/// Code objects of a process; then all are forgotten.
const MOST_CODES: usize = 4096;
/// Bytes of a name, and of a table of lines.
const MOST_NAME: u64 = 512;
const MOST_TABLE: u64 = 1 << 16;

/// Where a version keeps what is needed, in bytes: read from its headers.
#[derive(Clone, Copy, Debug)]
struct Offsets {
    /// In `_PyRuntimeState`: the main interpreter. In an interpreter: its first thread.
    main: u64,
    threads: u64,
    layout: PythonLayout,
    /// In a code object.
    first_line: u64,
    file: u64,
    name: u64,
    table: u64,
    instructions: u64,
    /// Size of the head of a text of ASCII, and of any other text.
    ascii: u64,
    compact: u64,
}

const fn layout(thread: u32, frame: u32, current: u32, in_frame: [u32; 3]) -> PythonLayout {
    let [code, previous, instruction] = in_frame;
    PythonLayout { threads: 0, next: 8, thread, frame, current, code, previous, instruction, reserved: 0 }
}

/// The offsets of CPython 3.`minor`.
const fn offsets(minor: u32) -> Option<Offsets> {
    let old = Offsets {
        main: 40,
        threads: 8,
        layout: layout(176, 24, DIRECT, [32, 24, 104]),
        first_line: 40,
        file: 104,
        name: 112,
        table: 120,
        instructions: 0,
        ascii: 48,
        compact: 72,
    };
    let newer = Offsets { first_line: 68, file: 112, name: 128, table: 136, ascii: 40, compact: 56, ..old };
    Some(match minor {
        8 | 9 => old,
        10 => Offsets { layout: layout(176, 24, DIRECT, [32, 24, 96]), ..old },
        11 => Offsets {
            main: 48,
            threads: 16,
            layout: layout(152, 56, 8, [32, 48, 56]),
            first_line: 72,
            instructions: 184,
            ascii: 48,
            compact: 72,
            ..newer
        },
        12 => {
            let layout = layout(136, 56, 0, [0, 8, 56]);
            Offsets { main: 48, threads: 72, layout, instructions: 192, ..newer }
        }
        13 => {
            let layout = layout(152, 72, DIRECT, [0, 8, 56]);
            Offsets { main: 640, threads: 7344, layout, instructions: 200, ..newer }
        }
        _ => return None,
    })
}

/// The interpreter of a process.
pub struct Python {
    minor: u32,
    offsets: Offsets,
    /// For the kernel side.
    pub layout: PythonLayout,
    codes: HashMap<u64, Option<Arc<Code>>>,
}

/// A function of Python.
struct Code {
    function: Box<str>,
    file: Box<str>,
    first_line: u32,
    table: Vec<u8>,
    /// The address of its instructions, from 3.11 on.
    instructions: u64,
}

impl Python {
    /// The interpreter of process `pid`; `None` if it has none, or one of an unknown version.
    pub fn of(root: &Path, pid: u32, memory: &File) -> Option<Self> {
        let files = ProcessFiles::of(root, pid);
        let mappings = files.mappings().ok()?;
        // The interpreter is the program or, with a program of a few pages, a library.
        let mut code = mappings.iter().filter(|mapping| mapping.executable);
        let (minor, runtime) = code.find_map(|mapping| {
            let minor = minor(&mapping.path)?;
            Some((minor, variable(&files.open(mapping).ok()?.0, mapping, "_PyRuntime")?))
        })?;
        let offsets = offsets(minor)?;
        let interpreter = word(memory, runtime.checked_add(offsets.main)?)?;
        let threads = interpreter.checked_add(offsets.threads).filter(|_| interpreter != 0)?;
        // A wrong layout hardly ever passes this: the first thread belongs to this interpreter.
        word(memory, word(memory, threads)?.checked_add(16)?).filter(|owner| *owner == interpreter)?;
        let layout = PythonLayout { threads, ..offsets.layout };
        Some(Self { minor, offsets, layout, codes: HashMap::new() })
    }

    /// The functions of these frames, innermost first.
    pub fn frames(&mut self, memory: &File, frames: &[PythonFrame]) -> Box<[InterpretedFrame]> {
        let named = frames.iter().filter_map(|frame| {
            let code = self.code(memory, frame.code)?;
            let at = match self.minor {
                // Four bytes, in instructions of two bytes each from 3.10 on.
                8 | 9 => frame.instruction & 0xffff_ffff,
                10 => (frame.instruction & 0xffff_ffff) * 2,
                _ => frame.instruction.checked_sub(code.instructions)?,
            };
            let line = line(self.minor, &code.table, code.first_line, at);
            Some(InterpretedFrame { function: code.function.clone(), file: code.file.clone(), line })
        });
        named.collect()
    }

    fn code(&mut self, memory: &File, address: u64) -> Option<Arc<Code>> {
        if let Some(known) = self.codes.get(&address) {
            return known.clone();
        }
        if self.codes.len() >= MOST_CODES {
            self.codes.clear();
        }
        // The interpreter's own frame between C and Python is called `<shim>`.
        let code = self.read(memory, address).filter(|code| &*code.file != "<shim>").map(Arc::new);
        self.codes.insert(address, code.clone());
        code
    }

    fn read(&self, memory: &File, address: u64) -> Option<Code> {
        let of = &self.offsets;
        let member = |offset: u64| word(memory, address.checked_add(offset)?);
        let table = member(of.table)?;
        // Bytes: two words, the size, the hash, the content.
        let size = word(memory, table.checked_add(16)?)?.min(MOST_TABLE);
        Some(Code {
            function: self.text(memory, member(of.name)?)?,
            file: self.text(memory, member(of.file)?)?,
            first_line: member(of.first_line)? as u32,
            table: bytes(memory, table.checked_add(32)?, size)?,
            instructions: address.checked_add(of.instructions)?,
        })
    }

    /// A text of Python, printable. Only texts of one byte per character are read: other names are rare.
    fn text(&self, memory: &File, address: u64) -> Option<Box<str>> {
        let size = word(memory, address.checked_add(16)?)?.min(MOST_NAME);
        let state = word(memory, address.checked_add(32)?)?;
        // `kind` is in three bits, at bit 2 of the state; `ascii` follows `compact`.
        let (kind, ascii) = (state >> 2 & 7, state >> 6 & 1);
        let head = if ascii == 1 { self.offsets.ascii } else { self.offsets.compact };
        let text = (kind == 1).then(|| bytes(memory, address.checked_add(head)?, size)).flatten()?;
        let text: String = text.iter().map(|byte| char::from(*byte)).collect();
        Some(printable(text.as_bytes()).into())
    }
}

/// `/usr/bin/python3.11` → 11.
fn minor(path: &[u8]) -> Option<u32> {
    let name = str::from_utf8(path.rsplit(|byte| *byte == b'/').next()?).ok()?;
    let version = name.strip_prefix("libpython3.").or_else(|| name.strip_prefix("python3."))?;
    let end = version.find(|character: char| !character.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

fn word(memory: &File, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read_exact_at(&mut bytes, address).ok()?;
    Some(u64::from_le_bytes(bytes))
}

fn bytes(memory: &File, address: u64, size: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    memory.read_exact_at(&mut bytes, address).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{minor, offsets};

    #[test]
    fn the_version_is_in_the_name_of_the_file() {
        assert_eq!(minor(b"/usr/bin/python3.11"), Some(11));
        assert_eq!(minor(b"/opt/lib/libpython3.8.so.1.0"), Some(8));
        assert_eq!(minor(b"/usr/bin/python3"), None);
        assert!(
            (8..=13).all(|minor| offsets(minor).is_some()) && offsets(7).is_none() && offsets(14).is_none()
        );
    }
}
