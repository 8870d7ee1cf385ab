//! Memory that no process's counters contain has its own rows, with the processes that hold it.

use observer_tests::{Observer, Workload, number, require_root};
use serde_json::Value;

/// Grows one kind of object and waits for the rows that have all of it, with its growth. Returns the first row.
fn grows(kind: &str, words: &[&str], name: &str) -> Value {
    require_root();
    let mut workload = Workload::start(words);
    let pid = workload.pid();
    let mut observer = Observer::start(&["mem", "--json", "--budget", "100", "--interval", "0.25"]);
    observer.report();
    let mut truth = 0.0;
    let mut steps = 0;
    let row = observer.wait_for(|report| {
        // Growth is reported: some more steps follow the first ones.
        if steps < 24 {
            truth = number(&workload.ask("step"), "bytes").unwrap();
            steps += 1;
        }
        let rows = report["objects"].as_array()?.iter();
        let mine = rows.filter(|row| row["kind"] == kind);
        let mine: Vec<&Value> =
            mine.filter(|row| row["holder_pid"] == pid || row["writer_pid"] == pid).collect();
        let bytes: f64 = mine.iter().filter_map(|row| number(row, "bytes")).sum();
        // Buffers have headers, and other shared memory can appear and disappear meanwhile.
        let exact = steps == 24 && bytes >= 0.98 * truth && bytes <= 1.04 * truth + 1_048_576.0;
        let growth = mine.iter().filter_map(|row| number(row, "growth")).sum::<f64>();
        let named =
            mine.first().is_some_and(|row| row["name"].as_str().is_some_and(|text| text.contains(name)));
        (exact && named && growth > truth / 2.0).then(|| mine[0].clone())
    });
    workload.quit();
    row
}

#[test]
fn a_file_of_a_tmpfs_that_grows_is_named_with_its_mount_and_holder() {
    let path = format!("/dev/shm/observer-test-{}", std::process::id());
    let row = grows("tmpfs_file", &["mem", "object", "tmpfs", &path], &path);
    assert_eq!((row["name"].as_str(), row["mount"].as_str()), (Some(&*path), Some("/dev/shm")));
    assert_eq!((row["holder"].as_str(), row["uid"].as_u64()), (Some("workload"), Some(0)), "{row:#}");
}

#[test]
fn a_memfd_that_is_written_and_not_mapped_is_named_with_its_holder() {
    let row = grows("memfd", &["mem", "object", "memfd"], "memfd:observed");
    assert_eq!(row["name"], "memfd:observed", "{row:#}");
}

#[test]
fn a_segment_without_attachment_is_named_with_its_creator() {
    let row = grows("sysv", &["mem", "object", "sysv"], "shmid");
    assert_eq!(row["writer"], "workload", "{row:#}");
}

#[test]
fn unread_bytes_of_a_unix_socket_are_named_with_reader_and_writer() {
    let row = grows("unix_socket", &["mem", "object", "unix_socket"], "unread in unix sockets");
    assert_eq!(row["holder_pid"], row["writer_pid"], "{row:#}");
}

#[test]
fn unread_bytes_of_pipes_are_named_with_their_holder() {
    let row = grows("pipe", &["mem", "object", "pipe"], "unread in pipes");
    assert_eq!(row["holder"], "workload", "{row:#}");
}

#[test]
fn rings_of_packet_sockets_are_named_with_their_holder() {
    let row = grows("packet_ring", &["mem", "object", "packet_ring"], "rings of packet sockets");
    assert_eq!(row["holder"], "workload", "{row:#}");
}

#[test]
fn unread_data_and_rings_are_read_again_while_they_grow() {
    require_root();
    for kind in ["pipe", "unix_socket", "packet_ring"] {
        let mut workload = Workload::start(&["mem", "object", kind]);
        let pid = workload.pid();
        let mut observer = Observer::start(&["mem", "--json", "--budget", "100", "--interval", "0.5"]);
        observer.report();
        // What has no row yet is unaccounted memory.
        let mut most = 0.0_f64;
        let mut is_known = false;
        for _ in 0..12 {
            let truth = number(&workload.ask("step"), "bytes").unwrap();
            let report = observer.report();
            let mine = report["objects"].as_array().unwrap().iter().filter(|row| row["holder_pid"] == pid);
            let bytes: f64 = mine.filter_map(|row| number(row, "bytes")).sum();
            is_known |= bytes > 0.0;
            if is_known {
                most = most.max(truth - bytes);
            }
        }
        assert!(is_known && most <= 48.0 * 1_048_576.0, "{kind}: {most} bytes have no row");
        workload.quit();
    }
}
