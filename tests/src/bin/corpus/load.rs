//! Sends requests at the rate of a profile, without waiting for the program.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt as _, net::UnixStream},
    },
};

use crate::manifest::{Dice, Run};

/// The most seconds of load that are sent later after a delay of the driver.
const LATE: f64 = 5.0;

/// The load of one run.
pub struct Sender {
    /// `None` until the program listens, and after it closed the connection.
    sink: Option<Sink>,
    to: String,
    first: String,
    request: String,
    every: String,
    bound: u64,
    payload: Vec<u8>,
    size: usize,
    dice: Dice,
    waiting: Vec<u8>,
    owed: f64,
    pub sent: u64,
}

struct Sink {
    file: File,
    /// Whether each write is a message.
    datagrams: bool,
}

impl Sender {
    /// `input` is the program's standard input; `filled` replaces the placeholders that are constant in a run.
    pub fn new(run: &Run, input: UnixStream, filled: impl Fn(&str) -> String) -> Self {
        let load = &run.workload.load;
        let seed = run.name().bytes().fold(7u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
        let mut dice = Dice::new(seed);
        let size = run.size() as usize;
        let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let payload = (0..size + 997).map(|_| letters[dice.below(36) as usize]).collect();
        let to = filled(&load.to);
        let sink = (to == "stdin").then(|| Sink { file: File::from(OwnedFd::from(input)), datagrams: false });
        let mut sender = Self {
            sink,
            to,
            first: filled(&load.first),
            request: filled(&load.request),
            every: filled(&load.every),
            bound: run.bound(),
            payload,
            size,
            dice,
            waiting: Vec::new(),
            owed: 0.0,
            sent: 0,
        };
        if sender.sink.is_some() {
            sender.waiting.extend_from_slice(sender.first.as_bytes());
        }
        sender
    }

    /// Whether requests can be sent; tries to connect if not.
    pub fn ready(&mut self) -> bool {
        if self.sink.is_none() {
            self.sink = connect(&self.to);
            if self.sink.is_some() {
                self.waiting.clear();
                self.waiting.extend_from_slice(self.first.as_bytes());
            }
        }
        self.sink.is_some()
    }

    /// Sends the requests of `seconds` at `rate` per second.
    pub fn send(&mut self, rate: f64, seconds: f64) {
        self.owed = (self.owed + rate * seconds).min((rate * LATE).max(1.0));
        if !self.ready() {
            return;
        }
        let datagrams = self.sink.as_ref().is_some_and(|sink| sink.datagrams);
        while self.waiting.len() < 1 << 16 && self.owed >= 1.0 {
            self.owed -= 1.0;
            self.fill();
            if datagrams {
                self.flush();
                self.waiting.clear();
            }
        }
        self.flush();
    }

    fn fill(&mut self) {
        let template = std::mem::take(&mut self.request);
        self.expand(&template);
        self.request = template;
        self.sent += 1;
        if !self.every.is_empty() && self.sent.is_multiple_of(self.bound) {
            self.waiting.extend_from_slice(self.every.as_bytes());
        }
    }

    fn expand(&mut self, template: &str) {
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            self.waiting.extend_from_slice(&rest.as_bytes()[..open]);
            rest = &rest[open..];
            let close = rest.find('}').unwrap_or(rest.len() - 1);
            let bound = self.bound;
            match &rest[1..close] {
                "n" => self.number(self.sent, 1),
                "n8" => self.number(self.sent, 8),
                "c" => self.number(self.sent % bound, 1),
                "c8" => self.number(self.sent % bound, 8),
                "w" => self.word(self.sent),
                "k" => {
                    let key = self.dice.below(bound);
                    self.number(key, 1);
                }
                "v" => {
                    let from = self.dice.below(997) as usize;
                    self.waiting.extend_from_slice(&self.payload[from..from + self.size]);
                }
                // Not a placeholder: a brace of the program's own language.
                _ => {
                    self.waiting.push(b'{');
                    rest = &rest[1..];
                    continue;
                }
            }
            rest = &rest[close + 1..];
        }
        self.waiting.extend_from_slice(rest.as_bytes());
    }

    fn number(&mut self, number: u64, digits: usize) {
        self.waiting.extend_from_slice(format!("{number:0digits$}").as_bytes());
    }

    /// The number in letters, for programs that accept only words.
    fn word(&mut self, number: u64) {
        self.waiting
            .extend(format!("{number:08}").bytes().map(|digit| b"abdegiklmo"[usize::from(digit - b'0')]));
    }

    /// Writes as much as possible, and drops the answers.
    fn flush(&mut self) {
        let Some(sink) = &mut self.sink else { return };
        let mut over = false;
        let mut answers = [0; 1 << 14];
        while !self.waiting.is_empty() {
            match sink.file.write(&self.waiting) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    over = !sink.datagrams && error.kind() != ErrorKind::WouldBlock;
                    break;
                }
            }
        }
        if self.to != "stdin" && !self.to.starts_with("fifo:") {
            loop {
                match sink.file.read(&mut answers) {
                    Ok(0) => {
                        over = true;
                        break;
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        if over {
            self.sink = None;
        }
    }
}

fn connect(to: &str) -> Option<Sink> {
    let (how, place) = to.split_once(':')?;
    let file: OwnedFd = match how {
        "unix" => {
            let stream = UnixStream::connect(place).ok()?;
            stream.set_nonblocking(true).ok()?;
            stream.into()
        }
        "tcp" => {
            let stream = TcpStream::connect(("127.0.0.1", place.parse().ok()?)).ok()?;
            stream.set_nonblocking(true).ok()?;
            stream.into()
        }
        "udp" => {
            let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
            socket.connect(("127.0.0.1", place.parse().ok()?)).ok()?;
            socket.set_nonblocking(true).ok()?;
            socket.into()
        }
        "fifo" => OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(place).ok()?.into(),
        _ => return None,
    };
    Some(Sink { file: file.into(), datagrams: how == "udp" })
}
