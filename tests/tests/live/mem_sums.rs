//! Sums over processes: shared memory counts once, and processes that start or exit count in the growth of their group.

use std::{collections::BTreeSet, process::Command, thread::sleep, time::Duration};

use observer_tests::{Observer, Workload, number, require_root};
use serde_json::Value;

use crate::{mem::rollup, mem_groups::Group};

const MIB: f64 = 1024.0 * 1024.0;

/// A workload whose shared memory `children` children have touched, and the ids of all of its processes.
fn family(group: Option<&Group>, mebibytes: usize, children: usize) -> (Workload, Vec<u32>) {
    let mut workload = Workload::start(&["mem", "kinds"]);
    if let Some(group) = group {
        group.take(workload.pid());
    }
    workload.ask(&format!("shared {mebibytes}"));
    let mut pids = vec![workload.pid()];
    let mut answer = Value::Null;
    for _ in 0..children {
        answer = workload.ask("read 1");
    }
    pids.extend(answer["children"].as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap() as u32));
    (workload, pids)
}

/// A sum over the page walks of processes, in bytes.
fn sum(pids: &[u32], name: &str) -> f64 {
    pids.iter().map(|pid| rollup(&format!("/proc/{pid}/smaps_rollup"), name)).sum()
}

#[test]
fn a_group_that_shares_memory_has_it_once_and_frees_what_its_end_gives_back() {
    require_root();
    let Some(group) = Group::limited("sums", 1 << 30) else { return };
    let (workload, pids) = family(Some(&group), 64, 21);
    let selected = pids.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]);
    let mut arguments =
        ["mem", "--json", "--budget", "100", "--interval", "0.5", "--by", "unit"].map(str::to_owned).to_vec();
    arguments.extend(selected);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut observer = Observer::start(&arguments);
    let row = observer.wait_for(|report| {
        let row = &report["rows"][0];
        (number(row, "processes") == Some(22.0) && number(row, "pss").is_some()).then(|| row.clone())
    });
    let truth = sum(&pids, "Pss");
    // Pages of programs and libraries are shared with processes outside of the group.
    assert!((number(&row, "pss").unwrap() - truth).abs() < MIB, "{truth} {row:#}");
    assert!(number(&row, "rss").unwrap() > 20.0 * 64.0 * MIB, "{row:#}");
    let before = group.usage();
    workload.quit();
    while !group.is_empty() {
        sleep(Duration::from_millis(10));
    }
    // The group is also charged for kernel stacks and other small objects of each process.
    let given_back = before - group.usage();
    let frees = number(&row, "frees").unwrap();
    assert!((0.0..=6.0 * MIB).contains(&(given_back - frees)), "{given_back} {row:#}");
}

#[test]
fn memory_that_several_processes_map_has_a_row_of_its_own() {
    require_root();
    let mut observer =
        Observer::start(&["mem", "--json", "--budget", "100", "--interval", "0.5", "--top", "1"]);
    observer.report();
    let (workload, pids) = family(None, 64, 3);
    let row = observer.wait_for(|report| {
        let rows = report["objects"].as_array()?.iter();
        rows.filter(|row| row["kind"] == "shared_mapping" && row["name"] == "shared by 4 processes")
            .find(|row| pids.iter().any(|pid| row["holder_pid"] == *pid))
            .cloned()
    });
    assert_eq!(number(&row, "bytes"), Some(64.0 * MIB), "{row:#}");
    workload.quit();
}

#[test]
fn hidden_processes_add_up_to_the_machine() {
    require_root();
    let (workload, _pids) = family(None, 64, 21);
    let output = Observer::command(&["mem", "--budget", "100", "--once", "--top", "1"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let together =
        text.lines().find_map(|line| line.split_once(" more, together ")).expect("there are hidden rows").1;
    let (amount, unit) = together.trim_end_matches('.').split_once(' ').unwrap();
    let unit = match unit {
        "KiB" => 1024.0,
        "MiB" => MIB,
        "GiB" => 1024.0 * MIB,
        _ => panic!("{together}"),
    };
    let meminfo = |name| rollup("/proc/meminfo", name);
    let resident = meminfo("AnonPages") + meminfo("Mapped");
    // Other processes start and exit meanwhile.
    let together = amount.parse::<f64>().unwrap() * unit;
    assert!(together <= resident + 256.0 * MIB, "{together} {resident} {text}");
    workload.quit();
}

#[test]
fn the_growth_of_a_group_counts_processes_that_start_and_that_exit() {
    require_root();
    let mut workload = Workload::start(&["mem", "kinds"]);
    let arguments = [
        "mem",
        "--json",
        "--budget",
        "100",
        "--interval",
        "0.5",
        "--window",
        "600",
        "--by",
        "comm",
        "-c",
        "^born-child$",
    ];
    let mut observer = Observer::start(&arguments);
    observer.report();
    let mut children = BTreeSet::new();
    let row =
        |report: &Value| report["rows"].as_array()?.iter().find(|row| row["comm"] == "born-child").cloned();
    observer.wait_for(|report| {
        let answer = workload.ask("children 2");
        children.extend(answer["children"].as_array()?.iter().filter_map(Value::as_u64));
        let row = row(report)?;
        let (processes, growth) = (number(&row, "processes")?, number(&row, "growth")?);
        let of_all = (1.9 * MIB * (processes - 2.0)..=2.6 * MIB * processes).contains(&growth);
        (of_all && processes >= 12.0 && row["verdict"] == "growing" && number(&row, "rate")? > 0.0)
            .then_some(())
    });
    // Half of them exit: the growth is that of the others.
    let half: Vec<String> = children.iter().take(children.len() / 2).map(u64::to_string).collect();
    assert!(Command::new("kill").arg("-9").args(&half).status().unwrap().success());
    let left = (children.len() - half.len()) as f64;
    observer.wait_for(|report| {
        let row = row(report)?;
        let (processes, growth) = (number(&row, "processes")?, number(&row, "growth")?);
        (processes == left && (1.9 * MIB * left..=2.6 * MIB * left).contains(&growth)).then_some(())
    });
    drop(workload);
}
