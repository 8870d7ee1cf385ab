//! A process that fills a connection with data and exits. Its peer reads at the second `step`.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use anyhow::Result;
use observer_tests::workload::{hear, tell};
use serde_json::json;

use super::processes::{Processes, add, pipe};

/// Runs the workload. Each answer has the bytes of both processes so far.
pub fn run() -> Result<()> {
    tell(json!({"ready": true}));
    if hear().is_none() {
        return Ok(());
    }
    let mut processes = Processes::new()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = listener.local_addr()?;
    let (mut go, mut read) = pipe()?;
    let (mut is_accepted, mut accepted) = pipe()?;
    processes.start(false, move |count| {
        let (mut stream, _) = listener.accept()?;
        accepted.write_all(&[1])?;
        go.read_exact(&mut [0])?;
        let mut buffer = vec![0; 65_536];
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                received => add(&count.tcp_rx, received),
            }
        }
    })?;
    processes.start(true, move |count| {
        let mut stream = TcpStream::connect(to)?;
        // What arrives before belongs to no process.
        is_accepted.read_exact(&mut [0])?;
        stream.set_nonblocking(true)?;
        loop {
            match stream.write(&[7; 65_536]) {
                Ok(sent) => add(&count.tcp_tx, sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    })?;
    processes.wait(1)?;
    tell(processes.truth());
    if hear().is_some() {
        read.write_all(&[1])?;
        processes.wait(1)?;
        tell(processes.truth());
        while hear().is_some() {}
    }
    Ok(())
}
