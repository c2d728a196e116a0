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
        ("wait 1s", Some(Order::Wait(second))),
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
fn each_mistake_is_told_what_is_allowed() {
    let time = "a time with its unit is expected, as in 30s, 200ms, 50us or 800ns";
    for (line, told) in [
        (
            "go",
            "go: help, quit, wait, show time-wait, show syn, show tcp stats, show port, clear \
             port, show connections, show latency, show neighbours, show routes, clear tcp stats, \
             set rate, load, show config tcp, set msl, set msl-on-link, set time-wait, set syn-cookies or set \
             syn-limit is expected"
                .to_owned(),
        ),
        (
            "show",
            "show: show time-wait, show syn, show tcp stats, show port, show connections, show latency, \
             show neighbours, show routes or show config tcp is expected"
                .into(),
        ),
        ("show tcp", "show tcp: show tcp stats is expected".into()),
        (
            "set mls 1s",
            "set mls 1s: set rate, set msl, set msl-on-link, set time-wait, set syn-cookies or set syn-limit is expected".into(),
        ),
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
        ("wait", "wait: TIME is expected".into()),
        ("clear", "clear: clear port or clear tcp stats is expected".into()),
        (
            "show port",
            "show port: info, stats, xstats or summary and then ID or all is expected".into(),
        ),
        (
            "show port speed 0",
            "show port: speed: info, stats, xstats or summary and then ID or all is expected".into(),
        ),
        ("show port stats x", "show port: x: the number of a port or all is expected".into()),
        (
            "clear port info all",
            "clear port: info: stats or xstats and then ID or all is expected".into(),
        ),
        ("load", "load: FILE is expected".into()),
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
        ("show connections all 1", "show connections: all: state, peer or limit is expected".into()),
        (
            "show connections state open",
            "show connections: state open: syn-sent, syn-recv, established, fin-wait-1, \
             fin-wait-2, close-wait, closing, last-ack or closed is expected"
                .into(),
        ),
    ] {
        assert_eq!(parse(line), Err(told), "{line}");
    }
    assert!(help(Some("sing")).is_err());
}

#[test]
fn help_lists_and_completion_ends_what_was_begun() {
    let text = help(None).unwrap();
    let commands = |text: &str| {
        let begins = |line: &&str| line.chars().nth(2).is_some_and(|c| c != ' ');
        text.lines().filter(begins).count()
    };
    assert_eq!(commands(&text), VERBS.len());
    assert!(VERBS.iter().all(|verb| text.contains(&verb.usage())));
    assert_eq!(commands(&help(Some("set")).unwrap()), 6);
    assert_eq!(completions("sh").len(), 9);
    assert_eq!(completions("show t"), ["show time-wait", "show tcp stats"]);
    assert_eq!(completions("set msl-"), ["set msl-on-link "]);
    assert_eq!(completions("x"), Vec::<String>::new());
    for line in completions("") {
        let complete = format!("{line}{}", if line.ends_with(' ') { "1s" } else { "" });
        let known = parse(&complete).is_ok_and(|order| order.is_some());
        let word = ["set time-wait ", "set syn-", "set rate ", "show port", "clear port"];
        let known = known || word.iter().any(|begun| line.starts_with(begun));
        assert!(known, "{line}");
    }
}
