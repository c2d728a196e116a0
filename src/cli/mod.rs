//! The command line: arguments, profiles, and the runs that they ask for.
//!
//! ```text
//! lastack [EAL OPTIONS --] COMMAND [OPTIONS]
//! ```
//!
//! Results go to the standard output, everything for people to the standard error. The exit status
//! is 0 when the command did what it was asked to, 1 when a run failed, 2 for bad arguments, 3 when a
//! criterion of `--expect` was missed.

pub mod args;
pub mod cores;
mod doctor;
pub mod eal;
mod errors;
pub mod expect;
mod files;
#[cfg(test)]
mod golden;
pub mod hugepages;
#[cfg(feature = "dpdk")]
mod lines;
pub mod load_args;
mod machine;
pub mod offline_args;
mod pages;
pub mod profile;
pub mod prompt;
mod report;
#[cfg(feature = "dpdk")]
mod run;
pub mod tcp_args;
pub mod units;
mod version;

use args::Cli;
use clap::Parser;
use core::fmt::{self, Write};
use std::ffi::OsString;
use std::process::ExitCode;

/// Why a command did not do what it was asked to, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The arguments: exit status 2.
    Arguments(String),
    /// The run: exit status 1.
    Run(String),
    /// What was expected of its result: exit status 3.
    Expected(String),
}

impl Failure {
    /// A run that failed with `error`.
    pub fn run(error: impl fmt::Display) -> Self {
        Failure::Run(error.to_string())
    }

    /// Arguments that `error` says are wrong.
    pub fn arguments(error: impl fmt::Display) -> Self {
        Failure::Arguments(error.to_string())
    }

    /// The same failure, with this before its line.
    #[must_use]
    pub fn before(self, text: &str) -> Self {
        match self {
            Failure::Arguments(line) => Failure::Arguments(format!("{text}{line}")),
            Failure::Run(line) => Failure::Run(format!("{text}{line}")),
            Failure::Expected(line) => Failure::Expected(format!("{text}{line}")),
        }
    }

    /// The exit status of the program.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Run(_) => 1,
            Failure::Arguments(_) => 2,
            Failure::Expected(_) => 3,
        }
    }
}

impl fmt::Display for Failure {
    /// One line, whatever stood in what was given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Arguments(line) | Failure::Run(line) | Failure::Expected(line)) = self;
        line.chars().try_for_each(|c| match c {
            c if c.is_control() => write!(f, "{}", c.escape_default()),
            c => f.write_char(c),
        })
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// Text for the standard output, and no more.
    Show(String),
    /// A command, with the EAL options that were given before it.
    Run(Vec<String>, Box<args::Command>),
}

/// Runs the program with these arguments, the first being its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match parse(arguments).and_then(execute) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            files::say(&format!("lastack: {failure}"));
            ExitCode::from(failure.status())
        }
    }
}

/// Reads the arguments, the first being the name of the program.
///
/// # Errors
/// [`Failure::Arguments`], with a line that names the option, what was given and what is allowed.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, Failure> {
    let arguments = arguments.into_iter().skip(1).map(OsString::into_string);
    let arguments = arguments.collect::<Result<_, _>>().map_err(|argument| {
        Failure::Arguments(format!("{}: UTF-8 is expected", argument.to_string_lossy()))
    })?;
    let (eal, rest) = eal::split(arguments);
    eal::check(&eal).map_err(Failure::Arguments)?;
    let program = core::iter::once("lastack".to_owned());
    match Cli::try_parse_from(program.chain(rest)) {
        Ok(cli) => {
            cli.command.check()?;
            Ok(Request::Run(eal, Box::new(cli.command)))
        }
        Err(error) if !error.use_stderr() => Ok(Request::Show(error.render().to_string())),
        Err(error) => Err(Failure::Arguments(errors::line(&error))),
    }
}

fn execute(request: Request) -> Result<(), Failure> {
    match request {
        Request::Show(text) => files::show(text.as_bytes()),
        Request::Run(eal, command) => match *command {
            args::Command::Report(arguments) => report::run(&arguments),
            args::Command::Doctor(arguments) => doctor::run(&eal, &arguments),
            args::Command::Man(arguments) => pages::man(&arguments),
            args::Command::Completions(arguments) => pages::completions(&arguments),
            command => run_engines(&eal, command),
        },
    }
}

#[cfg(feature = "dpdk")]
fn run_engines(eal: &[String], command: args::Command) -> Result<(), Failure> {
    run::run(eal, command)
}

#[cfg(feature = "dpdk")]
fn probe(eal: &[String], profile: profile::Profile) -> Result<(), Failure> {
    run::probe(eal, profile)
}

#[cfg(not(feature = "dpdk"))]
fn run_engines(_: &[String], _: args::Command) -> Result<(), Failure> {
    Err(no_ports())
}

#[cfg(not(feature = "dpdk"))]
fn probe(_: &[String], _: profile::Profile) -> Result<(), Failure> {
    Err(no_ports())
}

#[cfg(not(feature = "dpdk"))]
fn no_ports() -> Failure {
    Failure::Run(
        "built without DPDK, so there are no ports: build with the feature `dpdk`".to_owned(),
    )
}

#[cfg(test)]
mod tests;
