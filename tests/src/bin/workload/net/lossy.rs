//! Transfers over an emulated link that loses packets in both directions. Each end reports its bytes, and the bytes
//! that the kernel retransmitted.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::AsRawFd as _,
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use observer_tests::{
    emulation::{
        ends::{self, Settings},
        link::{Link, Shape},
        namespace::Namespace,
        play::{HERE, PORT, THERE, congestion_controls},
    },
    workload::{hear, tell},
};

use super::processes::{Count, Processes, add};

const CHUNK: usize = 65_536;
/// Some thousand packets: enough for every loss rate.
const CHUNKS: usize = 48;
/// The offset of `bytes_retrans` in `TCP_INFO`; it is new in Linux 4.19 and missing in the C library.
const BYTES_RETRANS: usize = 208;

/// Two transfers over one link that loses `percent` of the packets. The first connection stays half open, so that the
/// kernel's count can be read. The second is closed while most of its data is unsent.
pub fn run(percent: &str) -> Result<()> {
    let loss = percent.parse::<f64>().context("a percentage is a number")? / 100.0;
    tell(serde_json::json!({"ready": true}));
    if hear().is_none() {
        return Ok(());
    }
    let (here, near) = Namespace::new(HERE, 1500)?;
    let (there, far) = Namespace::new(THERE, 1500)?;
    let congestion_control = congestion_controls()?.0[0];
    let settings = Settings { congestion_control, send_buffer: None, receive_buffer: None };
    let mut processes = Processes::new()?;
    for (port, closes) in [(PORT, false), (PORT + 1, true)] {
        let address = SocketAddr::from((THERE, port));
        let listener = there.within(|| ends::listen(address, settings))?;
        processes.start(false, |count| receive(listener.accept()?.0, closes, count))?;
        drop(listener);
        processes.start(false, |count| {
            here.enter()?;
            send(ends::connect(address, settings)?, closes, count)
        })?;
    }
    let way = Shape { rate: 1e9, delay: Duration::from_millis(1), loss, queue: 1 << 20 };
    let link = Link::start([near, far], [way; 2], 7)?;
    processes.wait_all()?;
    let mut truth = processes.truth();
    truth["lost"] = link.done.iter().map(|way| way.read().lost).sum::<u64>().into();
    tell(truth);
    while hear().is_some() {}
    Ok(())
}

fn send(mut stream: TcpStream, closes: bool, count: &'static Count) -> Result<()> {
    let chunk = vec![7; CHUNK];
    for _ in 0..CHUNKS {
        stream.write_all(&chunk)?;
        add(&count.tcp_tx, CHUNK);
    }
    if closes {
        return Ok(());
    }
    // The answer acknowledges everything, so nothing is retransmitted afterwards.
    stream.read_exact(&mut [0])?;
    add(&count.tcp_rx, 1);
    count.retransmitted.store(retransmitted(&stream)?, Ordering::Relaxed);
    stream.shutdown(Shutdown::Write)?;
    stay(stream);
    Ok(())
}

fn receive(mut stream: TcpStream, closes: bool, count: &'static Count) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    for _ in 0..CHUNKS {
        stream.read_exact(&mut chunk)?;
        add(&count.tcp_rx, CHUNK);
    }
    if !closes {
        stream.write_all(&[1])?;
        add(&count.tcp_tx, 1);
    }
    // The end of the stream acknowledges the answer.
    ensure!(stream.read(&mut chunk)? == 0, "more than was sent");
    count.retransmitted.store(retransmitted(&stream)?, Ordering::Relaxed);
    if !closes {
        stay(stream);
    }
    Ok(())
}

/// Leaves the connection open until this process ends.
fn stay(stream: TcpStream) {
    std::mem::forget(stream);
}

/// Retransmitted payload bytes.
fn retransmitted(stream: &TcpStream) -> Result<u64> {
    let mut info = [0_u8; BYTES_RETRANS + 8];
    let mut size = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let result = unsafe {
        let to = info.as_mut_ptr().cast();
        libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, to, &raw mut size)
    };
    ensure!(result == 0 && size as usize == info.len(), "TCP_INFO: {}", std::io::Error::last_os_error());
    Ok(u64::from_ne_bytes(info[BYTES_RETRANS..].try_into()?))
}
