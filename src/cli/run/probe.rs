//! `doctor --probe`: opens the port of a profile and shows what it is.

use super::ports;
use super::setup::{self, Setup, Sides, Wait};
use crate::cli::profile::{Kind, Profile};
use crate::cli::{Failure, files};

/// Opens it as a server would, without traffic, and writes to the standard output.
pub fn probe(eal: &[String], profile: Profile) -> Result<(), Failure> {
    let processors = setup::server_processor();
    let shown = if profile.device.kind == Kind::Ring {
        let setup = Setup::start(profile, eal, &processors, Sides::Both, &[])?;
        let [client, server] = setup.ring_pair(1, None)?;
        ports::info("client", &client.device) + &ports::info("server", &server.device)
    } else {
        let addresses = profile.server.addresses.clone();
        let setup = Setup::start(profile, eal, &processors, Sides::Server(&addresses), &[])?;
        let plug = setup.device(&setup.profile.server, None, Wait::No)?;
        ports::info("server", &plug.device)
    };
    files::show(shown.as_bytes())
}
