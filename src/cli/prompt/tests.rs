use super::*;
use crate::engine::Filter;
use crate::tcp::{State, SynCookies, TimeWaitPolicy};

#[test]
fn lines_become_orders() {
    let second = Duration::from_secs(1);
    for (line, order) in [
        ("help", Some(Order::Help(None))),
        ("help set", Some(Order::Help(Some("set".to_owned())))),
        ("  quit  # at last", Some(Order::Quit)),
        ("help set msl", Some(Order::Help(Some("set msl".to_owned())))),
        ("start", Some(Order::Start(None))),
        ("start 1s", Some(Order::Start(Some(second)))),
        ("stop", Some(Order::Stop)),
        ("wait", Some(Order::Wait(None))),
        ("wait 1s", Some(Order::Wait(Some(second)))),
        ("show config cores", Some(Order::ShowConfigCores)),
        ("show config rxtx", Some(Order::ShowConfigRxtx)),
        ("clear latency", Some(Order::ClearLatency)),
        ("set burst 8", Some(Order::SetBurst(8))),
        ("set verbose 3", Some(Order::SetVerbose(3))),
        ("set log debug", Some(Order::SetLog(LogLevel::Debug))),
        ("show  time-wait", Some(Order::ShowTimeWait)),
        ("show tcp stats", Some(Order::ShowTcpStats)),
        ("show syn", Some(Order::ShowSyn)),
        ("set syn-cookies always", Some(Order::Ask(Request::SetSynCookies(SynCookies::Always)))),
        ("set syn-limit 100", Some(Order::Ask(Request::SetSynLimit(Some(100))))),
        ("set syn-limit off", Some(Order::Ask(Request::SetSynLimit(None)))),
        ("show config tcp", Some(Order::ShowConfigTcp)),
        ("show port stats all", Some(Order::ShowPort(PortPart::Stats, Of::All))),
        ("show port summary 1", Some(Order::ShowPort(PortPart::Summary, Of::Port(1)))),
        ("clear port xstats all", Some(Order::ClearPort(Of::All))),
        ("show latency", Some(Order::ShowLatency)),
        ("show neighbours", Some(Order::Show(Question::Neighbours))),
        ("show routes", Some(Order::Show(Question::Routes))),
        (
            "show connections state established limit 5 peer 198.18.0.1",
            Some(Order::Show(Question::Connections(Filter {
                state: Some(State::Established),
                peer: Some([198, 18, 0, 1].into()),
                limit: 5,
            }))),
        ),
        ("clear tcp stats", Some(Order::ClearTcpStats)),
        ("set rate 10k/s", Some(Order::SetRate(10_000.0))),
        ("load file", Some(Order::Load("file".to_owned()))),
        ("set msl 1s", Some(Order::Ask(Request::SetMsl(second)))),
        ("set msl-on-link 1s", Some(Order::Ask(Request::SetMslOnLink(Some(second))))),
        ("set msl-on-link off", Some(Order::Ask(Request::SetMslOnLink(None)))),
        ("set time-wait strict", Some(Order::Ask(Request::SetTimeWait(TimeWaitPolicy::Strict)))),
        ("", None),
        ("# a remark", None),
    ] {
        assert_eq!(parse(line), Ok(order), "{line}");
    }
}

#[test]
fn values_are_completed_as_well_as_verbs() {
    for (line, all) in [
        ("show conn", &["show connections"][..]),
        (
            "show connections ",
            &["show connections state", "show connections peer", "show connections limit"],
        ),
        ("show connections state est", &["show connections state established"]),
        (
            "show connections state fin",
            &["show connections state fin-wait-1", "show connections state fin-wait-2"],
        ),
        ("show connections limit 5 s", &["show connections limit 5 state"]),
        ("show connections state closing st", &[]),
        ("show port s", &["show port stats", "show port summary"]),
        ("show port stats a", &["show port stats all"]),
        ("clear port stats ", &["clear port stats all"]),
        ("clear port info ", &[]),
        ("set syn-cookies a", &["set syn-cookies auto", "set syn-cookies always"]),
        ("set log no", &["set log notice"]),
        ("set time-wait strict ", &[]),
        ("  start f", &["start forever"]),
        ("quit ", &[]),
    ] {
        assert_eq!(completions(line), all, "{line}");
    }
    // what is offered is understood
    for line in [
        "show port xstats all",
        "set verbose 3",
        "set log emergency",
        "set log alert",
        "set log critical",
        "set log warning",
        "set msl-on-link off",
        "set syn-limit off",
        "set time-wait reuse",
        "show connections state last-ack limit 5",
    ] {
        assert!(parse(line).is_ok(), "{line}");
        assert!(completions(line).contains(&line.to_owned()) || line.ends_with('5'), "{line}");
    }
}

#[test]
fn each_mistake_is_told_what_is_allowed() {
    let time = "a time with its unit is expected, as in 1h30m, 30s, 200ms or 50us";
    for (line, told) in [
        (
            "go",
            "go: help, start, stop, wait, load, quit, show, clear or set is expected".to_owned(),
        ),
        (
            "show",
            "show: show latency, show connections, show time-wait, show syn, show tcp stats, \
             show neighbours, show routes, show port, show config cores, show config rxtx or \
             show config tcp is expected"
                .into(),
        ),
        ("show tcp", "show tcp: show tcp stats is expected".into()),
        (
            "show config",
            "show config: show config cores, show config rxtx or show config tcp is expected"
                .into(),
        ),
        (
            "set mls 1s",
            "set mls 1s: set rate, set burst, set verbose, set log, set msl, set msl-on-link, \
             set time-wait, set syn-cookies or set syn-limit is expected"
                .into(),
        ),
        ("start never", format!("start never: {time}, or forever")),
        ("start soon", format!("start soon: {time}, or forever")),
        ("stop now", "stop: nothing may follow it, now does".into()),
        ("wait long", format!("wait long: {time}")),
        ("set burst 65", "set burst 65: a number from 1 to 64 is expected".into()),
        ("set msl", "set msl: TIME is expected".into()),
        ("set msl 30", format!("set msl 30: {time}")),
        (
            "set msl 481s",
            "set msl 481s: a time above zero and up to 480s is expected, as in 30s".into(),
        ),
        ("set msl-on-link on", format!("set msl-on-link on: {time}, or off")),
        ("set msl 1s 2s", "set msl: one word may follow it, 2s is too much".into()),
        ("set time-wait", "set time-wait: strict|reuse is expected".into()),
        (
            "set time-wait off",
            "set time-wait off: off is for a whole run, whose report says so: start it with \
             --time-wait off"
                .into(),
        ),
        ("set time-wait maybe", "set time-wait maybe: strict or reuse is expected".into()),
        ("quit now", "quit: nothing may follow it, now does".into()),
        ("clear", "clear: clear latency, clear tcp stats or clear port is expected".into()),
        (
            "show port",
            "show port: info, stats, xstats or summary and then ID or all is expected".into(),
        ),
        (
            "show port speed 0",
            "show port: speed: info, stats, xstats or summary and then ID or all is expected"
                .into(),
        ),
        ("show port stats x", "show port: x: the number of a port or all is expected".into()),
        (
            "clear port info all",
            "clear port: info: stats or xstats and then ID or all is expected".into(),
        ),
        ("load", "load: FILE is expected".into()),
        ("load a b", "load: one word may follow it, b is too much".into()),
        ("set", "set: set rate, set burst, set verbose, set log, set msl, set msl-on-link, \
                 set time-wait, set syn-cookies or set syn-limit is expected".into()),
        ("set rate", "set rate: N/s is expected".into()),
        ("set rate 0", "set rate 0: a positive rate is expected, as in 500, 10k or 1.5M/s".into()),
        ("set burst 0", "set burst 0: a number from 1 to 64 is expected".into()),
        ("set verbose 4", "set verbose 4: a number from 0 to 3 is expected".into()),
        ("set log", "set log: LEVEL is expected".into()),
        (
            "set log loud",
            "set log loud: a level is expected: emergency, alert, critical, error, warning, notice, \
             info, debug, or its number from 1 to 8"
                .into(),
        ),
        ("set syn-cookies on", "set syn-cookies on: off, auto or always is expected".into()),
        (
            "set syn-limit 0",
            "set syn-limit 0: a number from 1 to 65534 is expected, as in 100 or 10k, or off".into(),
        ),
        ("start 1s 2s", "start: one word may follow it, 2s is too much".into()),
        ("wait 1s 2s", "wait: one word may follow it, 2s is too much".into()),
        ("show port stats", "show port: info, stats, xstats or summary and then ID or all is expected".into()),
        ("show port stats 70000", "show port: 70000: the number of a port or all is expected".into()),
        ("clear port", "clear port: stats or xstats and then ID or all is expected".into()),
        ("clear port stats -1", "clear port: -1: the number of a port or all is expected".into()),
        (
            "set rate fast",
            "set rate fast: a positive rate is expected, as in 500, 10k or 1.5M/s".into(),
        ),
        ("show connections peer", "show connections: peer: a value is expected after it".into()),
        (
            "show connections peer me",
            "show connections: peer me: an IPv4 or IPv6 address is expected".into(),
        ),
        (
            "show connections limit 0",
            "show connections: limit 0: a number from 1 to 100000 is expected, as in 100 or 10k"
                .into(),
        ),
        (
            "show connections all 1",
            "show connections: all: state, peer or limit is expected".into(),
        ),
        (
            "show connections state open",
            "show connections: state open: syn-sent, syn-recv, established, fin-wait-1, \
             fin-wait-2, close-wait, closing, last-ack or closed is expected"
                .into(),
        ),
    ] {
        assert_eq!(parse(line), Err(told), "{line}");
    }
    let verbs = "help, start, stop, wait, load, quit, show, clear or set is expected";
    assert_eq!(help(Some("sing")), Err(format!("sing: {verbs}")));
}

#[test]
fn help_lists_and_completion_ends_what_was_begun() {
    let text = help(None).unwrap();
    assert!(VERBS.iter().all(|verb| text.contains(&verb.usage())));
    assert!(text.lines().all(|line| line.len() <= 130), "{text}");
    let commands = |topic| {
        let text = help(Some(topic)).unwrap();
        let begins = |line: &&str| line.chars().nth(2).is_some_and(|c| c != ' ');
        text.lines().filter(begins).count()
    };
    for (topic, many) in
        [("set", 9), ("set msl", 1), ("show config", 3), ("latency", 2), ("tcp", 3), ("start", 1)]
    {
        assert_eq!(commands(topic), many, "{topic}");
    }
    assert_eq!(completions("sh").len(), 11);
    assert_eq!(completions("show t"), ["show time-wait", "show tcp stats"]);
    assert_eq!(completions("set msl-"), ["set msl-on-link "]);
    assert_eq!(completions("x"), Vec::<String>::new());
    for line in completions("") {
        let complete = format!("{line}{}", if line.ends_with(' ') { "1s" } else { "" });
        let known = parse(&complete).is_ok_and(|order| order.is_some());
        let word = [
            "set time-wait ",
            "set syn-",
            "set rate ",
            "set burst ",
            "set verbose ",
            "set log ",
            "show port",
            "clear port",
        ];
        let known = known || word.iter().any(|begun| line.starts_with(begun));
        assert!(known, "{line}");
    }
}

/// What people read is kept beside the tests, so that a change of it is seen.
#[test]
fn help_is_as_it_is_kept() {
    crate::cli::golden::is_kept("prompt.txt", &help(None).unwrap());
}
