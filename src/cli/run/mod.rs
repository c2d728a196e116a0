//! Runs: from arguments and a profile to engines on lcores, and from their counters to a report.
//!
//! ```text
//! setup: EAL, buffers, ports ─▶ rig: engines ─▶ one lcore each     the calling thread: session ─▶ report
//! ```
//!
//! The calling thread never touches an engine while it runs. It reads counters, and it has two
//! switches: [`Control`](crate::app::workload::Control) asks a workload to come to its end, and
//! [`lcores::Switch`] stops the loop of an lcore. The prompt has a thread of its own, which asks the
//! session for runs at a [`desk::Desk`], and talks to engines through their mailboxes.

mod calibrate;
mod checks;
mod claim;
mod client;
mod desk;
mod engines;
mod hearing;
mod lcores;
mod links;
mod listing;
mod loopback;
mod outcome;
mod ports;
mod presence;
mod probe;
mod prompt;
mod readings;
mod results;
mod rig;
mod screen;
mod server;
mod session;
mod setup;
mod show;
mod side;
mod verbose;
mod verdict;
mod watch;

use super::Failure;
use super::args::Command;

pub use probe::probe;

/// Carries out a command. A run that fails before it has a result tells that where the result was to go.
pub fn run(eal: &[String], command: Command) -> Result<(), Failure> {
    match command {
        Command::Loopback(arguments) => {
            outcome::or_error("loopback", &arguments.common, loopback::run(eal, &arguments))
        }
        Command::Server(arguments) => {
            outcome::or_error("server", &arguments.common, server::run(eal, &arguments))
        }
        Command::Client(arguments) => {
            outcome::or_error("client", &arguments.common, client::run(eal, &arguments))
        }
        Command::Report(_) | Command::Doctor(_) | Command::Man(_) | Command::Completions(_) => {
            unreachable!("they run no engine")
        }
    }
}
