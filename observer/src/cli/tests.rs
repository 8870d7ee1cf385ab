//! Every command and flag of the contract is accepted; an error advises what to do.

use std::time::Duration;

use clap::error::ErrorKind;

use super::*;

fn at_terminal(line: &str) -> Result<Command, clap::Error> {
    parse(line.split_whitespace().map(OsString::from), Terminal { terminal: true, keys: false })
}

fn watch(line: &str) -> Watch {
    match at_terminal(line) {
        Ok(Command::Watch(watch)) => *watch,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    let error = at_terminal(line).expect_err(line);
    assert_eq!(error.exit_code(), 2, "{line}");
    error.to_string()
}

#[test]
fn the_flags_contradict_nobody() {
    args::command_line().debug_assert();
}

#[test]
fn each_command_of_the_contract_is_understood() {
    for (line, view) in [
        ("observer", OVERVIEW),
        ("observer overview --count 3", OVERVIEW),
        ("observer replay night.obs overview", OVERVIEW),
        ("observer mem", observer_mem::views::MEM),
        ("observer mem --where -p 42", observer_sites::views::MEM_WHERE),
        ("observer disk", observer_disk::views::DISK),
        ("observer disk --deleted-open", observer_disk::views::DELETED_OPEN),
        ("observer net", observer_net::views::NET),
        ("observer net --top", observer_net::views::NET),
        ("observer net --connections", observer_net::views::CONNECTIONS),
        ("observer net --listen", observer_net::views::LISTEN),
        ("observer replay night.obs mem", observer_mem::views::MEM),
        ("observer replay night.obs disk --deleted-open", observer_disk::views::DELETED_OPEN),
        ("observer replay night.obs net --connections --top 3", observer_net::views::CONNECTIONS),
    ] {
        assert_eq!(watch(line).request.view, view, "{line}");
    }
}

#[test]
fn defaults_are_those_of_the_contract() {
    let watch = watch("observer mem");
    assert_eq!(watch.format, Format::Screen);
    assert_eq!(
        watch.timing,
        Timing { interval: Duration::from_secs(1), once: false, count: None, duration: None }
    );
    assert_eq!(watch.request.window, 60.0);
    assert!(watch.request.resolve && !watch.request.cmdline);
    let Source::Kernel { live, record: None } = watch.source else { panic!("{watch:?}") };
    assert_eq!(live.budget, 0.01);
    assert!(live.iterators && live.events && live.cache);
}

#[test]
fn top_alone_is_ten() {
    assert_eq!(watch("observer net --top").request.top, Some(10));
    assert_eq!(watch("observer net --top 3").request.top, Some(3));
    assert_eq!(watch("observer net --top --json").request.top, Some(10));
    assert_eq!(watch("observer net").request.top, None);
}

#[test]
fn a_minus_sorts_ascending() {
    assert_eq!(
        watch("observer mem --sort -rss").request.sort,
        Some(Sort { column: "rss".to_owned(), ascending: true })
    );
    assert_eq!(
        watch("observer mem --sort rss").request.sort,
        Some(Sort { column: "rss".to_owned(), ascending: false })
    );
    assert!(refused("observer mem --sort --top").contains("name of a column"));
}

#[test]
fn processes_are_chosen_by_number_and_name() {
    let request = watch("observer mem -p 7 -p 9 -c ^re").request;
    assert_eq!(request.pids, [7, 9]);
    assert!(request.comm.is_some_and(|comm| comm.is_match("redis") && !comm.is_match("core")));
}

#[test]
fn where_nobody_watches_tables_are_plain() {
    let piped = |line: &str| {
        let arguments = line.split_whitespace().map(OsString::from);
        match parse(arguments, Terminal { terminal: false, keys: false }) {
            Ok(Command::Watch(watch)) => watch.format,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(piped("observer mem"), Format::Plain);
    assert_eq!(piped("observer mem --json"), Format::Json);
    assert_eq!(watch("observer mem --plain").format, Format::Plain);
}

#[test]
fn observer_alone_is_an_overview_that_ends_where_it_cannot_be_redrawn() {
    let alone = |terminal| match parse([OsString::from("observer")], Terminal { terminal, keys: false }) {
        Ok(Command::Watch(watch)) => (watch.request.view, watch.format, watch.timing.once),
        other => panic!("{other:?}"),
    };
    assert_eq!(alone(true), (OVERVIEW, Format::Screen, false));
    assert_eq!(alone(false), (OVERVIEW, Format::Plain, true));
}

#[test]
fn a_recording_is_of_everything_unless_told() {
    let recorded = |line: &str| match at_terminal(line) {
        Ok(Command::Record(record)) => {
            let names = record.domains.iter().map(|view| domains::of(*view).declaration().name);
            names.collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(recorded("observer record -o f"), ["mem", "disk", "net"]);
    assert_eq!(recorded("observer record -o f net mem net"), ["mem", "net"]);
}

#[test]
fn wrong_values_are_refused_with_what_to_do() {
    for (line, advice) in [
        ("observer mem --interval 0", "from 0.01"),
        ("observer mem --interval -1", "from 0.01"),
        ("observer mem --interval NaN", "from 0.01"),
        ("observer mem --interval inf", "from 0.01"),
        ("observer mem --interval soon", "such as 1 or 0.5"),
        ("observer mem --once --count 2", "cannot be used with"),
        ("observer mem --once --duration 2", "cannot be used with"),
        ("observer mem --count 0", "from 1"),
        ("observer mem --top 0", "from 1"),
        ("observer mem --budget 0", "more than 0"),
        ("observer mem --by remote", "observer net"),
        ("observer mem --by colour", "container"),
        ("observer mem -c (", "escape"),
        ("observer mem -p init", "use -c"),
        ("observer mem --json --plain", "cannot be used with"),
        ("observer mem --window 1 --interval 5", "longer"),
        ("observer mem --interval 5 --duration 2", "longer"),
        ("observer net --listen --connections", "cannot be used with"),
        ("observer replay f mem --record g", "unexpected argument"),
        ("observer record", "--output <FILE>"),
        ("observer memory", "mem"),
        ("observer overview --window 1 --interval 5", "longer"),
        ("observer overview --top 3", "unexpected argument"),
    ] {
        let message = refused(line);
        assert!(message.contains(advice), "{line}: {message}");
    }
}

#[test]
fn net_rows_can_be_by_remote() {
    assert_eq!(watch("observer net --by remote").request.by, GroupBy::Remote);
    assert_eq!(watch("observer replay f net --by remote").request.by, GroupBy::Remote);
    let connections = watch("observer net --top --by connection").request;
    assert_eq!((connections.view, connections.by), (observer_net::views::CONNECTIONS, GroupBy::Process));
}

#[test]
fn help_is_no_error() {
    for line in ["observer --help", "observer mem --help", "observer --version"] {
        let error = at_terminal(line).expect_err(line);
        assert_eq!(error.exit_code(), 0, "{line}");
    }
    assert_eq!(at_terminal("observer -h").map(drop).map_err(|e| e.kind()), Err(ErrorKind::DisplayHelp));
}

#[test]
fn halves_of_the_hooks_can_be_switched_off() {
    let Source::Kernel { live, .. } = watch("observer mem --without events").source else { panic!() };
    assert!(live.iterators && !live.events);
}

#[test]
fn a_terminal_with_keys_opens_the_instrument_for_a_run_without_an_end() {
    let format = |line: &str, terminal, keys| {
        let arguments = line.split_whitespace().map(OsString::from);
        match parse(arguments, Terminal { terminal, keys }) {
            Ok(Command::Watch(watch)) => watch.format,
            other => panic!("{line}: {other:?}"),
        }
    };
    for line in ["observer", "observer overview", "observer mem", "observer net --connections --sort rtt"] {
        assert_eq!(format(line, true, true), Format::Instrument, "{line}");
        assert_eq!(format(line, true, false), Format::Screen, "{line}");
        assert_eq!(format(line, false, true), Format::Plain, "{line}");
    }
    for end in ["--once", "--count 3", "--duration 3"] {
        assert_eq!(format(&format!("observer mem {end}"), true, true), Format::Screen, "{end}");
    }
    assert_eq!(format("observer mem --plain", true, true), Format::Plain);
    assert_eq!(format("observer mem --json", true, true), Format::Json);
}

#[test]
fn call_paths_are_written_for_the_view_that_has_them() {
    assert_eq!(watch("observer mem --where --format folded").format, Format::Folded);
    assert_eq!(watch("observer replay x.obs mem --where --format folded").format, Format::Folded);
    for line in ["observer mem --format folded", "observer mem --where --format folded --json"] {
        refused(line);
    }
}
