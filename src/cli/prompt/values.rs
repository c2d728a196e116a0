//! What may follow the words of a command, as far as it can be listed: for completion.

use super::verbs::STATES;

/// The words that may come next, after the words of a command and those that were given `before`.
pub(super) fn next(command: &[&str], before: &[&str]) -> Vec<&'static str> {
    let first =
        |words: &[&'static str]| if before.is_empty() { words.to_vec() } else { Vec::new() };
    match command {
        ["start"] => first(&["forever"]),
        ["show", "connections"] => connections(before),
        ["show", "port"] => port(before, &["info", "stats", "xstats", "summary"]),
        ["clear", "port"] => port(before, &["stats", "xstats"]),
        ["set", "verbose"] => first(&["0", "1", "2", "3"]),
        ["set", "log"] => first(&[
            "emergency",
            "alert",
            "critical",
            "error",
            "warning",
            "notice",
            "info",
            "debug",
        ]),
        ["set", "time-wait"] => first(&["strict", "reuse"]),
        ["set", "syn-cookies"] => first(&["off", "auto", "always"]),
        ["set", "msl-on-link" | "syn-limit"] => first(&["off"]),
        _ => Vec::new(),
    }
}

/// A part of a port, and then which port.
fn port(before: &[&str], parts: &[&'static str]) -> Vec<&'static str> {
    match before {
        [] => parts.to_vec(),
        [part] if parts.contains(part) => vec!["all"],
        _ => Vec::new(),
    }
}

/// Conditions on connections, each once.
fn connections(before: &[&str]) -> Vec<&'static str> {
    let conditions = ["state", "peer", "limit"];
    if before.len().is_multiple_of(2) {
        return conditions.into_iter().filter(|word| !before.contains(word)).collect();
    }
    match before.last() {
        Some(&"state") => STATES.iter().map(|(name, _)| *name).collect(),
        _ => Vec::new(),
    }
}
