//! What can be said at the prompt: testpmd's verbs, read from a table.

mod values;
mod verbs;

pub use verbs::STATES;

use crate::engine::{Question, Request};
use crate::port::LogLevel;
use core::fmt::Write;
use core::time::Duration;
use verbs::{Takes, VERBS, Verb};

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Say what there is, or what begins with this.
    Help(Option<String>),
    /// End the program.
    Quit,
    /// Begin a run, of this length or as the options say.
    Start(Option<Duration>),
    /// End the run.
    Stop,
    /// Wait before the next line: for this time, or for the end of the run.
    Wait(Option<Duration>),
    /// TIME-WAIT in numbers.
    ShowTimeWait,
    /// SYNs in numbers.
    ShowSyn,
    /// TCP's counters.
    ShowTcpStats,
    /// TCP's habits.
    ShowConfigTcp,
    /// Which lcore polls what.
    ShowConfigCores,
    /// Queues and bursts.
    ShowConfigRxtx,
    /// Connections, neighbours or routes.
    Show(Question),
    /// How late requests were.
    ShowLatency,
    /// Show times from here on.
    ClearLatency,
    /// Count from here on.
    ClearTcpStats,
    /// Frames received and sent at once.
    SetBurst(u16),
    /// Which frames are shown, as testpmd counts: 1 received, 2 sent, 3 both.
    SetVerbose(u8),
    /// How much DPDK says.
    SetLog(LogLevel),
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

/// What to say of words that no command begins with: what there is in place of the first that is wrong.
fn unknown(words: &[&str]) -> String {
    let common = |verb: &Verb| words.iter().zip(verb.words).take_while(|(a, b)| a == b).count();
    let most = VERBS.iter().map(common).max().unwrap_or(0);
    let near = VERBS.iter().filter(|verb| common(verb) == most);
    let mut names: Vec<String> = match most {
        0 => near.map(|verb| verb.words[0].to_owned()).collect(),
        _ => near.map(Verb::name).collect(),
    };
    names.dedup();
    let said = words.join(" ");
    format!("{said}: {} is expected", alternatives(&names))
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

/// Said after all commands.
const LESSON: &str = "\n  A session: start 10s, then wait and show latency, or stop before; set rate 20k and start\n  \
    again; quit. Tab completes, and what follows a # is a remark. help TOPIC says less.\n";

/// The text that `help` prints: of all commands, or of those that begin with the words of a topic, or
/// else have one of them.
///
/// # Errors
/// If there is no such command.
pub fn help(topic: Option<&str>) -> Result<String, String> {
    let words: Vec<&str> = topic.unwrap_or_default().split_whitespace().collect();
    let begun = |verb: &&Verb| words.iter().zip(verb.words).all(|(a, b)| a == b);
    let has = |verb: &&Verb| words.iter().any(|word| verb.words.contains(word));
    let mut verbs: Vec<&Verb> = VERBS.iter().filter(begun).collect();
    if verbs.is_empty() {
        verbs = VERBS.iter().filter(has).collect();
    }
    if verbs.is_empty() {
        return Err(unknown(&words));
    }
    let (mut text, mut group) = (String::new(), None);
    for verb in verbs {
        let new = verb.words.len() > 1 && group.replace(verb.words[0]) != Some(verb.words[0]);
        let apart = if new && !text.is_empty() { "\n" } else { "" };
        // a string takes all
        let (usage, help) = (verb.usage(), verb.help);
        let _ = if usage.len() <= USAGE {
            writeln!(text, "{apart}  {usage:<USAGE$} {help}")
        } else {
            writeln!(text, "{apart}  {usage}\n  {:<USAGE$} {help}", "")
        };
    }
    if words.is_empty() {
        text.push_str(LESSON);
    }
    Ok(text)
}

/// What a line that has been begun may become: the words of commands, and then what may follow them.
pub fn completions(line: &str) -> Vec<String> {
    let begun = line.trim_start();
    let follows = |verb: &&Verb| {
        begun.strip_prefix(&verb.name()).is_some_and(|rest| rest.starts_with(char::is_whitespace))
    };
    if let Some(verb) = VERBS.iter().filter(follows).max_by_key(|verb| verb.words.len()) {
        let word = begun.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
        let (whole, part) = begun.split_at(word);
        let before: Vec<&str> = whole.split_whitespace().skip(verb.words.len()).collect();
        let next = values::next(verb.words, &before).into_iter();
        return next
            .filter(|word| word.starts_with(part))
            .map(|word| format!("{whole}{word}"))
            .collect();
    }
    let whole = |verb: &Verb| match verb.takes {
        Takes::One(_) => format!("{} ", verb.name()),
        _ => verb.name(),
    };
    VERBS.iter().map(whole).filter(|name| name.starts_with(begun)).collect()
}

#[cfg(test)]
mod tests;
