//! What the net domain needs of `/proc` and `/sys`: the interfaces and what they carry.

use std::{fs, path::Path};

use crate::{
    observation::{
        Observation,
        net::{LinkFact, NetFact},
    },
    wants::Wants,
};

/// Facts of the machine that every report needs, read once a report. Nothing is said where they cannot be read.
pub fn tick(root: &Path, out: &mut Vec<Observation>) {
    let Ok(table) = fs::read(root.join("proc/net/dev")) else { return };
    let links = table.split(|byte| *byte == b'\n').filter_map(|line| link(root, line));
    out.push(Observation::Net(NetFact::Links(links.collect())));
}

/// Answers what the net domain's report asked for.
pub fn answer(_root: &Path, _wants: &Wants, _out: &mut Vec<Observation>) {}

/// An interface's line of `/proc/net/dev`: `name: rx bytes, packets, errors, dropped, four more, and the same of tx`.
/// The two lines of the heading have no colon.
fn link(root: &Path, line: &[u8]) -> Option<LinkFact> {
    // A name may hold a colon (an alias), a number may not.
    let colon = line.iter().rposition(|byte| *byte == b':')?;
    let name = line[..colon].trim_ascii();
    let numbers: Vec<u64> = std::str::from_utf8(&line[colon + 1..])
        .ok()?
        .split_ascii_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let [rx, _, _, rx_dropped, _, _, _, _, tx, _, _, tx_dropped, ..] = numbers[..] else { return None };
    Some(LinkFact { name: name.to_vec(), speed: speed(root, name), tx, rx, drops: rx_dropped + tx_dropped })
}

/// Bits per second; `None` where the interface has no speed of its own (loopback, bridges, most virtual ones) or its
/// driver does not know it, which reads as -1 or as an error.
fn speed(root: &Path, name: &[u8]) -> Option<u64> {
    let name = std::str::from_utf8(name).ok()?;
    let megabits = fs::read_to_string(root.join("sys/class/net").join(name).join("speed")).ok()?;
    let megabits: i64 = megabits.trim().parse().ok()?;
    // A driver that lacks the information says so as 65535 or u32::MAX.
    let known = megabits > 0 && megabits != 65_535 && megabits < i64::from(u32::MAX);
    known.then(|| megabits.cast_unsigned() * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Inter-|   Receive                            |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    0    0     0          0         0     3194      29    0    0    0     0       0          0
  eth0: 485783840   23484    0    5    0     0          0         0  1592265   18349    0    2    0     0       0          0
";

    #[test]
    fn every_interface_is_read_with_its_speed_where_it_has_one() {
        let root = tempfile();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/net/dev", TABLE);
        write("sys/class/net/lo/speed", "-1\n");
        write("sys/class/net/eth0/speed", "1000\n");
        let mut out = Vec::new();
        tick(&root, &mut out);
        fs::remove_dir_all(&root).unwrap();
        let lo = LinkFact { name: b"lo".to_vec(), speed: None, tx: 3194, rx: 3193, drops: 0 };
        let eth0 = LinkFact {
            name: b"eth0".to_vec(),
            speed: Some(1_000_000_000),
            tx: 1_592_265,
            rx: 485_783_840,
            drops: 7,
        };
        assert_eq!(out, [Observation::Net(NetFact::Links(vec![lo, eth0]))]);
    }

    #[test]
    fn a_machine_without_the_table_says_nothing() {
        let mut out = Vec::new();
        tick(Path::new("/nonexistent"), &mut out);
        assert!(out.is_empty());
    }

    fn tempfile() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("observer-net-{}", std::process::id()))
    }
}
