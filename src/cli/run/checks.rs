//! What is told before and at the start of a run: what cannot be is an error, what figures suffer from
//! a line with its remedy.

use crate::cli::args::Common;
use crate::cli::machine::{Finding, Level};
use crate::cli::{Failure, cores};
use crate::engine::ConfigError;
use crate::net::address::BadInterface;
use crate::port::dpdk::{Eal, Offloads};

/// Tells findings, a line for each that is not as it should be.
///
/// # Errors
/// The first without which the profile cannot run; then nothing else is told.
pub fn told(findings: &[Finding], profile: &str) -> Result<(), Failure> {
    if let Some(missing) = findings.iter().find(|finding| finding.level == Level::Missing) {
        return Err(Failure::Run(format!("--profile {profile}: {}", missing.line())));
    }
    for note in findings.iter().filter(|finding| finding.level == Level::Note) {
        eprintln!("lastack: {}", note.line());
    }
    Ok(())
}

/// What no engine can run with, with the option that said it; what none said is the profile's.
pub fn of_config(error: &ConfigError, common: &Common, profile: &str) -> Failure {
    let option = match error {
        ConfigError::Interface(bad) => match bad {
            BadInterface::Address(_) | BadInterface::Twice(_) if !common.address.is_empty() => {
                "--address"
            }
            BadInterface::Gateway(_) if !common.gateway.is_empty() => "--gateway",
            BadInterface::Neighbour(..) => "--neighbour",
            BadInterface::Vlan(_) => "--vlan",
            _ => return Failure::Arguments(format!("--profile {profile}: {error}")),
        },
        ConfigError::OutOfRange { .. } => return Failure::arguments(error),
    };
    Failure::Arguments(format!("{option}: {error}"))
}

/// The processors that these lcores run on, as they find it themselves.
pub fn processors(eal: &Eal, lcores: &[u32]) -> Result<Vec<u32>, Failure> {
    let mut processors = Vec::new();
    for lcore in lcores {
        let looked = eal.launch(*lcore, cores::of_this_thread).map_err(Failure::run)?;
        processors.extend(looked.join().unwrap_or_default());
    }
    processors.sort_unstable();
    processors.dedup();
    Ok(processors)
}

/// What a port was asked to do and does not, if there is something.
pub fn refused(port: &str, asked: Offloads, granted: Offloads) -> Option<String> {
    let verify = asked.rx_checksum && !granted.rx_checksum;
    let fill_in = asked.tx_checksum && !granted.tx_checksum;
    let what = match (verify, fill_in) {
        (true, true) => "verify and fill in",
        (true, false) => "verify",
        (false, true) => "fill in",
        (false, false) => return None,
    };
    Some(format!(
        "port {port} does not {what} checksums, so the engines do: to ask for none, \
         checksum_offload = false in the profile"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::machine::{good, missing, note};

    #[test]
    fn what_is_missing_ends_a_run_before_it_begins() {
        let findings =
            [good("all is well"), note("slow", "a remedy"), missing("no port", "make one")];
        assert_eq!(told(&findings[..2], "tap"), Ok(()));
        let error = told(&findings, "tap").unwrap_err();
        assert_eq!(error, Failure::Run("--profile tap: no port: make one".to_owned()));
    }

    #[test]
    fn offloads_that_are_refused_are_named() {
        let both = Offloads { rx_checksum: true, tx_checksum: true };
        let (none, rx) =
            (Offloads::default(), Offloads { rx_checksum: true, ..Offloads::default() });
        for (asked, granted, told) in [
            (both, none, Some("verify and fill in")),
            (both, rx, Some("not fill in")),
            (rx, none, Some("not verify checksums")),
            (both, both, None),
            (none, none, None),
            (rx, both, None),
        ] {
            let line = refused("p", asked, granted);
            let right = match told {
                Some(words) => line.as_ref().is_some_and(|line| line.contains(words)),
                None => line.is_none(),
            };
            assert!(right, "{asked:?} {granted:?}: {line:?}");
        }
    }
}
