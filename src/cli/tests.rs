//! The command line: what it means, what its texts are, and what its mistakes are told.

use super::args::{AppName, Client, Command, Loopback, Server};
use super::load_args::Workload;
use super::*;
use crate::app::workload::{Arrival, CloseBy};
use core::time::Duration;

mod mistakes;

fn parse_line(line: &str) -> Result<Request, Failure> {
    let words = core::iter::once("lastack").chain(line.split_whitespace());
    parse(words.map(OsString::from))
}

#[track_caller]
fn command(line: &str) -> Command {
    match parse_line(line) {
        Ok(Request::Run(_, command)) => *command,
        other => panic!("{line}: {other:?}"),
    }
}

#[track_caller]
fn told(line: &str) -> String {
    let failure = parse_line(line).expect_err(line);
    assert_eq!(failure.status(), 2, "{line}");
    let text = failure.to_string();
    assert!(!text.contains('\n'), "{line}: one line is expected, not {text:?}");
    text
}

#[test]
fn each_bad_value_is_told_with_its_option_and_what_is_allowed() {
    let time = "a time with its unit is expected, as in 1h30m, 30s, 200ms or 50us";
    for (option, value, allowed) in [
        ("--msl", "30", time),
        ("--rto-min", "fast", time),
        ("--duration", "5min", &format!("{time}, or forever")),
        ("--warmup", "-1s", time),
        ("--stats-period", "x", "seconds are expected, as in 1, 0.5 or 200ms"),
        ("--address", "198.18.0.1", "prefix length missing: ADDRESS/LENGTH, as in 198.18.0.1/24"),
        ("--address", "198.18.0.1/40", "prefix length is not a number from 0 to 32"),
        ("--gateway", "router", "an IPv4 or IPv6 address is expected"),
        ("--neighbour", "198.18.0.1", "IP=MAC is expected, as in 198.18.0.1=02:00:00:00:00:01"),
        ("--vlan", "4095", "a number from 1 to 4094 is expected"),
        ("--cores", "0", "a number from 1 to 16 is expected"),
        ("--burst", "65", "a number from 1 to 64 is expected"),
        ("--mss", "40", "a number from 88 to 65495 is expected, as in 100 or 10k"),
        (
            "--connect",
            "198.18.0.2",
            "ADDR:PORT is expected, as in 198.18.0.2:80 or [2001:db8::2]:80",
        ),
        (
            "--connect",
            "198.18.0.2:0",
            "ADDR:PORT is expected, as in 198.18.0.2:80 or [2001:db8::2]:80",
        ),
        ("--connections", "0", "a number from 1 to 10000000 is expected, as in 100 or 10k"),
        ("--rate", "0", "a positive rate is expected, as in 500, 10k or 1.5M/s"),
        ("--syn-limit", "0", "a number from 1 to 65534 is expected, as in 100 or 10k, or off"),
        ("--syn-cache", "0", "a number from 1 to 100000000 is expected, as in 100 or 10k"),
        ("--request-size", "0", "a size from 1 to 1G is expected, as in 64, 4k or 1M"),
        ("--response-size", "2G", "a size from 1 to 1G is expected, as in 64, 4k or 1M"),
    ] {
        let line = format!("loopback {option}={value}");
        assert_eq!(told(&line), format!("{option} {value}: {allowed}"));
    }
}

#[test]
fn each_choice_is_told_with_what_there_is() {
    for (line, text) in [
        ("loopback --time-wait never", "--time-wait never: expected strict or reuse or off"),
        ("loopback --rfc1337 yes", "--rfc1337 yes: expected on or off"),
        ("loopback --congestion bbr", "--congestion bbr: expected cubic or newreno"),
        ("loopback --workload x", "--workload x: expected connect or crr or rr or stream or http"),
        ("loopback --rate 5 --arrival x", "--arrival x: expected fixed or poisson"),
        ("loopback --close x", "--close x: expected client or server or reset"),
        ("server --app ftp", "--app ftp: expected echo or discard or chargen or http or rr"),
    ] {
        assert_eq!(told(line), text);
    }
}

#[test]
fn other_mistakes() {
    for (line, text) in [
        (
            "",
            "a command is expected: loopback, server, client, report or doctor (see `lastack --help`)",
        ),
        ("sever", "sever: no such command: loopback, server, client, report or doctor is expected"),
        ("loopback --conections 5", "--conections: no such option: did you mean --connections?"),
        (
            "server --zzz",
            "--zzz: no such option: see `lastack COMMAND --help`; EAL options go before `--`",
        ),
        ("loopback --arrival fixed", "--rate is needed beside --arrival"),
        ("loopback --msl 1s --msl 2s", "--msl is given twice: once is expected"),
        ("loopback --msl", "--msl without a value: a value is expected"),
        ("loopback --pipeline 2", "--pipeline 2: crr has 1 request under way; use --workload rr"),
        (
            "client --requests-per-connection 5",
            "--requests-per-connection 5: crr makes 1 on each connection; use --workload rr",
        ),
        (
            "loopback --duration never",
            "--duration never: a time with its unit is expected, as in 1h30m, 30s, 200ms or 50us, or forever",
        ),
        (
            "server --address-check-time 2ms",
            "--address-check-time 2ms: 3ms to 60s is expected; --address-check off checks nothing",
        ),
        (
            "loopback --duration 2s --warmup 2s",
            "--warmup 2s: a time shorter than --duration 2s is expected",
        ),
        (
            "client --workload connect --pipeline 2",
            "--pipeline: connect makes no requests; use rr or http",
        ),
        (
            "client --workload stream --requests-per-connection 2",
            "--requests-per-connection: stream makes no requests; use rr or http",
        ),
        (
            "client --workload stream --close server",
            "--close server: nobody asks the server of stream to close; client or reset is expected",
        ),
        (
            "client --workload stream --rate 5",
            "--rate 5: stream sends what gets through; leave it out, or use another workload",
        ),
        ("client --direction send", "--direction is for --workload stream, not for crr"),
        ("client --workload rr --path /", "--path is for --workload http, not for rr"),
        ("client --hold 1s", "--hold is for --workload connect and stream, not for crr"),
        (
            "client --workload stream --request-timeout 1s",
            "--request-timeout: stream makes no requests; use crr, rr or http",
        ),
        ("client --request-timeout 0s", "--request-timeout 0s: a time above zero is expected"),
        ("server --app echo --idle-timeout 1s", "--idle-timeout is for --app http, not for echo"),
        ("server --header-timeout 0s", "--header-timeout 0s: a time above zero is expected"),
        ("client --record off --hgrm x", "--hgrm: with --record off there are no times to write"),
        ("client --record off --hlog x", "--hlog: with --record off there are no times to write"),
        (
            "client --record off --expect service.p99<1s",
            "--expect service.p99<1s: with --record off there are no times",
        ),
        (
            "client --expect behind.max<1s",
            "--expect behind.max<1s: a closed loop has no behind; give --rate, or expect of service",
        ),
        ("report", "<FILE>... is needed"),
        ("report a.json --kind x", "--kind x: expected latency or service or connect or close"),
        ("client --host x", "--host is for --workload http, not for crr"),
        (
            "client --workload http --path index.html",
            "--path index.html: a path is expected that begins with / and has no spaces",
        ),
        (
            "client --workload http --header Accept",
            "--header Accept: NAME: VALUE is expected, as in 'Accept: text/html'",
        ),
        ("client --warmup 10s", "--warmup 10s: a time shorter than --duration 10s is expected"),
        (
            "loopback --expect latency.p99<1ms",
            "--expect latency.p99<1ms: a closed loop has no latency; give --rate, or expect of service",
        ),
        (
            "client --expect speed>1",
            "--expect speed>1: no such figure speed: those of the result file are expected, as \
             requests.per_s, latency.p99, connections.failed or tcp.RetransSegs",
        ),
    ] {
        assert_eq!(told(line), text);
    }
}

#[test]
fn eal_options_are_kept_apart() {
    let line = "--no-huge -m 64 -- loopback --cores 2";
    let Ok(Request::Run(eal, command)) = parse_line(line) else { panic!("{line}") };
    assert_eq!(eal, ["--no-huge", "-m", "64"]);
    let Command::Loopback(Loopback { common, .. }) = *command else { panic!("{line}") };
    assert_eq!(common.cores, 2);
}

#[test]
fn options_mean_what_they_say() {
    let line = "client --profile memif --workload rr --rate 10k/s --arrival poisson --pipeline 4 \
                --requests-per-connection 7 --close reset --msl 500ms --time-wait strict --rfc1337 off \
                --max-connections 1M --timestamps off --tolerate-missing-timestamps on --window-scale off --mss 1400 --rto-min 5ms \
                --sack off --ecn on --congestion newreno --hystart off --initial-window 4 \
                --delayed-ack 5ms --quick-acks 0 --send-buffer 64k --receive-buffer 128k \
                --request-size 2k --neighbour 2001:db8::9=02:00:00:00:00:09";
    let Command::Client(Client { common, load, shape }) = command(line) else { panic!("{line}") };
    assert_eq!(load.workload, Workload::Rr);
    assert_eq!(load.pace(), Some((10_000.0, Arrival::Poisson)));
    assert_eq!((load.requests_per_connection(), load.close()), (Some(7), CloseBy::Reset));
    assert_eq!((shape.shape().request_size, shape.shape().response_size), (2_048, 64));
    assert_eq!(common.neighbour[0].1.to_string(), "02:00:00:00:00:09");
    let (mut tcp, mut limits) = (crate::tcp::Config::default(), crate::engine::Limits::default());
    common.tcp.apply(&mut tcp, &mut limits);
    assert_eq!((tcp.msl, tcp.rto_min), (Duration::from_millis(500), Duration::from_millis(5)));
    assert_eq!(tcp.time_wait, crate::tcp::TimeWaitPolicy::Strict);
    assert!(!tcp.rfc1337 && !tcp.timestamps && !tcp.window_scale);
    assert!(tcp.tolerate_missing_timestamps);
    assert!(!tcp.sack && tcp.ecn && !tcp.hystart);
    assert_eq!(tcp.congestion, crate::tcp::congestion::Algorithm::NewReno);
    assert_eq!((tcp.initial_window, tcp.quick_acks), (4, 0));
    assert_eq!(tcp.delayed_ack, Duration::from_millis(5));
    assert_eq!((tcp.send_buffer, tcp.receive_buffer), (64 << 10, 128 << 10));
    assert_eq!((tcp.mss, limits.max_connections), (Some(1_400), 1_000_000));
}

#[test]
fn what_is_not_said_stays_as_it_is() {
    let Command::Server(Server { common, app, port, .. }) = command("server --profile tap") else {
        panic!("a server")
    };
    assert_eq!((app, port, app.port()), (AppName::Http, None, 80));
    assert_eq!(common.duration, None);
    let (mut tcp, mut limits) = (crate::tcp::Config::default(), crate::engine::Limits::default());
    common.tcp.apply(&mut tcp, &mut limits);
    assert_eq!(tcp, crate::tcp::Config::default());
    assert_eq!(limits, crate::engine::Limits::default());
    let Command::Client(Client { load, .. }) = command("client") else { panic!("a client") };
    assert_eq!((load.requests_per_connection(), load.pace()), (Some(1), None));
    let Command::Client(Client { load, .. }) = command("client --workload rr") else {
        panic!("a client")
    };
    assert_eq!(load.requests_per_connection(), None);
}

/// Every option stands in the manual and in the completions.
#[test]
fn the_manual_and_completions_know_every_option() {
    use clap::CommandFactory;
    let dir = std::env::temp_dir().join(format!("lastack-man-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    super::pages::man(&super::offline_args::ManArgs { dir: Some(dir.clone()) }).unwrap();
    let script = super::pages::script(clap_complete::Shell::Bash);
    let profiles = "compgen -f -W \"ring tap af_packet af_xdp memif pci\"";
    assert!(script.contains(profiles), "names of profiles, and files");
    let fish = super::pages::script(clap_complete::Shell::Fish);
    assert!(fish.contains("-l profile") && fish.contains("af_xdp"), "in each shell");
    for command in super::args::Cli::command().get_subcommands() {
        let page = dir.join(format!("lastack-{}.1", command.get_name()));
        let page = std::fs::read_to_string(page).unwrap().replace('\\', "");
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(page.contains(&format!("--{option}")), "{}: {option}", command.get_name());
            assert!(script.contains(&format!("--{option}")), "{option}");
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn help_and_version_go_to_the_standard_output() {
    for line in ["--help", "--version", "loopback --help", "server -h", "help client"] {
        assert!(matches!(parse_line(line), Ok(Request::Show(text)) if !text.is_empty()), "{line}");
    }
    // Defaults that help tells of are those in force.
    let Ok(Request::Show(help)) = parse_line("loopback --help") else { panic!("help") };
    let (tcp, limits) = (crate::tcp::Config::default(), crate::engine::Limits::default());
    for default in [
        format!("[default: {}s]", tcp.msl.as_secs()),
        format!("[default: {}ms]", tcp.rto_min.as_millis()),
        format!("[default: {}]", limits.max_connections),
        format!("[default: {}]", tcp.congestion),
        format!("[default: {}]", tcp.initial_window),
        format!("[default: {}]", tcp.quick_acks),
        format!("[default: {}ms]", tcp.delayed_ack.as_millis()),
        format!("[default: {}M]", tcp.receive_buffer >> 20),
        format!("[default: {}]", tcp.challenge_acks_per_s),
        format!("[default: {}]", limits.max_time_wait),
    ] {
        assert!(help.contains(&default), "{default}");
    }
}

#[test]
fn a_secret_is_32_hexadecimal_digits() {
    let file = std::env::temp_dir().join(format!("lastack-secret-{}", std::process::id()));
    let read = |text: &str| {
        std::fs::write(&file, text).unwrap();
        super::tcp_args::read_secret(&file)
    };
    let good = read("000102030405060708090a0b0c0d0e0f\n");
    let bad = ["", "0001", "zz0102030405060708090a0b0c0d0e0f", "+00102030405060708090a0b0c0d0e0f"];
    let errors = bad.map(|text| read(text).unwrap_err());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(good, Ok(core::array::from_fn(|n| n as u8)));
    for error in errors {
        assert!(error.contains("32 hexadecimal digits are expected"), "{error}");
    }
    assert!(super::tcp_args::read_secret(&file).unwrap_err().contains("cannot be read"));
}

/// The help of each command is kept, so that a change of it is seen.
#[test]
fn help_texts_are_as_they_are_kept() {
    for command in ["", "loopback", "server", "client", "report", "doctor", "man", "completions"] {
        let arguments = ["lastack", command, "--help"].into_iter().filter(|word| !word.is_empty());
        let shown = parse(arguments.map(OsString::from));
        let Ok(Request::Show(text)) = shown else { panic!("{command}: {shown:?}") };
        let name = if command.is_empty() { "lastack" } else { command };
        golden::is_kept(&format!("help-{name}.txt"), &text);
    }
}
