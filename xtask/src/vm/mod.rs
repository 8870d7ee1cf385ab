//! `cargo xtask vm`: the kernel matrix. It boots stock distribution kernels under software emulation, as many at a time
//! as there are processors. On each it runs doctor, forces every alternative of every hook once, and runs the live
//! tests.

use std::{
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::{
    answers::Answer,
    disk::{Binaries, Tests},
    guest::{GuestReport, Time},
    page::Column,
    plan::{Boot, Wanted},
    verdicts::{Check, Verdict},
};
pub use self::{
    apt::Apt,
    disk::{Additions, BUILD},
    kernels::Kernel,
};
use crate::{packages, process};

mod again;
mod answers;
mod apt;
mod archive;
mod disk;
mod guest;
mod judge;
mod kernels;
mod modules;
mod page;
mod plan;
mod sources;
mod surveys;
mod times;
mod together;
mod verdicts;

/// The page that the matrix writes.
const PAGE: &str = "docs/kernels.md";

/// Options of the matrix; without any, all of it runs.
#[derive(Args)]
pub struct Options {
    /// Only this series, such as 6.1; repeatable
    #[arg(long, value_name = "SERIES")]
    kernel: Vec<String>,
    /// Only run doctor
    #[arg(long, conflicts_with = "test")]
    doctor: bool,
    /// Everything except the live tests
    #[arg(long, conflicts_with_all = ["doctor", "test", "thorough", "script"])]
    no_tests: bool,
    /// Only live tests with names that contain this
    #[arg(long, value_name = "FILTER")]
    test: Option<String>,
    /// All live tests, not only those that every kernel runs (xtask/src/vm/guest/chosen.txt)
    #[arg(long, conflicts_with_all = ["test", "doctor", "script"])]
    thorough: bool,
    /// Only the steps in this file, a script for the guest's shell (xtask/src/vm/guest)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["test", "doctor"])]
    script: Option<PathBuf>,
}

/// Runs the matrix.
///
/// # Errors
/// When a check fails, a kernel is not available, or the emulator cannot run.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let began = Instant::now();
    if ARCH != "x86_64" {
        println!("NOT RUN: the kernels of the matrix are for x86-64, and this build is for {ARCH}");
        return Ok(());
    }
    packages::ensure(packages::EMULATION)?;
    let folder = root.join("target/vm");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    // Two runs would overwrite each other's kernels, disk and logs, so the second waits for the first.
    let lock = fs::File::create(folder.join("lock")).context("creating the lock of the matrix")?;
    lock.lock().context("waiting for another run of the matrix")?;
    let kernels = kernels(options, &folder)?;
    let disk = folder.join("disk.img");
    let wanted = match options {
        Options { script: Some(path), .. } => {
            let script = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            Wanted::Script(script)
        }
        Options { test: Some(filter), .. } => Wanted::Tests(filter.clone()),
        Options { doctor: true, .. } => Wanted::Doctor,
        Options { no_tests: true, .. } => Wanted::Alternatives,
        Options { thorough: true, .. } => Wanted::Thorough,
        Options { .. } => Wanted::All,
    };
    disk::make(&disk, &binaries(root, &wanted)?.programs())?;
    let mut guests: Vec<(&Kernel, Boot)> = kernels
        .iter()
        .flat_map(|kernel| plan::boots(&kernel.series, &wanted).into_iter().map(move |boot| (kernel, boot)))
        .collect();
    let order: Vec<String> = guests.iter().map(|(kernel, boot)| boot.name(&kernel.series)).collect();
    // The longest guests start first, so that none of them runs alone at the end. Newer kernels have more alternatives.
    guests.reverse();
    guests.sort_by_key(|(_, boot)| !boot.title.is_empty());
    let reports = start_all(&guests, &disk, &folder.join("logs"), began)?;
    let mut checks = Vec::new();
    let mut columns = Vec::new();
    let mut surveys = surveys::Surveys::default();
    for ((kernel, boot), report) in guests.iter().zip(&reports) {
        if let Some(step) = report.steps.iter().find(|step| step.name == "doctor") {
            // For all kernels this would be long; the logs of the guests contain it.
            if options.doctor && !options.kernel.is_empty() {
                println!("{}", step.output);
            }
            columns.push(column(kernel, boot, Answer::read(&step.output)));
        }
        if let Some(step) = report.steps.iter().find(|step| step.name == "survey") {
            surveys.add(&kernel.series, boot.title, &step.output);
        }
    }
    let judged = reports.iter().zip(&guests).map(|(report, (_, boot))| judge::judge(report, boot));
    let mut judged: Vec<Vec<(String, Verdict)>> = judged.collect();
    if wanted.repeats_failures() {
        repeat_failures(&mut judged, &reports, &guests, &disk, &folder.join("logs/again"), began)?;
    }
    for ((kernel, boot), judged) in guests.iter().zip(judged) {
        let title = boot.name(&kernel.series);
        checks.extend(judged.into_iter().map(|(name, verdict)| Check {
            kernel: title.clone(),
            name,
            verdict,
        }));
    }
    columns.sort_by_key(|column| order.iter().position(|name| *name == column.title));
    checks.extend(surveys.write(&root.join(surveys::FOLDER))?);
    // The page needs the whole matrix.
    if options.kernel.is_empty() && wanted.has_every_start() {
        checks.push(Check {
            kernel: "all".to_owned(),
            name: PAGE.to_owned(),
            verdict: write_page(root, &columns)?,
        });
    }
    let table = folder.join("table.txt");
    fs::write(&table, verdicts::table(&checks)).with_context(|| format!("writing {}", table.display()))?;
    print!("{}", verdicts::decisive(&checks));
    let verdicts::Sums { passed, failed, unstable, not_run } = verdicts::sums(&checks);
    println!(
        "vm: {passed} passed, {failed} failed, {unstable} unstable, {not_run} not run in {} s; all verdicts in {}",
        began.elapsed().as_secs(),
        table.display()
    );
    if failed > 0 {
        bail!("{failed} checks failed; the output of each guest is in {}", folder.join("logs").display());
    }
    Ok(())
}

/// Boots all guests, and prints a line when one ends. The output of each goes to `logs`.
fn start_all(
    guests: &[(&Kernel, Boot)],
    disk: &Path,
    logs: &Path,
    began: Instant,
) -> Result<Vec<GuestReport>> {
    println!("vm: {} guests, {} at a time", guests.len(), together::workers());
    let reports = together::run(guests, |(kernel, boot)| {
        let report = start(kernel, boot, disk, logs, Time::Real);
        let now = began.elapsed().as_secs();
        match &report {
            Ok(report) => {
                let (name, release) = (boot.name(&kernel.series), &kernel.release);
                let (took, processor) = (report.took.as_secs(), report.processor.as_secs());
                let longest = times::longest(report);
                println!(
                    "vm: {name} ({release}): {took} s, {processor} s of processor time, done at {now} s: {longest}"
                );
            }
            Err(error) => println!("vm: {}: {error:#}", boot.name(&kernel.series)),
        }
        report
    });
    reports.into_iter().collect()
}

/// Repeats failed checks that may be unstable; `judged` then has the verdicts of both runs.
fn repeat_failures(
    judged: &mut [Vec<(String, Verdict)>],
    reports: &[GuestReport],
    guests: &[(&Kernel, Boot)],
    disk: &Path,
    logs: &Path,
    began: Instant,
) -> Result<()> {
    let mut indices = Vec::new();
    let mut more = Vec::new();
    for (index, (kernel, boot)) in guests.iter().enumerate() {
        if let Some(boot) = again::boot(boot, &reports[index], &judged[index]) {
            indices.push(index);
            more.push((*kernel, boot));
        }
    }
    if more.is_empty() {
        return Ok(());
    }
    println!("vm: repeating failed checks:");
    let second = start_all(&more, disk, logs, began)?;
    for ((index, report), (_, boot)) in indices.into_iter().zip(second).zip(&more) {
        let first = std::mem::take(&mut judged[index]);
        judged[index] = again::both(first, judge::judge(&report, boot));
    }
    Ok(())
}

/// Boots the newest kernel of `series` once, with `additions` on its disk, and runs `steps` with a clock that counts
/// instructions.
///
/// # Errors
/// When the kernel is not available, or the emulator cannot run.
pub fn alone(
    root: &Path,
    series: &str,
    steps: &str,
    additions: impl FnOnce(&Apt, &Kernel) -> Result<Additions>,
) -> Result<GuestReport> {
    packages::ensure(packages::EMULATION)?;
    let folder = root.join("target/vm");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let lock = fs::File::create(folder.join("lock")).context("creating the lock of the matrix")?;
    lock.lock().context("waiting for another run of the matrix")?;
    let apt = Apt::prepare(&folder.join("apt"))?;
    let kernel = kernels::newest(&apt, &kernels::known(&apt)?, series, &folder.join("kernels"))?;
    let disk = folder.join("alone.img");
    disk::make(&disk, &additions(&apt, &kernel)?)?;
    let boot = plan::boots(series, &Wanted::Script(steps.to_owned())).remove(0);
    start(&kernel, &boot, &disk, &folder.join("logs"), Time::Instructions)
}

/// Writes the page if a hook changed. A newer kernel with the same hooks is no change, so a run leaves no irrelevant
/// diff.
fn write_page(root: &Path, columns: &[Column]) -> Result<Verdict> {
    let path = root.join(PAGE);
    let before = fs::read_to_string(&path).unwrap_or_default();
    let page = page::page(columns);
    if page::agree(&before, &page) {
        return Ok(Verdict::Passed);
    }
    fs::write(&path, &page).with_context(|| format!("writing {}", path.display()))?;
    let changed = format!("the hooks differ from {PAGE}: check the change and commit it");
    Ok(match () {
        () if page::same_kernels(&before, &page) => Verdict::Failed(changed),
        // As for a survey, a difference of a newer kernel is no error.
        () => Verdict::NotRun(changed),
    })
}

fn kernels(options: &Options, folder: &Path) -> Result<Vec<Kernel>> {
    let apt = Apt::prepare(&folder.join("apt"))?;
    let known = kernels::known(&apt)?;
    let series: Vec<&str> = match options.kernel.as_slice() {
        [] => kernels::SERIES.to_vec(),
        chosen => chosen.iter().map(String::as_str).collect(),
    };
    let cache = folder.join("kernels");
    series.into_iter().map(|series| kernels::newest(&apt, &known, series, &cache)).collect()
}

/// Builds the programs of the guests: observer and, if requested, the live tests. Emulation makes unoptimised code very
/// slow, so everything is optimised if observer starts more than once.
fn binaries(root: &Path, wanted: &Wanted) -> Result<Binaries> {
    // Without the measuring programs, which no guest runs.
    const OPTIMISED: [&str; 3] = ["--profile", "guest", "--no-default-features"];
    let target = root.join("target");
    let built = target.join("guest");
    let mut build = process::cargo(root);
    build.args(["build", "--package", "observer", "--bin", "observer"]);
    if *wanted == Wanted::Doctor {
        process::run(&mut build)?;
        return Ok(Binaries { observer: target.join("debug/observer"), tests: None });
    }
    if *wanted == Wanted::Alternatives {
        process::run(build.args(OPTIMISED))?;
        return Ok(Binaries { observer: built.join("observer"), tests: None });
    }
    // Both packages in one build, so that they get the same features. For a test, cargo also builds the package's
    // programs, among them the workload.
    process::run(build.args(["--package", "observer-tests", "--bin", "workload"]).args(OPTIMISED))?;
    let mut command = process::cargo(root);
    command.args(["test", "--package", "observer-tests", "--test", "live", "--no-run"]).args(OPTIMISED);
    println!("$ {}", process::line(&command));
    let output = process::output(command.arg("--message-format=json"))?;
    let live = output
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "live")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo does not report the path of the live tests")?;
    Ok(Binaries {
        observer: built.join("observer"),
        tests: Some(Tests { workload: built.join("workload"), live }),
    })
}

fn start(kernel: &Kernel, boot: &Boot, disk: &Path, logs: &Path, time: Time) -> Result<GuestReport> {
    let guest = guest::Guest {
        kernel,
        disk,
        command_line: &boot.command_line,
        steps: &boot.steps,
        time,
        log: logs.join(format!("{}.log", boot.name(&kernel.series))),
    };
    guest.run()
}

fn column(kernel: &Kernel, boot: &Boot, answer: Answer) -> Column {
    Column { title: boot.name(&kernel.series), release: kernel.release.clone(), answer }
}
