//! What each mistake on the command line is told that `tests.rs` does not show by the way.

use super::*;
use core::any::TypeId;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The commands with what they cannot do without.
const COMMANDS: [&str; 7] =
    ["loopback", "server", "client", "report x", "doctor", "man", "completions bash"];

/// A value that no option can make anything of is told in one line that begins with the option and the
/// value, whatever the option; but for those that take any text. An option that is new is looked at too.
#[test]
fn no_option_takes_a_value_that_means_nothing() {
    use clap::CommandFactory;
    let (mut program, mut looked_at) = (args::Cli::command(), 0);
    program.build();
    for line in COMMANDS {
        let name = line.split(' ').next().unwrap();
        let command = program.find_subcommand(name).expect(name);
        for option in command.get_arguments().filter(|option| option.get_long().is_some()) {
            let long = option.get_long().unwrap();
            let kind = option.get_value_parser().type_id();
            let any = kind == TypeId::of::<String>() || kind == TypeId::of::<PathBuf>();
            if long == "help" || any && option.get_action().takes_values() {
                continue;
            }
            let text = told(&format!("{line} --{long}=%%"));
            let begins = text.starts_with(&format!("--{long} %%: "));
            let allowed = text.contains("expected") || text.contains("as in");
            assert!(begins && allowed, "{name}: {text}");
            if option.get_action().takes_values() {
                let none = told(&format!("{line} --{long}"));
                assert!(none.starts_with(&format!("--{long} without a value: ")), "{none}");
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 100, "{looked_at}");
}

#[test]
fn each_range_is_told() {
    let time = "a time with its unit is expected, as in 1h30m, 30s, 200ms or 50us";
    let msl = "a time above zero and up to 480s is expected, as in 30s";
    let many = "a number from 1 to 100000000 is expected, as in 100 or 10k";
    let small = "a number from 0 to 255 is expected";
    let host = "the address of one host on a network is expected, as in 198.18.0.2:80";
    let length = "prefix length is not a number from 0 to 128";
    let address = "not an IPv4 or IPv6 address: as in 198.18.0.1/24 or 2001:db8::1/64";
    for (option, value, allowed) in [
        ("--msl", "0s", msl),
        ("--msl", "481s", msl),
        ("--msl-on-link", "481s", msl),
        ("--linger", "soon", &format!("{time}, or off")),
        ("--delayed-ack", "500ms", "a time under 500ms is expected, as in 40ms"),
        ("--delayed-ack", "5", time),
        ("--ramp", "5", time),
        ("--user-timeout", "5", time),
        ("--orphan-timeout", "5", time),
        ("--max-connections", "0", many),
        ("--max-time-wait", "101M", many),
        ("--initial-window", "0", "a number from 1 to 255 is expected"),
        ("--quick-acks", "256", small),
        ("--challenge-acks", "256", small),
        ("--send-buffer", "1k", "a size from 2048 to 1G is expected, as in 64, 4k or 1M"),
        (
            "--receive-buffer",
            "1G",
            "a size from 2048 to 1073741823 is expected, as in 64, 4k or 1M",
        ),
        ("--seed", "-1", "a number from 0 to 18446744073709551615 is expected, as in 100 or 10k"),
        ("--pipeline", "1025", "a number from 1 to 1024 is expected"),
        (
            "--requests-per-connection",
            "0",
            "a number from 1 to 4000000000 is expected, as in 100 or 10k",
        ),
        ("--syn-limit", "65535", "a number from 1 to 65534 is expected, as in 100 or 10k, or off"),
        ("--vlan", "0", "a number from 1 to 4094 is expected"),
        ("--address", "2001:db8::1/129", length),
        ("--address", "host/24", address),
        ("--client-addresses", "2001:db8::1/129", length),
        (
            "--neighbour",
            "198.18.0.1=02:00",
            "IP=MAC is expected, as in 198.18.0.1=02:00:00:00:00:01",
        ),
        ("--connect", "127.0.0.1:80", host),
        ("--connect", "224.0.0.1:80", host),
        ("--connect", "[::]:80", host),
        (
            "--expect",
            "latency.p99",
            "FIGURE OPERATOR BOUND is expected, as in latency.p99<200us, errors==0 or requests.per_s>=1M",
        ),
        ("--expect", "latency.p99<200", time),
        (
            "--expect",
            "errors==few",
            "a number is expected after the operator, as in 0, 1.5M or 90%",
        ),
    ] {
        assert_eq!(
            told(&format!("loopback {option}={value}")),
            format!("{option} {value}: {allowed}")
        );
    }
    let port = "--port 0: a number from 1 to 65535 is expected, as in 100 or 10k";
    assert_eq!(told("server --port 0"), port);
}

#[test]
fn each_choice_of_the_other_options_is_told() {
    for (line, text) in [
        ("loopback --direction x", "--direction x: expected send or receive or both"),
        ("loopback --syn-cookies x", "--syn-cookies x: expected off or auto or always"),
        ("completions tcsh", "<SHELL> tcsh: expected bash or elvish or fish or powershell or zsh"),
        (
            "report x --kind",
            "--kind without a value: expected latency or service or connect or close",
        ),
    ] {
        assert_eq!(told(line), text);
    }
    for option in [
        "rfc1337",
        "hystart",
        "pacing",
        "nodelay",
        "sack",
        "ecn",
        "timestamps",
        "tolerate-missing-timestamps",
        "window-scale",
    ] {
        assert_eq!(
            told(&format!("server --{option}=1")),
            format!("--{option} 1: expected on or off")
        );
    }
}

#[test]
fn words_that_stand_in_no_place() {
    let option = "an option is expected here, such as --help, which lists them";
    for (line, text) in [
        ("loopback now", format!("now: {option}")),
        ("man pages", format!("pages: {option}")),
        ("loopback --pipeline 2 3", format!("3: {option}")),
        ("loopback --interactive=5", "--interactive 5: no value is expected".to_owned()),
        ("loopback -i -i", "--interactive is given twice: once is expected".to_owned()),
        ("loopback -a", "--interactive is needed beside --auto-start".to_owned()),
        ("server --cmdline-strict", "--cmdline-file is needed beside --cmdline-strict".to_owned()),
        ("doctor --device x", "--profile is needed beside --device and --probe".to_owned()),
        ("doctor --probe", "--profile is needed beside --device and --probe".to_owned()),
        ("completions", "<SHELL> is needed".to_owned()),
        (
            "help sever",
            "sever: no such command: loopback, server, client, report or doctor is expected"
                .to_owned(),
        ),
        (
            "-l 0 loopback",
            "-l: no such option: see `lastack COMMAND --help`; EAL options go before `--`"
                .to_owned(),
        ),
        ("-l -- loopback", "-l: a value is expected after it, before `--`".to_owned()),
    ] {
        assert_eq!(told(line), text);
    }
}

/// Every option that wants another beside it is known to the line that says so.
#[test]
fn an_option_that_is_needed_is_told_with_what_needs_it() {
    let alone = ["--arrival fixed", "--auto-start", "--cmdline-strict"];
    for text in alone.map(|option| told(&format!("loopback {option}"))) {
        assert!(text.contains(" is needed beside --"), "{text}");
    }
}

#[test]
fn options_that_do_not_go_together() {
    for (line, text) in [
        (
            "loopback -i --json -",
            "--json -: with -i or --cmdline-file answers go to the standard output; name a file",
        ),
        (
            "server --gateway 198.18.0.9 --gateway 2001:db8::9 --gateway 198.18.0.8",
            "--gateway 198.18.0.8: one for IPv4 and one for IPv6 is expected, 198.18.0.9 is given too",
        ),
        (
            "server --gateway 2001:db8::8 --gateway 2001:db8::9",
            "--gateway 2001:db8::9: one for IPv4 and one for IPv6 is expected, 2001:db8::8 is given too",
        ),
        (
            "server --duration 1s --warmup 1500ms",
            "--warmup 1.5s: a time shorter than --duration 1s is expected",
        ),
        (
            "loopback --workload rr --direction both",
            "--direction is for --workload stream, not for rr",
        ),
        ("loopback --header A:b", "--header is for --workload http, not for crr"),
        (
            "client --workload connect --close server",
            "--close server: nobody asks the server of connect to close; client or reset is expected",
        ),
        (
            "client --workload stream --pipeline 2",
            "--pipeline: stream makes no requests; use rr or http",
        ),
        (
            "loopback --expect tcp.RetransSegs==0",
            "--expect tcp.RetransSegs==0: a loopback has it for each side: client.tcp.RetransSegs or \
             server.tcp.RetransSegs",
        ),
        (
            "client --expect server.tcp.RetransSegs==0",
            "--expect server.tcp.RetransSegs==0: there is one side only: tcp.RetransSegs is expected",
        ),
        (
            "client --workload http --host a\u{e9}",
            "--host a\u{e9}: the name or address of a host is expected, as in example.org:8080",
        ),
    ] {
        assert_eq!(told(line), text);
    }
}

/// A value with line feeds, or with what moves a terminal's cursor, makes one line all the same.
#[test]
fn what_is_given_cannot_break_the_line() {
    let words = |words: &[&[u8]]| {
        let words = words.iter().map(|word| OsString::from_vec(word.to_vec()));
        parse(core::iter::once(OsString::from("lastack")).chain(words)).unwrap_err().to_string()
    };
    assert_eq!(
        words(&[b"server", b"--gateway", b"a\nb\x1b[2J"]),
        "--gateway a\\nb\\u{1b}[2J: an IPv4 or IPv6 address is expected"
    );
    assert_eq!(
        words(&[b"client", b"--workload", b"http", b"--host", b"a\r\nCookie: b"]),
        "--host a\\r\\nCookie: b: the name or address of a host is expected, as in example.org:8080"
    );
    assert_eq!(
        words(&[b"server\nx"]),
        "server\\nx: no such command: loopback, server, client, report or doctor is expected"
    );
    assert_eq!(words(&[b"server", b"--json", b"\xff.json"]), "\u{fffd}.json: UTF-8 is expected");
    assert_eq!(words(&[b"server", b"--json", b""]), "--json without a value: a value is expected");
}

#[test]
fn files_that_are_named_and_cannot_be_used() {
    let folder = std::env::temp_dir();
    let name = folder.display();
    let read = |path: &std::path::Path| super::tcp_args::read_secret(path).unwrap_err();
    assert_eq!(
        read(&folder),
        format!("--syn-secret {name}: cannot be read: Is a directory (os error 21)")
    );
    let failure = profile::Profile::load(&name.to_string()).unwrap_err();
    assert_eq!(
        failure.to_string(),
        format!("--profile {name}: cannot be read: Is a directory (os error 21)")
    );
    let man = offline_args::ManArgs { dir: Some("/nowhere/at/all".into()) };
    let failure = pages::man(&man).unwrap_err();
    assert_eq!(
        (failure.status(), failure.to_string().as_str()),
        (2, "--dir /nowhere/at/all: cannot be written: No such file or directory (os error 2)")
    );
}
