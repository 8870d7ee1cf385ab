//! Traffic from one process to another, in another network namespace.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use observer_tests::workload::{hear, tell};
use serde_json::json;

use crate::pin;

/// Bytes of one short connection.
const SHORT: usize = 100_000;
/// Bytes of a ping.
const PING: usize = 64;

/// Answers every connection; its first byte selects how. Data of `b` and `s` is only received, data of `p` is sent
/// back. For `s` and `p`, the server runs on the sender's processor.
pub fn serve(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    tell(json!({"ready": true}));
    while hear().is_some() {
        tell(json!({}));
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 256 << 10];
    let count = stream.read(&mut buffer[..1])?;
    if count > 0 && buffer[0] != b'b' {
        pin::to_last_processor()?;
    }
    match buffer[0] {
        b'p' if count > 0 => loop {
            stream.read_exact(&mut buffer[..PING])?;
            stream.write_all(&buffer[..PING])?;
        },
        _ => while stream.read(&mut buffer)? > 0 {},
    }
    Ok(())
}

/// Sends to `address`: reads `KIND MILLISECONDS`, and answers with the number of units and of payload bytes.
pub fn send(kind: &str, address: &str) -> Result<()> {
    tell(json!({"ready": true}));
    let mut sent_before = 0;
    while let Some(words) = hear() {
        let [milliseconds] = &words[..] else { bail!("give milliseconds") };
        let time = Duration::from_millis(milliseconds.parse()?);
        let began = Instant::now();
        let (units, sent) = match kind {
            "bulk" => bulk(address, began + time)?,
            "short" => short(address, began + time)?,
            "ping" => ping(address, began + time)?,
            _ => bail!("no such traffic"),
        };
        sent_before += sent;
        let seconds = began.elapsed().as_secs_f64();
        tell(json!({"units": units, "sent": sent, "total": sent_before, "seconds": seconds}));
    }
    Ok(())
}

/// One connection; the unit is a byte.
fn bulk(address: &str, end: Instant) -> Result<(u64, u64)> {
    let mut stream = TcpStream::connect(address)?;
    let buffer = vec![b'b'; 128 << 10];
    let mut sent = 0;
    while Instant::now() < end {
        stream.write_all(&buffer)?;
        sent += buffer.len() as u64;
    }
    finish(stream)?;
    Ok((sent, sent))
}

/// Many short connections, one after the other, on one processor as [`ping`]; a unit is a connection.
fn short(address: &str, end: Instant) -> Result<(u64, u64)> {
    pin::to_last_processor()?;
    let buffer = vec![b's'; SHORT];
    let mut count = 0;
    while Instant::now() < end {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&buffer)?;
        finish(stream)?;
        count += 1;
    }
    Ok((count, count * SHORT as u64))
}

/// A ping-pong; the unit is a round trip. Both sides run on one processor, because the wake-up of another one,
/// especially in a virtual machine, takes longer than the overhead of any tool, and depends on other work of the tools.
fn ping(address: &str, end: Instant) -> Result<(u64, u64)> {
    pin::to_last_processor()?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(b"p")?;
    let mut buffer = [7; PING];
    let mut count = 0;
    while Instant::now() < end {
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
        count += 1;
    }
    finish(stream)?;
    Ok((count, count * PING as u64 + 1))
}

/// Waits until the peer has read everything and closed.
fn finish(mut stream: TcpStream) -> Result<()> {
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut rest = [0; 64];
    while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
    Ok(())
}
