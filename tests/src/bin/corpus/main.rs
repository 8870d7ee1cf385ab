//! Records the corpus, and measures the verdicts on it. `cargo xtask corpus` runs this.
//!
//! `corpus record [PART]`: runs every workload of a part (`build.toml`, `second.toml`, `third.toml`, `untouched.toml`
//! in `tests/corpus/`), or of all, and writes `tests/corpus/recordings/`. `corpus try PART SECONDS WORDS`: runs those
//! with names that contain WORDS, and keeps nothing. `corpus labels PART [WORD…]`: checks labels without the verdicts,
//! of all runs or of those with a WORD in their names. `corpus eval [--untouched]`: prints the figures; without the
//! flag only of the parts that the algorithm was built on. `corpus alarms RECORDING [LIST…]`: prints the verdicts
//! `leak` on a machine without a planted leak. `corpus cut WHOLE LIST TO`: cuts a whole recording to the processes of a
//! list, as `record` writes both to `target/`. `corpus series RECORDING`: prints the series of each process: time,
//! resident bytes, mapped bytes, rate and its interval.

use std::{collections::BTreeMap, fs, path::Path, process::Command, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

mod alarms;
mod batch;
mod cut;
mod evaluate;
mod labels;
mod load;
mod manifest;
mod proportion;
mod replayed;

use batch::Places;
use manifest::{Manifest, Part, Run};

/// The least observed time of a run, seconds.
const SECONDS: u64 = 1500;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corpus: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's root")?;
    match words {
        ["record"] => Part::ALL.iter().try_for_each(|part| record(root, *part, SECONDS, "")),
        ["record", part] => record(root, Part::named(part)?, SECONDS, ""),
        ["labels", part, only @ ..] => try_labels(root, Part::named(part)?, only),
        ["eval"] => built_on(root),
        ["eval", "--untouched"] => built_on(root).and_then(|()| untouched(root)),
        ["alarms", recording, lists @ ..] => alarms::count(Path::new(recording), lists),
        ["series", recording] => series(Path::new(recording)),
        ["cut", whole, list, to] => cut_again(Path::new(whole), Path::new(list), Path::new(to)),
        ["try", part, seconds, only] => record(root, Part::named(part)?, seconds.parse()?, only),
        _ => bail!(
            "corpus record [PART] | labels PART [WORD…] | eval [--untouched] | alarms RECORDING [LIST…] | series RECORDING | cut WHOLE LIST TO | try PART SECONDS WORDS"
        ),
    }
}

/// Prints the figures of the parts that the algorithm was built on.
fn built_on(root: &Path) -> Result<()> {
    let figures = evaluate::evaluate(root, &Part::BUILT_ON)?;
    println!("## The parts that the algorithm was built on\n\n{}", figures.page());
    Ok(())
}

/// Prints the figures of the untouched part.
fn untouched(root: &Path) -> Result<()> {
    let page = match Part::Untouched.recordings(root).is_dir() {
        true => evaluate::evaluate(root, &[Part::Untouched])?.page(),
        false => "Nothing of it is recorded yet.".to_owned(),
    };
    println!("## The untouched part\n\n{page}");
    Ok(())
}

/// Prints the series of each process, for plotting.
fn series(recording: &Path) -> Result<()> {
    for history in replayed::play(recording)? {
        println!("# {} {} {}", history.name, history.id.pid(), history.id.start);
        for verdict in &history.verdicts {
            let [rate, low, high] = verdict.rate.unwrap_or([f64::NAN; 3]);
            println!("{:.3} {} {} {rate:.1} {low:.1} {high:.1}", verdict.at, verdict.held, verdict.asked);
        }
    }
    Ok(())
}

/// Cuts a whole recording to the runs of a list, which has a process id and a name per line.
fn cut_again(whole: &Path, list: &Path, to: &Path) -> Result<()> {
    let mut names = BTreeMap::new();
    for line in fs::read_to_string(list).with_context(|| list.display().to_string())?.lines() {
        let (pid, name) = line.split_once(' ').with_context(|| format!("{line}: no id and name"))?;
        names.insert(name.to_owned(), pid.parse()?);
    }
    let bytes = cut::cut(whole, &names, to)?;
    eprintln!("{} runs; {bytes} bytes", names.len());
    Ok(())
}

/// Checks the labels of the runs of a part, or only of those with one of `only` in their names.
fn try_labels(root: &Path, part: Part, only: &[&str]) -> Result<()> {
    let mut runs = Manifest::read(root, part)?.runs();
    runs.retain(|run| only.is_empty() || only.iter().any(|word| run.name().contains(word)));
    labels::check(&runs, &places(root)?)
}

/// The paths of the corpus, after building its programs.
fn places(root: &Path) -> Result<Places<'_>> {
    let observer = std::env::current_exe()?.with_file_name("observer");
    let built = root.join("target/corpus");
    prepare(root, &built)?;
    Ok(Places { root, built, observer })
}

/// Records every run of a part with `only` in its name.
fn record(root: &Path, part: Part, seconds: u64, only: &str) -> Result<()> {
    let manifest = Manifest::read(root, part)?;
    let places = places(root)?;
    let recordings = if only.is_empty() { part.recordings(root) } else { places.built.join("tried") };
    fs::create_dir_all(&recordings)?;
    let batches = part.batches();
    for batch in 0..batches {
        let mine = |(number, run): &(usize, Run)| {
            (if run.index < batches { run.index } else { number % batches }) == batch
        };
        let runs: Vec<Run> =
            manifest.runs().into_iter().enumerate().filter(mine).map(|(_, run)| run).collect();
        let mut runs: Vec<Run> = runs.into_iter().filter(|run| run.workload.name.contains(only)).collect();
        // The first half starts before the observer: one run of each workload, not only leaks.
        runs.sort_by_key(|run| run.index);
        if runs.is_empty() {
            continue;
        }
        eprintln!("batch {}: {} runs", batch + 1, runs.len());
        let whole = places.built.join(format!("whole-{}-{}.recording", part.name(), batch + 1));
        let names = batch::record(&runs, Duration::from_secs(seconds), &whole, &places)?;
        let list: String = names.iter().map(|(name, pid)| format!("{pid} {name}\n")).collect();
        fs::write(places.built.join(format!("whole-{}-{}.names", part.name(), batch + 1)), list)?;
        let to = recordings.join(format!("{}.recording", batch + 1));
        let bytes = cut::cut(&whole, &names, &to)?;
        eprintln!(
            "batch {}: {} of {} runs reached the end; {bytes} bytes",
            batch + 1,
            names.len(),
            runs.len()
        );
    }
    Ok(())
}

/// Builds the programs, and their shared files.
fn prepare(root: &Path, built: &Path) -> Result<()> {
    fs::create_dir_all(built)?;
    let programs = root.join("tests/corpus/programs");
    let run = |command: &mut Command| -> Result<()> {
        let status = command.status().with_context(|| format!("{command:?}"))?;
        ensure!(status.success(), "{command:?} failed");
        Ok(())
    };
    let build = |words: &[&str], from: &str, to: &str| {
        run(Command::new(words[0]).args(&words[1..]).arg(built.join(to)).arg(programs.join(from)))
    };
    build(&["cc", "-O1", "-pthread", "-o"], "shapes.c", "shapes-c")?;
    build(&["musl-gcc", "-O1", "-static", "-o"], "stores.c", "stores-musl")?;
    run(Command::new("cc")
        .args(["-O1", "-DCOLLECTED", "-o"])
        .arg(built.join("stores-collected"))
        .arg(programs.join("stores.c"))
        .arg("-lgc"))?;
    build(&["cc", "-O1", "-o"], "stores.c", "stores-c")?;
    build(&["c++", "-O1", "-o"], "stores.cpp", "stores-cpp")?;
    build(&["rustc", "--edition=2024", "-O", "-o"], "stores.rs", "stores-rust")?;
    run(Command::new("mcs")
        .arg(format!("-out:{}", built.join("Stores.exe").display()))
        .arg(programs.join("Stores.cs")))?;
    for (from, to) in [("shapes.go", "shapes-go"), ("stores.go", "stores-go")] {
        build(&["go", "build", "-o"], from, to)?;
    }
    build(&["gdc", "-O1", "-o"], "stores.d", "stores-d")?;
    let output = |option: &str, name: &str| format!("{option}{}", built.join(name).display());
    run(Command::new("fpc")
        .args(["-O1", "-v0", &output("-FU", ""), &output("-o", "stores-pascal")])
        .arg(programs.join("stores.pas")))?;
    run(Command::new("nim")
        .args([
            "compile",
            "--hints:off",
            "-d:release",
            &output("--nimcache:", "nim"),
            &output("-o:", "stores-nim"),
        ])
        .arg(programs.join("stores.nim")))?;
    for class in ["Shapes.java", "Stores.java"] {
        run(Command::new("javac").arg("-d").arg(built).arg(programs.join(class)))?;
    }
    let cluster = built.join("postgres");
    if !cluster.exists() {
        // initdb does not run as root, and other users may have no access to the build folder.
        let place = std::env::temp_dir().join(format!("corpus-{}", std::process::id()));
        fs::create_dir_all(&place)?;
        run(Command::new("chown").arg("postgres").arg(&place))?;
        run(Command::new("setpriv")
            .args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"])
            .args(["/usr/lib/postgresql/15/bin/initdb", "-N", "-D"])
            .arg(place.join("d"))
            .stdout(std::process::Stdio::null()))?;
        run(Command::new("cp").arg("-r").arg(place.join("d")).arg(&cluster))?;
        fs::remove_dir_all(place)?;
    }
    Ok(())
}
