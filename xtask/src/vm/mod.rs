//! `cargo xtask vm`: the kernel matrix. Stock distribution kernels under software emulation, as many side by side
//! as there are processors; on each what doctor says, every way of every hook forced once, and the live tests.

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
    guest::{Said, Time},
    page::Column,
    plan::{Boot, Wanted},
    verdicts::{Check, Verdict},
};
pub use self::{
    apt::Apt,
    disk::{BUILD, More},
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

/// What is wanted of the matrix; all of it where nothing is said.
#[derive(Args)]
pub struct Options {
    /// Only this series, such as 6.1; repeatable
    #[arg(long, value_name = "SERIES")]
    kernel: Vec<String>,
    /// Only what doctor says
    #[arg(long, conflicts_with = "test")]
    doctor: bool,
    /// Everything but the live tests
    #[arg(long, conflicts_with_all = ["doctor", "test", "thorough", "script"])]
    no_tests: bool,
    /// Only live tests whose name contains this
    #[arg(long, value_name = "FILTER")]
    test: Option<String>,
    /// All of the live tests, not only those that every kernel runs (xtask/src/vm/guest/chosen.txt)
    #[arg(long, conflicts_with_all = ["test", "doctor", "script"])]
    thorough: bool,
    /// Only the steps in this file, in the words of the guest's own shell (xtask/src/vm/guest)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["test", "doctor"])]
    script: Option<PathBuf>,
}

/// Runs the matrix.
///
/// # Errors
/// When a check fails, a kernel cannot be had, or the emulator cannot run.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let began = Instant::now();
    if ARCH != "x86_64" {
        println!(
            "NOT RUN: the kernels of the matrix are those of x86-64, and what is built here is for {ARCH}"
        );
        return Ok(());
    }
    packages::ensure(packages::EMULATION)?;
    let folder = root.join("target/vm");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    // Two runs would write over each other's kernels, disk and logs: the second waits for the first.
    let lock = fs::File::create(folder.join("lock")).context("making the matrix's lock")?;
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
        Options { no_tests: true, .. } => Wanted::Ways,
        Options { thorough: true, .. } => Wanted::Thorough,
        Options { .. } => Wanted::All,
    };
    disk::make(&disk, &binaries(root, &wanted)?.programs())?;
    let mut guests: Vec<(&Kernel, Boot)> = kernels
        .iter()
        .flat_map(|kernel| plan::boots(&kernel.series, &wanted).into_iter().map(move |boot| (kernel, boot)))
        .collect();
    let order: Vec<String> = guests.iter().map(|(kernel, boot)| boot.name(&kernel.series)).collect();
    // What takes long begins first, or the last of it would run alone: newer kernels have more ways to try.
    guests.reverse();
    guests.sort_by_key(|(_, boot)| !boot.title.is_empty());
    let heard = start_all(&guests, &disk, &folder.join("said"), began)?;
    let mut checks = Vec::new();
    let mut columns = Vec::new();
    let mut surveys = surveys::Surveys::default();
    for ((kernel, boot), said) in guests.iter().zip(&heard) {
        if let Some(step) = said.steps.iter().find(|step| step.name == "doctor") {
            // Of all of them it would be pages; the guests' logs have it.
            if options.doctor && !options.kernel.is_empty() {
                println!("{}", step.output);
            }
            columns.push(column(kernel, boot, Answer::read(&step.output)));
        }
        if let Some(step) = said.steps.iter().find(|step| step.name == "survey") {
            surveys.add(&kernel.series, boot.title, &step.output);
        }
    }
    let judged = heard.iter().zip(&guests).map(|(said, (_, boot))| judge::judge(said, boot));
    let mut judged: Vec<Vec<(String, Verdict)>> = judged.collect();
    if wanted.tries_again() {
        try_again(&mut judged, &heard, &guests, &disk, &folder.join("said/again"), began)?;
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
    checks.extend(surveys.keep(&root.join(surveys::FOLDER))?);
    // A page of a part of the matrix would lack the rest.
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
        "vm: {passed} passed, {failed} failed, {unstable} unstable, {not_run} not run in {} s; one by one in {}",
        began.elapsed().as_secs(),
        table.display()
    );
    if failed > 0 {
        bail!("{failed} checks failed; what each guest said is in {}", folder.join("said").display());
    }
    Ok(())
}

/// Boots all of them, and tells of each when it has ended; each one's log is kept in `logs`.
fn start_all(guests: &[(&Kernel, Boot)], disk: &Path, logs: &Path, began: Instant) -> Result<Vec<Said>> {
    println!("vm: {} guests, {} at a time", guests.len(), together::workers());
    let heard = together::run(guests, |(kernel, boot)| {
        let said = start(kernel, boot, disk, logs, Time::Real);
        let now = began.elapsed().as_secs();
        match &said {
            Ok(said) => {
                let (name, release) = (boot.name(&kernel.series), &kernel.release);
                let (took, processor) = (said.took.as_secs(), said.processor.as_secs());
                let longest = times::longest(said);
                println!(
                    "vm: {name} ({release}): {took} s, {processor} s of a processor, done at {now} s: {longest}"
                );
            }
            Err(error) => println!("vm: {}: {error:#}", boot.name(&kernel.series)),
        }
        said
    });
    heard.into_iter().collect()
}

/// What failed and may have by chance is tried once more; `judged` then has the verdicts of both times.
fn try_again(
    judged: &mut [Vec<(String, Verdict)>],
    heard: &[Said],
    guests: &[(&Kernel, Boot)],
    disk: &Path,
    logs: &Path,
    began: Instant,
) -> Result<()> {
    let mut places = Vec::new();
    let mut more = Vec::new();
    for (place, (kernel, boot)) in guests.iter().enumerate() {
        if let Some(boot) = again::boot(boot, &heard[place], &judged[place]) {
            places.push(place);
            more.push((*kernel, boot));
        }
    }
    if more.is_empty() {
        return Ok(());
    }
    println!("vm: once more, for what failed:");
    let second = start_all(&more, disk, logs, began)?;
    for ((place, said), (_, boot)) in places.into_iter().zip(second).zip(&more) {
        let first = std::mem::take(&mut judged[place]);
        judged[place] = again::both(first, judge::judge(&said, boot));
    }
    Ok(())
}

/// Boots the newest kernel of `series` once, with what `more` names on its disk, and has it do `steps`, in a time that counts
/// instructions.
///
/// # Errors
/// When the kernel cannot be had, or the emulator cannot run.
pub fn alone(
    root: &Path,
    series: &str,
    steps: &str,
    more: impl FnOnce(&Apt, &Kernel) -> Result<More>,
) -> Result<Said> {
    packages::ensure(packages::EMULATION)?;
    let folder = root.join("target/vm");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let lock = fs::File::create(folder.join("lock")).context("making the matrix's lock")?;
    lock.lock().context("waiting for another run of the matrix")?;
    let apt = Apt::prepare(&folder.join("apt"))?;
    let kernel = kernels::newest(&apt, &kernels::known(&apt)?, series, &folder.join("kernels"))?;
    let disk = folder.join("alone.img");
    disk::make(&disk, &more(&apt, &kernel)?)?;
    let boot = plan::boots(series, &Wanted::Script(steps.to_owned())).remove(0);
    start(&kernel, &boot, &disk, &folder.join("said"), Time::Instructions)
}

/// Writes the page where it says something else; a hook that is seen otherwise than the page said before is a change to be
/// looked at. A newer kernel that is seen as the one before is none: a run leaves no change behind that nobody need look at.
fn write_page(root: &Path, columns: &[Column]) -> Result<Verdict> {
    let path = root.join(PAGE);
    let before = fs::read_to_string(&path).unwrap_or_default();
    let page = page::page(columns);
    if page::agree(&before, &page) {
        return Ok(Verdict::Passed);
    }
    fs::write(&path, &page).with_context(|| format!("writing {}", path.display()))?;
    let changed = format!("the kernels are seen otherwise than {PAGE} said: look at the change, commit it");
    Ok(match () {
        () if page::same_kernels(&before, &page) => Verdict::Failed(changed),
        // As for a survey: of a newer kernel it is nobody's mistake.
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
    let kept = folder.join("kernels");
    series.into_iter().map(|series| kernels::newest(&apt, &known, series, &kept)).collect()
}

/// Builds what runs in the guests: observer and, where they are wanted, the tests of the host. Under emulation what is not
/// optimised takes a multiple of the time: where observer is started more than once, all is.
fn binaries(root: &Path, wanted: &Wanted) -> Result<Binaries> {
    // Without the programs that measure, which no guest runs.
    const OPTIMISED: [&str; 3] = ["--profile", "guest", "--no-default-features"];
    let target = root.join("target");
    let built = target.join("guest");
    let mut build = process::cargo(root);
    build.args(["build", "--package", "observer", "--bin", "observer"]);
    if *wanted == Wanted::Doctor {
        process::run(&mut build)?;
        return Ok(Binaries { observer: target.join("debug/observer"), tests: None });
    }
    if *wanted == Wanted::Ways {
        process::run(build.args(OPTIMISED))?;
        return Ok(Binaries { observer: built.join("observer"), tests: None });
    }
    // Together, so that both are built with the same features. With a test cargo builds the programs beside it, of which the
    // workload is one.
    process::run(build.args(["--package", "observer-tests", "--bin", "workload"]).args(OPTIMISED))?;
    let mut command = process::cargo(root);
    command.args(["test", "--package", "observer-tests", "--test", "live", "--no-run"]).args(OPTIMISED);
    println!("$ {}", process::line(&command));
    let said = process::output(command.arg("--message-format=json"))?;
    let live = said
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "live")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo does not say where it built the live tests")?;
    Ok(Binaries {
        observer: built.join("observer"),
        tests: Some(Tests { workload: built.join("workload"), live }),
    })
}

fn start(kernel: &Kernel, boot: &Boot, disk: &Path, logs: &Path, time: Time) -> Result<Said> {
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
