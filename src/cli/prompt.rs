//! What can be said at the prompt: testpmd's verbs, read from a table.

use super::tcp_args::{msl, syn_limit};
use super::units;
use crate::engine::{Filter, Question, Request};
use crate::tcp::{State, SynCookies, TimeWaitPolicy};
use core::fmt::Write;
use core::time::Duration;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Say what there is, or what begins with this.
    Help(Option<String>),
    /// End the run.
    Quit,
    /// Wait before the next line.
    Wait(Duration),
    /// TIME-WAIT in numbers.
    ShowTimeWait,
    /// SYNs in numbers.
    ShowSyn,
    /// TCP's counters.
    ShowTcpStats,
    /// TCP's habits.
    ShowConfigTcp,
    /// Connections, neighbours or routes.
    Show(Question),
    /// How late requests were.
    ShowLatency,
    /// Count from here on.
    ClearTcpStats,
    /// Requests or connections in a second, of all engines together.
    SetRate(f64),
    /// Carry out the commands of a file.
    Load(String),
    /// Something of ports.
    ShowPort(PortPart, Of),
    /// Set the counters of ports to zero.
    ClearPort(Of),
    /// Ask something of all engines.
    Ask(Request),
}

/// What is shown of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortPart {
    /// All that is known of it.
    Info,
    /// What it has counted.
    Stats,
    /// The counters of its driver.
    Xstats,
    /// A line.
    Summary,
}

/// Which ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// All.
    All,
    /// The one with this number.
    Port(u16),
}

/// What follows the words of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Maybe(&'static str),
    One(&'static str),
    /// Any number of words.
    Some(&'static str),
}

/// A command: its words, what follows them, what it does, and how the argument is read.
struct Verb {
    words: &'static [&'static str],
    takes: Takes,
    help: &'static str,
    read: fn(&str) -> Result<Order, String>,
}

const VERBS: [Verb; 21] = [
    Verb {
        words: &["help"],
        takes: Takes::Maybe("WORD"),
        help: "list the commands, or those that begin with a word",
        read: |word| Ok(Order::Help((!word.is_empty()).then(|| word.to_owned()))),
    },
    Verb {
        words: &["quit"],
        takes: Takes::Nothing,
        help: "end the run and print its result, as the end of input does",
        read: |_| Ok(Order::Quit),
    },
    Verb {
        words: &["wait"],
        takes: Takes::One("TIME"),
        help: "wait before the next command, in files say",
        read: |time| units::time(time).map(Order::Wait),
    },
    Verb {
        words: &["show", "time-wait"],
        takes: Takes::Nothing,
        help: "entries, memory, time left, expiries, reuse, recycling, lag",
        read: |_| Ok(Order::ShowTimeWait),
    },
    Verb {
        words: &["show", "syn"],
        takes: Takes::Nothing,
        help: "half-open connections, cookies, limits",
        read: |_| Ok(Order::ShowSyn),
    },
    Verb {
        words: &["show", "tcp", "stats"],
        takes: Takes::Nothing,
        help: "counters that are not zero, under the names of nstat",
        read: |_| Ok(Order::ShowTcpStats),
    },
    Verb {
        words: &["show", "port"],
        takes: Takes::Some("info|stats|xstats|summary (ID|all)"),
        help: "what a port is, and what it has counted",
        read: |words| {
            let parts = [
                ("info", PortPart::Info),
                ("stats", PortPart::Stats),
                ("xstats", PortPart::Xstats),
                ("summary", PortPart::Summary),
            ];
            port_part(words, &parts).map(|(part, of)| Order::ShowPort(part, of))
        },
    },
    Verb {
        words: &["clear", "port"],
        takes: Takes::Some("stats|xstats (ID|all)"),
        help: "set the counters of a port to zero, also those that the result would tell",
        read: |words| {
            let parts = [("stats", PortPart::Stats), ("xstats", PortPart::Xstats)];
            port_part(words, &parts).map(|(_, of)| Order::ClearPort(of))
        },
    },
    Verb {
        words: &["show", "connections"],
        takes: Takes::Some("[state STATE] [peer ADDR] [limit N]"),
        help: "connections as ss -ti shows them, 20 of each engine; it looks at all, which engines notice",
        read: |words| connections(words).map(|filter| Order::Show(Question::Connections(filter))),
    },
    Verb {
        words: &["show", "latency"],
        takes: Takes::Nothing,
        help: "how late requests were so far, and in the last interval",
        read: |_| Ok(Order::ShowLatency),
    },
    Verb {
        words: &["show", "neighbours"],
        takes: Takes::Nothing,
        help: "neighbours on the link, their Ethernet addresses and states",
        read: |_| Ok(Order::Show(Question::Neighbours)),
    },
    Verb {
        words: &["show", "routes"],
        takes: Takes::Nothing,
        help: "our addresses and routes, the one that is asked first before the others",
        read: |_| Ok(Order::Show(Question::Routes)),
    },
    Verb {
        words: &["clear", "tcp", "stats"],
        takes: Takes::Nothing,
        help: "show tcp stats counts from here on; the result of the run does not change",
        read: |_| Ok(Order::ClearTcpStats),
    },
    Verb {
        words: &["set", "rate"],
        takes: Takes::One("N/s"),
        help: "requests or connections begun in a second, of a client in an open loop",
        read: |rate| units::rate(rate).map(Order::SetRate),
    },
    Verb {
        words: &["load"],
        takes: Takes::One("FILE"),
        help: "carry out the commands of a file, up to the first that is wrong",
        read: |file| Ok(Order::Load(file.to_owned())),
    },
    Verb {
        words: &["show", "config", "tcp"],
        takes: Takes::Nothing,
        help: "habits and limits in force, under the names of the options",
        read: |_| Ok(Order::ShowConfigTcp),
    },
    Verb {
        words: &["set", "msl"],
        takes: Takes::One("TIME"),
        help: "maximum segment lifetime, for entries in TIME-WAIT from now on",
        read: |time| msl(time).map(|time| Order::Ask(Request::SetMsl(time))),
    },
    Verb {
        words: &["set", "msl-on-link"],
        takes: Takes::One("TIME|off"),
        help: "the same towards hosts on the link; off = that of msl",
        read: |time| {
            let time = match time {
                "off" => None,
                time => Some(msl(time).map_err(|error| format!("{error}, or off"))?),
            };
            Ok(Order::Ask(Request::SetMslOnLink(time)))
        },
    },
    Verb {
        words: &["set", "time-wait"],
        takes: Takes::One("strict|reuse"),
        help: "may an acceptable SYN reopen a 4-tuple in TIME-WAIT?",
        read: |policy| {
            let policy = match policy {
                "strict" => TimeWaitPolicy::Strict,
                "reuse" => TimeWaitPolicy::Reuse,
                "off" => {
                    return Err("off is for a whole run, whose report says so: start it with \
                                --time-wait off"
                        .to_owned());
                }
                _ => return Err("strict or reuse is expected".to_owned()),
            };
            Ok(Order::Ask(Request::SetTimeWait(policy)))
        },
    },
    Verb {
        words: &["set", "syn-cookies"],
        takes: Takes::One("off|auto|always"),
        help: "answer SYNs with cookies never, without room, or always",
        read: |mode| {
            let mode = match mode {
                "off" => SynCookies::Off,
                "auto" => SynCookies::Auto,
                "always" => SynCookies::Always,
                _ => return Err("off, auto or always is expected".to_owned()),
            };
            Ok(Order::Ask(Request::SetSynCookies(mode)))
        },
    },
    Verb {
        words: &["set", "syn-limit"],
        takes: Takes::One("N|off"),
        help: "SYNs that a source may send in a second",
        read: |limit| syn_limit(limit).map(|limit| Order::Ask(Request::SetSynLimit(limit.0))),
    },
];

impl Verb {
    fn name(&self) -> String {
        self.words.join(" ")
    }

    fn usage(&self) -> String {
        match self.takes {
            Takes::Nothing => self.name(),
            Takes::Maybe(what) => format!("{} [{what}]", self.name()),
            Takes::Some(what) => format!("{} {what}", self.name()),
            Takes::One(what) => format!("{} {what}", self.name()),
        }
    }
}

/// Reads a line; `None` if there is nothing on it. What follows a `#` is a remark.
///
/// # Errors
/// What was wrong and what is allowed, in one line.
pub fn parse(line: &str) -> Result<Option<Order>, String> {
    let line = line.split('#').next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.is_empty() {
        return Ok(None);
    }
    let Some(verb) = VERBS.iter().find(|verb| words.starts_with(verb.words)) else {
        return Err(unknown(&words));
    };
    let name = verb.name();
    match (verb.takes, &words[verb.words.len()..]) {
        (Takes::Nothing | Takes::Maybe(_), []) => (verb.read)("").map(Some),
        (Takes::Some(_), words) => match (verb.read)(&words.join(" ")) {
            Ok(order) => Ok(Some(order)),
            Err(error) => Err(format!("{name}: {error}")),
        },
        (Takes::Nothing, [first, ..]) => {
            Err(format!("{name}: nothing may follow it, {first} does"))
        }
        (Takes::One(what), []) => Err(format!("{name}: {what} is expected")),
        (_, [argument]) => match (verb.read)(argument) {
            Ok(order) => Ok(Some(order)),
            Err(error) => Err(format!("{name} {argument}: {error}")),
        },
        (_, [_, second, ..]) => {
            Err(format!("{name}: one word may follow it, {second} is too much"))
        }
    }
}

/// Reads a part of a port, one of those that there are, and which ports are meant.
fn port_part(words: &str, parts: &[(&str, PortPart)]) -> Result<(PortPart, Of), String> {
    let names: Vec<String> = parts.iter().map(|(name, _)| (*name).to_owned()).collect();
    let expected = || format!("{} and then ID or all is expected", alternatives(&names));
    let words: Vec<&str> = words.split_whitespace().collect();
    let [part, of] = words[..] else { return Err(expected()) };
    let known = parts.iter().find(|(name, _)| *name == part);
    let &(_, part) = known.ok_or_else(|| format!("{part}: {}", expected()))?;
    match of {
        "all" => Ok((part, Of::All)),
        id => id
            .parse()
            .map(|id| (part, Of::Port(id)))
            .map_err(|_| format!("{id}: the number of a port or all is expected")),
    }
}

/// Connections that are listed if nothing is said.
const LISTED: u32 = 20;

/// Reads which connections are to be shown.
fn connections(words: &str) -> Result<Filter, String> {
    let mut filter = Filter { state: None, peer: None, limit: LISTED };
    let mut words = words.split_whitespace();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word}: a value is expected after it"))?;
        match word {
            "state" => filter.state = Some(state(value)?),
            "peer" => {
                let address = value
                    .parse()
                    .map_err(|_| format!("peer {value}: an IPv4 or IPv6 address is expected"))?;
                filter.peer = Some(address);
            }
            "limit" => {
                let limit = units::count(value, 1, 100_000);
                filter.limit = limit.map_err(|error| format!("limit {value}: {error}"))? as u32;
            }
            _ => return Err(format!("{word}: state, peer or limit is expected")),
        }
    }
    Ok(filter)
}

/// The states by the names that ss has for them.
pub const STATES: [(&str, State); 9] = [
    ("syn-sent", State::SynSent),
    ("syn-recv", State::SynReceived),
    ("established", State::Established),
    ("fin-wait-1", State::FinWait1),
    ("fin-wait-2", State::FinWait2),
    ("close-wait", State::CloseWait),
    ("closing", State::Closing),
    ("last-ack", State::LastAck),
    ("closed", State::Closed),
];

fn state(name: &str) -> Result<State, String> {
    let known = STATES.iter().find(|(known, _)| *known == name);
    known.map(|&(_, state)| state).ok_or_else(|| {
        let names: Vec<String> = STATES.iter().map(|(name, _)| (*name).to_owned()).collect();
        format!("state {name}: {} is expected", alternatives(&names))
    })
}

/// What to say of words that no command begins with.
fn unknown(words: &[&str]) -> String {
    let common = |verb: &Verb| words.iter().zip(verb.words).take_while(|(a, b)| a == b).count();
    let most = VERBS.iter().map(common).max().unwrap_or(0);
    let near: Vec<String> =
        VERBS.iter().filter(|verb| common(verb) == most).map(Verb::name).collect();
    let said = words.join(" ");
    format!("{said}: {} is expected", alternatives(&near))
}

fn alternatives(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [some @ .., last] => format!("{} or {last}", some.join(", ")),
    }
}

/// Width of the column of commands in the help.
const USAGE: usize = 28;

/// The text that `help` prints.
///
/// # Errors
/// If no command begins with the word.
pub fn help(word: Option<&str>) -> Result<String, String> {
    let mut text = String::new();
    for verb in VERBS.iter().filter(|verb| word.is_none_or(|word| verb.words[0] == word)) {
        // a string takes all
        let (usage, help) = (verb.usage(), verb.help);
        let _ = if usage.len() <= USAGE {
            writeln!(text, "  {usage:<USAGE$} {help}")
        } else {
            writeln!(text, "  {usage}\n  {:<USAGE$} {help}", "")
        };
    }
    match word {
        Some(word) if text.is_empty() => Err(unknown(&[word])),
        _ => Ok(text),
    }
}

/// What a line that has been begun may become.
pub fn completions(line: &str) -> Vec<String> {
    let begun = line.trim_start();
    let whole = |verb: &Verb| match verb.takes {
        Takes::One(_) => format!("{} ", verb.name()),
        _ => verb.name(),
    };
    VERBS.iter().map(whole).filter(|name| name.starts_with(begun)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (
                "set syn-cookies always",
                Some(Order::Ask(Request::SetSynCookies(SynCookies::Always))),
            ),
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
            (
                "set time-wait strict",
                Some(Order::Ask(Request::SetTimeWait(TimeWaitPolicy::Strict))),
            ),
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
}
