//! One kind of event, at a given rate or as fast as possible, counted.
//!
//! Answers `stop` with the truth: the number of events and bytes.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use observer_tests::{
    reset::ends_by_reset,
    workload::{hear, tell},
};
use serde_json::json;

/// Events between two reads of the clock.
const BURST: u64 = 64;
const PAGE: usize = 4096;

/// The truth.
#[derive(Default)]
struct Truth {
    events: u64,
    bytes: u64,
}

/// Floods with events of `kind`, `rate` a second (0: no limit), until `stop`.
pub fn run(kind: &str, rate: &str, folder: &Path) -> Result<()> {
    let rate: u64 = rate.parse()?;
    let mut event = event(kind, folder)?;
    // Started before the load is ready, because the memory of a thread is not part of the truth.
    let stop = Arc::new(AtomicBool::new(false));
    let stopper = Arc::clone(&stop);
    let (begin, begun) = std::sync::mpsc::sync_channel(1);
    let listening = std::thread::spawn(move || {
        if hear().is_none() || begin.send(()).is_err() {
            return false;
        }
        let heard = hear().is_some();
        stopper.store(true, Ordering::Relaxed);
        heard
    });
    tell(json!({"ready": true}));
    if begun.recv().is_err() {
        return Ok(());
    }
    let mut truth = Truth::default();
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            truth.bytes += event()?;
            truth.events += 1;
        }
        if rate > 0 {
            let due = began + Duration::from_secs_f64(truth.events as f64 / rate as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    let elapsed = began.elapsed().as_secs_f64();
    if listening.join().is_ok_and(|heard| heard) {
        tell(json!({"events": truth.events, "bytes": truth.bytes, "seconds": elapsed}));
        // Its resources stay visible until the input ends.
        while hear().is_some() {
            tell(json!({}));
        }
    }
    Ok(())
}

type Event = Box<dyn FnMut() -> Result<u64>>;

/// A function that causes one event and returns its bytes.
fn event(kind: &str, folder: &Path) -> Result<Event> {
    Ok(match kind {
        "mem" => heap(),
        "disk" => {
            let mut file = File::create(folder.join("flooded"))?;
            fs::remove_file(folder.join("flooded"))?;
            Box::new(move || {
                file.write_all(b"x")?;
                Ok(1)
            })
        }
        "net" => {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(socket.local_addr()?)?;
            let mut buffer = [7; 64];
            Box::new(move || {
                socket.send(&buffer)?;
                socket.recv(&mut buffer)?;
                Ok(64)
            })
        }
        "connections" => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let mut buffer = [7; 100];
            Box::new(move || {
                let mut client = TcpStream::connect(listener.local_addr()?)?;
                let (mut server, _) = listener.accept()?;
                client.write_all(&buffer)?;
                server.read_exact(&mut buffer)?;
                ends_by_reset(&server)?;
                Ok(100)
            })
        }
        "processes" => Box::new(|| {
            // SAFETY: the child maps a page and exits, without running the exit handlers of this process.
            unsafe {
                let child = libc::fork();
                if child == 0 {
                    libc::_exit(0);
                }
                libc::waitpid(child, std::ptr::null_mut(), 0);
            }
            Ok(0)
        }),
        _ => bail!("no such flood"),
    })
}

/// Grows and shrinks the heap by a page in turns; the bytes are those of growth.
fn heap() -> Event {
    // SAFETY: only returns the current end of the heap.
    let end = unsafe { libc::syscall(libc::SYS_brk, 0) } as usize;
    let mut longer = false;
    Box::new(move || {
        longer = !longer;
        // SAFETY: the heap never ends before its first end.
        unsafe { libc::syscall(libc::SYS_brk, if longer { end + PAGE } else { end }) };
        Ok(if longer { PAGE as u64 } else { 0 })
    })
}
