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
mod client;
mod desk;
mod engines;
mod lcores;
mod listing;
mod loopback;
mod outcome;
mod ports;
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
mod watch;

use super::Failure;
use super::args::Command;

pub use probe::probe;

/// Carries out a command.
pub fn run(eal: &[String], command: Command) -> Result<(), Failure> {
    match command {
        Command::Loopback(arguments) => loopback::run(eal, &arguments),
        Command::Server(arguments) => server::run(eal, &arguments),
        Command::Client(arguments) => client::run(eal, &arguments),
        Command::Report(_) | Command::Doctor(_) | Command::Man(_) | Command::Completions(_) => {
            unreachable!("they run no engine")
        }
    }
}
