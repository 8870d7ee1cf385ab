//! Many idle objects: processes, descriptors, connections.

use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use observer_tests::{
    reset::ends_by_reset,
    workload::{hear, tell},
};
use serde_json::json;

/// Connections per process, which holds both ends: twice as many descriptors, below the usual limit of 20,000.
const CONNECTIONS_EACH: usize = 8_000;

/// Sleeping processes.
pub fn processes(count: &str) -> Result<()> {
    gather(count.parse()?, |_| Ok(()))
}

/// Processes with this many descriptors each, all of one file with a name, except `deleted` files in the first.
pub fn descriptors(processes: &str, each: &str, deleted: &str, folder: &Path) -> Result<()> {
    let (each, deleted): (usize, usize) = (each.parse()?, deleted.parse()?);
    let named = folder.join("held");
    File::create(&named)?;
    gather(processes.parse()?, |number| {
        let mut files = Vec::with_capacity(each + deleted);
        for _ in 0..each {
            files.push(File::open(&named)?);
        }
        for number in 0..if number == 0 { deleted } else { 0 } {
            let path = folder.join(format!("deleted-{number}"));
            files.push(File::create(&path)?);
            fs::write(&path, vec![7; 4096])?;
            fs::remove_file(&path)?;
        }
        // Held until this process ends.
        std::mem::forget(files);
        Ok(())
    })
}

/// Connections over the loopback interface, in as few processes as possible.
pub fn connections(count: &str) -> Result<()> {
    let count: usize = count.parse()?;
    gather(count.div_ceil(CONNECTIONS_EACH), |number| {
        let each = CONNECTIONS_EACH.min(count - number * CONNECTIONS_EACH);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut held = Vec::with_capacity(each);
        for _ in 0..each {
            let client = TcpStream::connect(listener.local_addr()?)?;
            let (server, _) = listener.accept()?;
            ends_by_reset(&client)?;
            ends_by_reset(&server)?;
            held.push((client, server));
        }
        std::mem::forget((held, listener));
        Ok(())
    })
}

/// Forks processes, which prepare themselves and end with this one.
fn gather(count: usize, ready: impl Fn(usize) -> Result<()>) -> Result<()> {
    let (mut heard, said) = std::io::pipe()?;
    for number in 0..count {
        // SAFETY: this process has one thread, so its child may do whatever it may.
        let child = unsafe { libc::fork() };
        ensure!(child >= 0, "fork: {}", std::io::Error::last_os_error());
        if child == 0 {
            // SAFETY: plain calls without pointers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let mut said = said;
            if let Err(error) = ready(number) {
                eprintln!("process {number}: {error:#}");
                std::process::exit(1);
            }
            std::io::Write::write_all(&mut said, b".")?;
            drop((said, heard));
            loop {
                // SAFETY: waits for a signal.
                unsafe { libc::pause() };
            }
        }
    }
    drop(said);
    let mut all = vec![0; count];
    std::io::Read::read_exact(&mut heard, &mut all).context("a process was not ready")?;
    tell(json!({"ready": true, "count": count}));
    while hear().is_some() {
        tell(json!({}));
    }
    Ok(())
}
