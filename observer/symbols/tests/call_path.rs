//! Call paths of real programs, built here: without frame pointers, stripped, inlined, deleted while they run.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests of a crate that reads processes"
)]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use observer_core::facts::sites::Language;
use observer_symbols::{FileId, Frame, ProcessFiles, Registers, Symbolizer, Unwinder, Unwound, build_id};

const C: &str = r"
#include <unistd.h>
#include <pthread.h>
__attribute__((noinline)) int innermost(int n) { char space[64]; pause(); return space[n & 63]; }
__attribute__((noinline)) int middle(int n) { volatile char space[300]; space[0] = n; return innermost(n + 1) + space[0]; }
__attribute__((noinline)) int outermost(int n) { return middle(n * 3) + 1; }
#ifdef THREAD
static void *begin(void *p) { outermost(1); return p; }
int main(void) { pthread_t t; pthread_create(&t, 0, begin, 0); pthread_join(t, 0); return 0; }
#else
int main(int count, char **arguments) { return outermost(count) + (arguments == 0); }
#endif
";

const RUST: &str = r#"
mod kept {
    extern "C" { fn pause() -> i32; }
    #[inline(always)]
    pub fn inlined() -> i32 { unsafe { pause() } }
    #[inline(never)]
    pub fn grow(n: i32) -> i32 { inlined() + n }
}
fn main() { std::process::exit(kept::grow(1)) }
"#;

/// A program that waits in `pause`, and its folder.
struct Waiting {
    child: Child,
    program: PathBuf,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(self.program.parent().expect("it is in a folder"));
    }
}

impl Waiting {
    fn of(name: &str, source: &str, compiler: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("observer-symbols-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder of temporary files is writable");
        let [text, program] = [folder.join("program.source"), folder.join("program")];
        fs::write(&text, source).expect("it is writable");
        let built =
            Command::new(compiler[0]).args(&compiler[1..]).arg(&text).arg("-o").arg(&program).output();
        let built = built.expect("there is a compiler");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let child = Command::new(&program).spawn().expect("what was built runs");
        Self { child, program }
    }

    fn files(&self) -> ProcessFiles {
        ProcessFiles::of(Path::new("/"), self.child.id())
    }

    /// The registers and the stack of the thread that waits in `pause`, system call 34.
    fn stopped(&self) -> (Registers, Vec<u8>) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            assert!(Instant::now() < until, "it never waited");
            std::thread::sleep(Duration::from_millis(5));
            let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
            let calls =
                threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("syscall")).ok());
            let Some(call) = calls.into_iter().find(|call| call.starts_with("34 ")) else { continue };
            let numbers = call
                .split_whitespace()
                .skip(7)
                .map(|number| u64::from_str_radix(number.trim_start_matches("0x"), 16).expect("an address"));
            let [sp, ip] = numbers.collect::<Vec<_>>()[..] else { panic!("{call}") };
            let memory = File::open(format!("/proc/{}/mem", self.child.id())).expect("it is a child");
            let mut stack = vec![0; 8192];
            let count = memory.read_at(&mut stack, sp).expect("a stack");
            stack.truncate(count);
            return (Registers { ip, sp, bp: 0 }, stack);
        }
    }

    fn unwound(&self) -> (Unwinder, Unwound) {
        let mut unwinder = Unwinder::new(self.files());
        let (registers, stack) = self.stopped();
        let unwound = unwinder.unwind(registers, &stack);
        (unwinder, unwound)
    }

    fn frames(&self) -> (Vec<Frame>, bool) {
        let (unwinder, unwound) = self.unwound();
        let mut symbolizer = Symbolizer::default();
        let mut frames = Vec::new();
        for address in unwound.addresses {
            let mapping = unwinder.mapping(address).expect("a return address is in a mapping");
            let (file, path) = self.files().open(mapping).expect("it is mapped");
            let offset = mapping.file_offset(address).expect("it is in this mapping");
            frames.extend(
                symbolizer.frames(&path, FileId::of(&file).expect("an open file"), offset).iter().cloned(),
            );
        }
        (frames, unwound.complete)
    }
}

fn names(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| frame.function.as_str()).collect()
}

#[test]
fn a_c_program_without_frame_pointers_is_unwound_to_its_start() {
    for (name, more) in [("main", &[][..]), ("thread", &["-DTHREAD", "-pthread"]), ("fixed", &["-no-pie"])] {
        let compiler = [&["gcc", "-O2", "-g", "-fomit-frame-pointer", "-xc"][..], more].concat();
        let (frames, complete) = Waiting::of(name, C, &compiler).frames();
        let names = names(&frames);
        assert!(complete, "{name}: {names:?}");
        let expected = ["innermost", "middle", "outermost"];
        assert!(names.windows(3).any(|three| three == expected), "{name}: {names:?}");
        let line = frames.iter().find(|frame| frame.function == "middle").and_then(|frame| frame.line);
        assert_eq!(line, Some(5), "the line of the call");
    }
}

#[test]
fn a_stripped_program_is_unwound_to_its_start() {
    let waiting = Waiting::of("stripped", C, &["gcc", "-O2", "-s", "-fomit-frame-pointer", "-xc"]);
    let (unwinder, unwound) = waiting.unwound();
    assert!(unwound.complete, "{unwound:x?}");
    let in_program = |address: &&u64| {
        let mapping = unwinder.mapping(**address).expect("a return address is in a mapping");
        mapping.path.ends_with(b"/program")
    };
    // innermost, middle, outermost, main, _start.
    assert_eq!(unwound.addresses.iter().filter(in_program).count(), 5, "{unwound:x?}");
    let mapping = unwinder.mappings().iter().find(|mapping| mapping.path.ends_with(b"/program"));
    let (file, _) = waiting.files().open(mapping.expect("its own mapping")).expect("it is mapped");
    assert_eq!(build_id(&file).expect("the linker makes one").len(), 20);
}

#[test]
fn a_program_that_was_deleted_still_has_its_names() {
    let waiting = Waiting::of("deleted", C, &["gcc", "-O2", "-g", "-xc"]);
    waiting.stopped();
    fs::remove_file(&waiting.program).expect("it is there");
    fs::write(&waiting.program, "another file").expect("the folder is writable");
    let (frames, complete) = waiting.frames();
    assert!(complete);
    // Without the capability for `map_files` the deleted file cannot be reached.
    if fs::read_dir(format!("/proc/{}/map_files", waiting.child.id())).is_ok() {
        assert!(names(&frames).contains(&"middle"), "{:?}", names(&frames));
    }
}

#[test]
fn functions_that_rust_has_inlined_are_frames_of_their_own() {
    let waiting =
        Waiting::of("rust", RUST, &["rustc", "-O", "-g", "--crate-type=bin", "--crate-name=program"]);
    let (frames, complete) = waiting.frames();
    let names = names(&frames);
    assert!(complete, "{names:?}");
    let inner =
        frames.iter().position(|frame| frame.function.contains("kept::inlined")).expect("it is inlined");
    assert!(frames[inner].inlined && frames[inner].language == Language::Rust, "{frames:?}");
    assert_eq!(frames[inner].line, Some(5), "{frames:?}");
    assert!(frames[inner + 1].function.contains("kept::grow") && !frames[inner + 1].inlined, "{frames:?}");
    assert_eq!(frames[inner + 1].line, Some(7), "the line of the call");
}

#[test]
fn a_file_that_is_no_program_has_no_names_and_a_stack_of_nonsense_no_path() {
    let path = std::env::temp_dir().join(format!("observer-symbols-nonsense-{}", std::process::id()));
    let elf = [b"\x7fELF\x02\x01\x01".as_slice(), &[0xff; 4096]].concat();
    fs::write(&path, elf).expect("the folder of temporary files is writable");
    let file = File::open(&path).expect("it was written");
    assert!(Symbolizer::default().frames(&path, FileId::of(&file).expect("an open file"), 16).is_empty());
    assert_eq!(build_id(&file), None);
    fs::remove_file(&path).expect("it was written");
    let mut unwinder = Unwinder::new(ProcessFiles::of(Path::new("/"), std::process::id()));
    let unwound = unwinder.unwind(Registers { ip: 0x1234, sp: 0x10, bp: 1 }, &[0xff; 64]);
    assert!(!unwound.complete && unwound.addresses.len() <= 1, "{unwound:x?}");
}
