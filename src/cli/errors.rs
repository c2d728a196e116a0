//! One line for each thing that can be wrong with the arguments: the option, what was given, what is
//! allowed.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error;

/// The commands, but for those that write pages.
const COMMANDS: &str = "loopback, server, client, report or doctor";

/// Options that others want beside them, and those others.
const WANTED_BY: [(&str, &str); 4] = [
    ("--rate", "--arrival"),
    ("--interactive", "--auto-start"),
    ("--cmdline-file", "--cmdline-strict"),
    ("--profile", "--device and --probe"),
];

/// The line for an error of the parser.
pub fn line(error: &clap::Error) -> String {
    let option = strings(error, ContextKind::InvalidArg)
        .map(|names| names.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", "));
    let value = strings(error, ContextKind::InvalidValue).map(|values| values.join(" "));
    match (error.kind(), option, value) {
        (ErrorKind::ValueValidation, Some(option), Some(value)) => {
            let reason = error.source().map_or_else(String::new, |reason| format!(": {reason}"));
            format!("{option} {value}{reason}")
        }
        (ErrorKind::InvalidValue, Some(option), Some(value)) => {
            let allowed = strings(error, ContextKind::ValidValue).unwrap_or_default();
            let given = if value.is_empty() { "without a value".to_owned() } else { value };
            if allowed.is_empty() {
                format!("{option} {given}: a value is expected")
            } else {
                format!("{option} {given}: expected {}", allowed.join(" or "))
            }
        }
        (ErrorKind::UnknownArgument, Some(word), _) if !word.starts_with('-') => {
            format!("{word}: an option is expected here, such as --help, which lists them")
        }
        (ErrorKind::TooManyValues, Some(option), Some(value)) => {
            format!("{option} {value}: no value is expected")
        }
        (ErrorKind::UnknownArgument, Some(option), _) => {
            let similar = strings(error, ContextKind::SuggestedArg).unwrap_or_default();
            let hint = match similar.first() {
                Some(similar) => format!("did you mean {}?", bare(similar)),
                None => "see `lastack COMMAND --help`; EAL options go before `--`".to_owned(),
            };
            format!("{option}: no such option: {hint}")
        }
        (ErrorKind::InvalidSubcommand, ..) => {
            let given = strings(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("{}: no such command: {COMMANDS} is expected", given.join(" "))
        }
        (
            ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ..,
        ) => format!("a command is expected: {COMMANDS} (see `lastack --help`)"),
        (ErrorKind::MissingRequiredArgument, Some(option), _) => {
            match WANTED_BY.iter().find(|(wanted, _)| *wanted == option) {
                Some((_, by)) => format!("{option} is needed beside {by}"),
                None => format!("{option} is needed"),
            }
        }
        (ErrorKind::ArgumentConflict, Some(option), _) => {
            let other = strings(error, ContextKind::PriorArg).unwrap_or_default();
            let other: Vec<&str> = other.iter().map(|name| bare(name)).collect();
            if other.is_empty() || other == [option.as_str()] {
                format!("{option} is given twice: once is expected")
            } else {
                format!("{option} cannot be used with {}", other.join(", "))
            }
        }
        _ => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or("bad arguments");
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    }
}

/// The name of an option without its placeholder.
fn bare(name: &str) -> &str {
    name.split([' ', '=']).next().unwrap_or(name)
}

fn strings(error: &clap::Error, kind: ContextKind) -> Option<Vec<String>> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(vec![text.clone()]),
        ContextValue::Strings(texts) => Some(texts.clone()),
        _ => None,
    }
}
