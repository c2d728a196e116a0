//! The table of commands, and how their arguments are read.

use super::{Of, Order, PortPart, alternatives};
use crate::cli::tcp_args::{msl, syn_limit};
use crate::cli::units;
use crate::engine::{Filter, Question, Request};
use crate::port::NotALogLevel;
use crate::tcp::{State, SynCookies, TimeWaitPolicy};

/// What follows the words of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Maybe(&'static str),
    One(&'static str),
    /// Any number of words.
    Some(&'static str),
}

/// A command: its words, what follows them, what it does, and how the argument is read.
pub(super) struct Verb {
    pub(super) words: &'static [&'static str],
    pub(super) takes: Takes,
    pub(super) help: &'static str,
    pub(super) read: fn(&str) -> Result<Order, String>,
}

pub(super) const VERBS: [Verb; 29] = [
    Verb {
        words: &["help"],
        takes: Takes::Some("[TOPIC]"),
        help: "what can be said, or what can be said of a topic: show, set msl, latency",
        read: |topic| Ok(Order::Help((!topic.is_empty()).then(|| topic.to_owned()))),
    },
    Verb {
        words: &["start"],
        takes: Takes::Maybe("TIME"),
        help: "begin a run, of this length or forever; without one as --duration says, else until stop",
        read: |time| match time {
            "" => Ok(Order::Start(None)),
            time => units::length(time).map(|length| Order::Start(Some(length))),
        },
    },
    Verb {
        words: &["stop"],
        takes: Takes::Nothing,
        help: "end the run and print its result, as Ctrl-C does; engines stay, and a server serves on",
        read: |_| Ok(Order::Stop),
    },
    Verb {
        words: &["wait"],
        takes: Takes::Maybe("TIME"),
        help: "wait before the next command, without a time until the run has ended",
        read: |time| match time {
            "" => Ok(Order::Wait(None)),
            time => units::time(time).map(|time| Order::Wait(Some(time))),
        },
    },
    Verb {
        words: &["load"],
        takes: Takes::One("FILE"),
        help: "carry out the commands of a file, up to the first that is wrong",
        read: |file| Ok(Order::Load(file.to_owned())),
    },
    Verb {
        words: &["quit"],
        takes: Takes::Nothing,
        help: "end the run if one goes on, and the program, as the end of input does",
        read: |_| Ok(Order::Quit),
    },
    Verb {
        words: &["show", "latency"],
        takes: Takes::Nothing,
        help: "how late requests were so far, and in the last interval",
        read: |_| Ok(Order::ShowLatency),
    },
    Verb {
        words: &["show", "connections"],
        takes: Takes::Some("[state STATE] [peer ADDR] [limit N]"),
        help: "connections as ss -ti shows them, 20 of each engine; it looks at all, which engines notice",
        read: |words| connections(words).map(|filter| Order::Show(Question::Connections(filter))),
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
        words: &["show", "config", "cores"],
        takes: Takes::Nothing,
        help: "which lcore polls which queue, and how busy it is",
        read: |_| Ok(Order::ShowConfigCores),
    },
    Verb {
        words: &["show", "config", "rxtx"],
        takes: Takes::Nothing,
        help: "queues, descriptors, bursts, checksums, MTU",
        read: |_| Ok(Order::ShowConfigRxtx),
    },
    Verb {
        words: &["show", "config", "tcp"],
        takes: Takes::Nothing,
        help: "habits and limits in force, under the names of the options",
        read: |_| Ok(Order::ShowConfigTcp),
    },
    Verb {
        words: &["clear", "latency"],
        takes: Takes::Nothing,
        help: "show latency shows what comes from here on; the result of the run does not change",
        read: |_| Ok(Order::ClearLatency),
    },
    Verb {
        words: &["clear", "tcp", "stats"],
        takes: Takes::Nothing,
        help: "show tcp stats counts from here on; the result of the run does not change",
        read: |_| Ok(Order::ClearTcpStats),
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
        words: &["set", "rate"],
        takes: Takes::One("N/s"),
        help: "requests or connections begun in a second, of a client in an open loop",
        read: |rate| units::rate(rate).map(Order::SetRate),
    },
    Verb {
        words: &["set", "burst"],
        takes: Takes::One("N"),
        help: "frames received and sent at once, 1 to 64",
        read: |frames| units::count(frames, 1, 64).map(|frames| Order::SetBurst(frames as u16)),
    },
    Verb {
        words: &["set", "verbose"],
        takes: Takes::One("N"),
        help: "a line for each frame: 0 none, 1 received, 2 sent, 3 both; 1,000 in a second at most",
        read: |level| units::count(level, 0, 3).map(|level| Order::SetVerbose(level as u8)),
    },
    Verb {
        words: &["set", "log"],
        takes: Takes::One("LEVEL"),
        help: "what DPDK says: emergency, alert, critical, error, warning, notice, info, debug",
        read: |level| {
            level.parse().map(Order::SetLog).map_err(|error: NotALogLevel| error.to_string())
        },
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
