//! Workloads of the disk domain: a process that works on files by command, and answers with their `fstat`.
//!
//! `workload disk files FOLDER` reads one command per line, where a name is that of a file in the folder:
//!
//! - `open NAME`, `append NAME`: makes and opens it; `tmpfile NAME`: creates one without a name in the folder
//! - `deep NAME LENGTH`: creates it in nested folders with a path of this length, opens and deletes it, and answers
//!   with the path
//! - `many NAME COUNT BYTES`: creates COUNT files of BYTES bytes, each called NAME and a number; the answer has the
//!   number of files `made` so far, and the reason if it could not create all of them (`refused`)
//! - `name NAME`: gives a file without a name this one
//! - `recreate NAME`: creates another file with that name
//! - `delete NAME`, `delete-uring NAME` (by io_uring), `replace NAME` (renames another file over it), `link NAME` (adds
//!   a second name and removes the first)
//! - `write NAME WAY BYTES`: see [`write_paths`]; `try NAME WAY BYTES`: the same, or the reason as `refused`
//! - `clone NAME FROM`: creates and opens it, with the blocks of another open file
//! - `stat NAME`: only the truth; `sync NAME`: the same after write-back
//! - `dup NAME [TIMES]`, `undup NAME` (one descriptor stays), `thread NAME` (moves it to a thread with its own
//!   descriptor table), `map NAME` (maps it and closes the descriptor), `register NAME` (the same with an io_uring
//!   instance), `send NAME` (sends it through a unix socket without a reader, and closes it), `loop NAME` (the same
//!   with a loop device), `close NAME` (closes every holder)
//! - `run NAME`: creates an executable, and deletes it while a process runs it
//! - `swap NAME`: tries to delete a swap file, and to swap to it after its deletion; answers with the error of
//!   each (`delete`, `swap`), and stops swapping to it
//! - `memfd NAME`, `shm NAME`, `zero NAME`: memory that looks like a deleted file
//! - `child` starts a process that inherits everything and runs the rest of a line after `child`: `child write NAME WAY
//!   BYTES`
//!
//! `workload disk crowd FOLDER COUNT` holds COUNT descriptors of live files and one of a deleted file: see [`crowd`];
//! `workload disk stalled FOLDER` is a filesystem that hangs: see [`stalled`].
//!
//! Names are given with `\xNN` for bytes that a line cannot contain.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsStr},
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::PathBuf,
    sync::mpsc::{Sender, channel},
    thread::JoinHandle,
};

use anyhow::{Context as _, Result, bail, ensure};
use observer_tests::workload::{hear, tell};
use serde_json::{Value, json};

mod crowd;
mod elsewhere;
mod queued;
mod stalled;
mod unbuffered;
mod write_paths;

/// Runs the workload with the name in the first word.
pub fn run(words: &[&str]) -> Result<()> {
    match words {
        ["files", folder] => files(PathBuf::from(folder)),
        ["crowd", folder, count] => crowd::run(folder.as_ref(), count.parse()?),
        ["stalled", folder] => stalled::run(folder.as_ref()),
        _ => bail!("no such workload"),
    }
}

fn files(folder: PathBuf) -> Result<()> {
    let mut holder = Holder { folder, files: BTreeMap::new(), child: None, many: 0 };
    tell(json!({"ready": true}));
    while let Some(words) = hear() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let truth = holder.obey(&words).with_context(|| words.join(" "))?;
        tell(truth);
    }
    Ok(())
}

struct Holder {
    folder: PathBuf,
    files: BTreeMap<String, Held>,
    child: Option<Child>,
    /// Files made by `many`.
    many: u64,
}

/// A holder of a file.
enum Held {
    Descriptors(Vec<File>),
    Mapping { _held: write_paths::Mapping },
    Elsewhere { _held: Box<elsewhere::Elsewhere> },
    Thread { stop: Sender<()>, thread: JoinHandle<()>, id: i32, fd: i32 },
}

/// A forked process, and the two pipes to it.
struct Child {
    commands: File,
    answers: BufReader<File>,
}

impl Holder {
    fn obey(&mut self, words: &[&str]) -> Result<Value> {
        match words {
            ["open", name] => self.open(name, libc::O_RDWR | libc::O_CREAT),
            ["append", name] => self.open(name, libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND),
            ["deep", name, length] => self.deep(name, length.parse()?),
            ["recreate", name] => {
                fs::write(self.path(name), "another")?;
                self.truth(name)
            }
            ["tmpfile", name] => {
                let file = open(&self.folder, libc::O_TMPFILE | libc::O_RDWR)?;
                self.keep(name, file)
            }
            ["name", name] => {
                let link = CString::new(format!("/proc/self/fd/{}", self.file(name)?.as_raw_fd()))?;
                let path = CString::new(self.path(name).as_os_str().as_bytes())?;
                let (here, follow) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
                // SAFETY: both are C strings.
                let linked = unsafe { libc::linkat(here, link.as_ptr(), here, path.as_ptr(), follow) };
                ensure!(linked == 0, "linkat: {}", std::io::Error::last_os_error());
                self.truth(name)
            }
            ["many", name, count, bytes] => self.many(name, count.parse()?, bytes.parse()?),
            ["memfd", name] => {
                // SAFETY: the name is a C string, and the result is checked before it is owned.
                let file = owned(unsafe { libc::memfd_create(c"deleted".as_ptr(), 0) })?;
                self.keep(name, file)
            }
            ["shm", name] => self.map(name, write_paths::Mapping::system_v(1 << 16)?),
            ["zero", name] => self.map(name, write_paths::Mapping::shared_zero(1 << 16)?),
            ["delete", name] => {
                fs::remove_file(self.path(name))?;
                self.truth(name)
            }
            ["delete-uring", name] => {
                write_paths::delete_by_uring(&CString::new(self.path(name).as_os_str().as_bytes())?)?;
                self.truth(name)
            }
            ["replace", name] => {
                let other = self.folder.join("replacement");
                fs::write(&other, "new")?;
                fs::rename(&other, self.path(name))?;
                self.truth(name)
            }
            ["link", name] => {
                fs::hard_link(self.path(name), self.folder.join("second-name"))?;
                fs::remove_file(self.path(name))?;
                self.truth(name)
            }
            ["write", name, way, bytes] => {
                write_paths::write(self.file(name)?, &self.folder, way, bytes.parse()?)?;
                self.truth(name)
            }
            ["try", name, way, bytes] => {
                let tried = write_paths::write(self.file(name)?, &self.folder, way, bytes.parse()?);
                match tried.as_ref().err().and_then(|error| error.downcast_ref::<std::io::Error>()) {
                    Some(error) => Ok(json!({"refused": error.to_string()})),
                    None => tried.and_then(|()| self.truth(name)),
                }
            }
            ["clone", name, from] => {
                let source = self.file(from)?.try_clone()?;
                self.open(name, libc::O_RDWR | libc::O_CREAT)?;
                write_paths::clone(self.file(name)?, &source, 0, 0)?;
                self.truth(name)
            }
            ["stat", name] => self.truth(name),
            ["sync", name] => {
                self.file(name)?.sync_all()?;
                self.truth(name)
            }
            ["dup", name] => self.dup(name, 1),
            ["undup", name] => {
                if let Some(Held::Descriptors(files)) = self.files.get_mut(*name) {
                    files.truncate(1);
                }
                self.truth(name)
            }
            ["dup", name, times] => self.dup(name, times.parse()?),
            ["thread", name] => self.thread(name),
            ["map", name] => {
                let mapping = write_paths::Mapping::of(self.file(name)?)?;
                let truth = self.truth(name)?;
                self.map(name, mapping)?;
                Ok(truth)
            }
            ["register" | "send" | "loop" | "run", name] => self.elsewhere(words[0], name),
            ["swap", name] => elsewhere::swap(&self.path(name), self.file(name)?),
            ["close", name] => {
                if let Held::Thread { stop, thread, .. } = self.files.remove(*name).context("not held")? {
                    drop(stop);
                    let _ = thread.join();
                }
                Ok(json!({}))
            }
            ["child"] => self.fork(),
            ["child", rest @ ..] => self.child.as_mut().context("no child")?.ask(&rest.join(" ")),
            _ => bail!("no such command"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(OsStr::from_bytes(&unescaped(name)))
    }

    fn open(&mut self, name: &str, flags: i32) -> Result<Value> {
        let file = open(&self.path(name), flags)?;
        self.keep(name, file)
    }

    fn many(&mut self, name: &str, count: u64, bytes: usize) -> Result<Value> {
        let before = self.many;
        let content = vec![7; bytes];
        while self.many < before + count {
            let path = self.path(&format!("{name}{}", self.many));
            if let Err(error) = fs::write(path, &content) {
                return Ok(json!({"made": self.many, "refused": error.to_string()}));
            }
            self.many += 1;
        }
        Ok(json!({"made": self.many}))
    }

    /// Folder by folder, because no system call accepts such a long path.
    fn deep(&mut self, name: &str, length: usize) -> Result<Value> {
        let mut path = self.folder.as_os_str().as_bytes().to_vec();
        let mut folder = open(&self.folder, libc::O_RDONLY | libc::O_DIRECTORY)?;
        while path.len() + 1 + name.len() < length {
            let left = length - path.len() - 1 - name.len();
            // Leave space for a slash and a name.
            let component = vec![b'd'; if left > 251 { 249 } else { left - 1 }];
            path.push(b'/');
            path.extend(&component);
            let component = CString::new(component)?;
            // SAFETY: the name is a C string; the result of the second call is checked before it is owned.
            folder = owned(unsafe {
                libc::mkdirat(folder.as_raw_fd(), component.as_ptr(), 0o755);
                libc::openat(folder.as_raw_fd(), component.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY)
            })?;
        }
        path.push(b'/');
        path.extend(name.as_bytes());
        let last = CString::new(name)?;
        // SAFETY: the name is a C string; the result of the first call is checked before it is owned.
        let file = owned(unsafe {
            libc::openat(folder.as_raw_fd(), last.as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o600)
        })?;
        // SAFETY: the name is a C string.
        ensure!(unsafe { libc::unlinkat(folder.as_raw_fd(), last.as_ptr(), 0) } == 0, "unlinkat");
        (&file).write_all(&[7; 6000])?;
        let mut truth = self.keep(name, file)?;
        truth["path"] = json!(String::from_utf8_lossy(&path));
        Ok(truth)
    }

    fn keep(&mut self, name: &str, file: File) -> Result<Value> {
        self.files.insert(name.to_owned(), Held::Descriptors(vec![file]));
        self.truth(name)
    }

    fn dup(&mut self, name: &str, times: usize) -> Result<Value> {
        for _ in 0..times {
            let copy = self.file(name)?.try_clone()?;
            if let Some(Held::Descriptors(files)) = self.files.get_mut(name) {
                files.push(copy);
            }
        }
        self.truth(name)
    }

    fn map(&mut self, name: &str, mapping: write_paths::Mapping) -> Result<Value> {
        self.files.insert(name.to_owned(), Held::Mapping { _held: mapping });
        Ok(json!({}))
    }

    fn file(&self, name: &str) -> Result<&File> {
        match self.files.get(name) {
            Some(Held::Descriptors(files)) => files.first().context("no descriptor"),
            _ => bail!("not held by a descriptor"),
        }
    }

    /// The `fstat` of a file, and its descriptors.
    fn truth(&self, name: &str) -> Result<Value> {
        let Some(Held::Descriptors(files)) = self.files.get(name) else { return Ok(json!({})) };
        let mut truth = truth_of(files.first().context("no descriptor")?)?;
        let fds: Vec<i32> = files.iter().map(|file| file.as_raw_fd()).collect();
        truth["fds"] = json!(fds);
        Ok(truth)
    }

    /// Passes the file to a holder that is not a descriptor.
    fn elsewhere(&mut self, way: &str, name: &str) -> Result<Value> {
        let path = self.path(name);
        if way == "run" {
            let (held, file) = elsewhere::run(&path)?;
            let truth = self.keep(name, file)?;
            let mut truth = truth;
            truth["through"] = held.through();
            self.files.insert(name.to_owned(), Held::Elsewhere { _held: Box::new(held) });
            return Ok(truth);
        }
        let mut truth = self.truth(name)?;
        let held = elsewhere::keep(way, self.file(name)?)?;
        truth["through"] = held.through();
        self.files.insert(name.to_owned(), Held::Elsewhere { _held: Box::new(held) });
        Ok(truth)
    }

    /// Passes the file to a thread with its own descriptor table.
    fn thread(&mut self, name: &str) -> Result<Value> {
        let truth = self.truth(name)?;
        let fd = self.file(name)?.as_raw_fd();
        let (stop, stopped) = channel::<()>();
        let (started, ready) = channel();
        let thread = std::thread::spawn(move || {
            // SAFETY: two calls without memory; the thread has its own copy of every descriptor from here on.
            let id = unsafe { if libc::unshare(libc::CLONE_FILES) == 0 { libc::gettid() } else { -1 } };
            let _ = started.send(id);
            let _ = stopped.recv();
            // SAFETY: the descriptor of this thread's own table, which nothing else refers to.
            unsafe { libc::close(fd) };
        });
        let id = ready.recv()?;
        ensure!(id > 0, "unshare was refused");
        self.files.insert(name.to_owned(), Held::Thread { stop, thread, id, fd });
        let Some(Held::Thread { id, fd, .. }) = self.files.get(name) else { bail!("not kept") };
        let mut truth = truth;
        truth["thread"] = json!(id);
        truth["fds"] = json!([fd]);
        Ok(truth)
    }

    fn fork(&mut self) -> Result<Value> {
        let (commands, to_child) = pipe()?;
        let (from_child, answers) = pipe()?;
        // SAFETY: this process has one thread while it forks (tests fork before they ask for threads).
        let pid = unsafe { libc::fork() };
        ensure!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            drop((to_child, from_child));
            let served = self.serve(commands, answers);
            std::process::exit(i32::from(served.is_err()));
        }
        self.child = Some(Child { commands: to_child, answers: BufReader::new(from_child) });
        Ok(json!({"child": pid}))
    }

    /// The main loop of a child, until its parent closes the pipe.
    fn serve(&mut self, commands: File, mut answers: File) -> Result<()> {
        for line in BufReader::new(commands).lines() {
            let line = line?;
            let words: Vec<&str> = line.split_whitespace().collect();
            writeln!(answers, "{}", self.obey(&words)?)?;
        }
        Ok(())
    }
}

impl Child {
    fn ask(&mut self, line: &str) -> Result<Value> {
        writeln!(self.commands, "{line}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    }
}

/// The `fstat` of a file.
fn truth_of(file: &File) -> Result<Value> {
    let stat = file.metadata()?;
    let (major, minor) = (libc::major(stat.dev()), libc::minor(stat.dev()));
    Ok(json!({
        "inode": stat.ino(),
        "dev": format!("{major}:{minor}"),
        "size": stat.size(),
        "allocated": stat.blocks() * 512,
    }))
}

fn open(path: &std::path::Path, flags: i32) -> Result<File> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name is a C string, and the result is checked before it is owned.
    owned(unsafe { libc::open(name.as_ptr(), flags, 0o600) })
}

fn owned(fd: i32) -> Result<File> {
    ensure!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

fn pipe() -> Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: two descriptors are written into an array of two.
    ensure!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == 0, "pipe2");
    Ok((owned(ends[0])?, owned(ends[1])?))
}

/// Replaces `\xNN` by its byte.
fn unescaped(name: &str) -> Vec<u8> {
    let mut parts = name.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2.min(part.len()));
        bytes.extend(u8::from_str_radix(digits, 16));
        bytes.extend(rest.as_bytes());
    }
    bytes
}
