//! A new network namespace with a tun device.

use std::{
    fs::{self, File},
    io::Error,
    net::Ipv4Addr,
    os::fd::{AsRawFd as _, FromRawFd as _},
    thread,
};

use anyhow::{Context as _, Result, ensure};

/// Limits of socket buffers, large enough for every emulated path, so that only a scenario's own settings limit it.
const BUFFER: &str = "4096 131072 67108864";

/// A namespace; it exists as long as a descriptor, a process or a socket refers to it.
#[derive(Debug)]
pub struct Namespace {
    handle: File,
}

impl Namespace {
    /// Creates one, with a device at `address`/24. The device is non-blocking, and reads and writes one packet at a
    /// time.
    ///
    /// # Errors
    /// Without the privilege, or if the kernel has no tun devices.
    pub fn new(address: Ipv4Addr, mtu: usize) -> Result<(Self, File)> {
        // A separate thread, so that the caller stays in its namespace.
        let made = thread::spawn(move || {
            // SAFETY: only this thread moves.
            ensure!(unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0, "unshare: {}", Error::last_os_error());
            let handle = File::open("/proc/thread-self/ns/net").context("the new namespace")?;
            up("lo", None)?;
            for buffers in ["tcp_rmem", "tcp_wmem"] {
                fs::write(format!("/proc/sys/net/ipv4/{buffers}"), BUFFER).context(buffers)?;
            }
            let device = device("tun0")?;
            up("tun0", Some((address, mtu)))?;
            Ok((Self { handle }, device))
        });
        made.join().map_err(|_| anyhow::anyhow!("the thread that made a namespace panicked"))?
    }

    /// Moves the calling thread into it.
    ///
    /// # Errors
    /// Without the privilege.
    pub fn enter(&self) -> Result<()> {
        // SAFETY: a plain call with a descriptor that is open.
        let result = unsafe { libc::setns(self.handle.as_raw_fd(), libc::CLONE_NEWNET) };
        ensure!(result == 0, "setns: {}", Error::last_os_error());
        Ok(())
    }

    /// Runs `act` in it, on a separate thread.
    ///
    /// # Errors
    /// Without the privilege, or when `act` fails.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let done = scope.spawn(|| {
                self.enter()?;
                act()
            });
            done.join().map_err(|_| anyhow::anyhow!("a thread in a namespace panicked"))?
        })
    }
}

fn request(name: &str) -> libc::ifreq {
    // SAFETY: an interface request is plain numbers, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

fn device(name: &str) -> Result<File> {
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the path is a C string, the request is valid, and the descriptor is a fresh one.
    unsafe {
        let device = libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC);
        ensure!(device >= 0, "/dev/net/tun: {}", Error::last_os_error());
        let device = File::from_raw_fd(device);
        let result = libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request);
        ensure!(result == 0, "a tun device: {}", Error::last_os_error());
        Ok(device)
    }
}

/// Sets address and MTU of an interface of this namespace, and brings it up.
fn up(name: &str, address: Option<(Ipv4Addr, usize)>) -> Result<()> {
    // SAFETY: plain calls with valid requests; the socket is closed at the end.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        ensure!(socket >= 0, "a socket: {}", Error::last_os_error());
        let socket = File::from_raw_fd(socket);
        let ask = |number: libc::c_ulong, request: &libc::ifreq| {
            let result = libc::ioctl(socket.as_raw_fd(), number as _, std::ptr::from_ref(request));
            ensure!(result == 0, "{name}, request {number:#x}: {}", Error::last_os_error());
            Ok(())
        };
        let mut request = request(name);
        if let Some((address, mtu)) = address {
            let place = |ip: Ipv4Addr| {
                let mut place: libc::sockaddr_in = std::mem::zeroed();
                place.sin_family = libc::AF_INET as libc::sa_family_t;
                place.sin_addr.s_addr = u32::from_ne_bytes(ip.octets());
                *(&raw const place).cast::<libc::sockaddr>()
            };
            request.ifr_ifru.ifru_addr = place(address);
            ask(libc::SIOCSIFADDR, &request)?;
            request.ifr_ifru.ifru_addr = place(Ipv4Addr::new(255, 255, 255, 0));
            ask(libc::SIOCSIFNETMASK, &request)?;
            request.ifr_ifru.ifru_mtu = mtu as libc::c_int;
            ask(libc::SIOCSIFMTU, &request)?;
            // Only the emulated queue may be full, never the device's own.
            request.ifr_ifru.ifru_metric = 20_000;
            ask(libc::SIOCSIFTXQLEN, &request)?;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        ask(libc::SIOCSIFFLAGS, &request)
    }
}
