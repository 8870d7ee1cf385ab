//! Child processes with line output, which end with the test that started them.

use std::{
    io::{BufRead as _, BufReader, Read},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus},
    sync::mpsc::{Receiver, channel},
    thread::JoinHandle,
    time::Instant,
};

/// Starts `command`; the kernel kills it when the starting thread ends for any reason.
pub fn spawn(command: &mut Command) -> Child {
    // SAFETY: prctl is async-signal-safe and touches no memory of ours.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"))
}

/// Reads lines on a separate thread, so that a child never waits for its reader. The channel closes at the end.
pub fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Reads everything on a separate thread.
pub fn all(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits until `child` exits, and kills it after the deadline.
pub fn wait(child: &mut Child, what: &str) -> ExitStatus {
    // A pidfd becomes readable when its process exits, so this waits with a deadline and without polling.
    // SAFETY: pidfd_open takes two integers and returns a descriptor or -1.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    assert!(descriptor >= 0, "pidfd_open of {what}: {}", std::io::Error::last_os_error());
    let deadline = Instant::now() + crate::deadline();
    let mut poll = libc::pollfd { fd: descriptor as i32, events: libc::POLLIN, revents: 0 };
    let ended = loop {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis() as i32;
        // SAFETY: `poll` is one valid pollfd.
        let ready = unsafe { libc::poll(&raw mut poll, 1, left) };
        if ready > 0 || left == 0 {
            break ready > 0;
        }
    };
    // SAFETY: this function owns the descriptor and does not use it again.
    unsafe { libc::close(descriptor as i32) };
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{what} did not exit within {:?}", crate::deadline());
    }
    child.wait().unwrap_or_else(|error| panic!("wait for {what}: {error}"))
}

/// Sends `signal` to `child` alone.
pub fn signal(child: &Child, signal: i32) {
    // SAFETY: kill takes two integers; the child has not been waited for, so its pid is still valid.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}
