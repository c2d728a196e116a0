//! What is told before and at the start of a run: what cannot be is an error, what figures suffer from
//! a line with its remedy.

use crate::app::PER_CONNECTION_BYTES;
use crate::cli::args::Common;
use crate::cli::machine::{Finding, Level, Machine, option_name};
use crate::cli::{Failure, cores, eal as options, files};
use crate::engine::footprint::try_to_reserve;
use crate::engine::{ConfigError, Limits};
use crate::net::address::BadInterface;
use crate::port::dpdk::{Eal, EalError, Offloads};

/// Tells findings, a line for each that is not as it should be.
///
/// # Errors
/// The first without which the profile cannot run; then nothing else is told.
pub fn told(findings: &[Finding], profile: &str) -> Result<(), Failure> {
    if let Some(missing) = findings.iter().find(|finding| finding.level == Level::Missing) {
        return Err(Failure::Run(format!("--profile {profile}: {}", missing.line())));
    }
    for note in findings.iter().filter(|finding| finding.level == Level::Note) {
        files::say(&format!("lastack: {}", note.line()));
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
        ConfigError::OutOfRange { .. } | ConfigError::NoMemory { .. } => return of_limits(error),
    };
    Failure::Arguments(format!("{option}: {error}"))
}

/// Are the processors that EAL options name such as this process may use?
///
/// # Errors
/// [`Failure::Arguments`] that names the first that is not.
pub fn allowed(eal: &[String], allowed: &[u32]) -> Result<(), Failure> {
    let Some((option, named)) = options::processors(eal) else { return Ok(()) };
    match named.iter().find(|processor| !allowed.contains(processor)) {
        None => Ok(()),
        Some(processor) => {
            let list: Vec<String> = allowed.iter().map(u32::to_string).collect();
            Err(Failure::Arguments(format!(
                "{option}: processor {processor} is none that this process may use, which are {} \
                 (taskset, cpuset)",
                list.join(",")
            )))
        }
    }
}

/// Why EAL did not start. If no options were given, those are not what is wrong.
pub fn of_eal(error: &EalError, given: &[String]) -> Failure {
    match error {
        EalError::Failed(said) if given.is_empty() => Failure::Run(format!(
            "EAL refused to start ({said}): `lastack doctor` says what this machine lacks"
        )),
        error => Failure::run(error),
    }
}

/// What no engine can run with, whatever the interface: with the option if memory is short.
pub fn of_limits(error: &ConfigError) -> Failure {
    match error {
        ConfigError::NoMemory { name, .. } => {
            Failure::Run(format!("{}: {error}: give less", option_name(name)))
        }
        _ => Failure::arguments(error),
    }
}

/// Is there the memory that engines with these limits reserve? What figures suffer from, or a run may
/// end by, is a finding.
///
/// # Errors
/// [`Failure::Run`] with the option that asks for more than there is.
pub fn reserves(machine: &Machine, limits: &[Limits]) -> Result<Option<Finding>, Failure> {
    if limits.is_empty() {
        return Ok(None);
    }
    let finding = machine.for_limits(limits);
    if finding.level == Level::Missing {
        return Err(Failure::Run(finding.line()));
    }
    let all = limits.iter().flat_map(|limits| limits.footprint(PER_CONNECTION_BYTES as u64));
    try_to_reserve(all).map_err(|error| of_limits(&error))?;
    Ok(Some(finding))
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
    fn processors_that_this_process_may_not_use_are_told() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for line in ["-l 0-1", "--lcores=0@3,1@(0-1)", "-c 0xb", "-m 64", "-l x", "--lcores 7@1"] {
            assert_eq!(allowed(&words(line), &[0, 1, 3]), Ok(()), "{line}");
        }
        for (line, told) in [
            ("-l 0,2", "-l: processor 2"),
            ("-l0-2", "-l: processor 2"),
            ("--no-huge -c 4", "-c: processor 2"),
            ("--lcores=0@0,1@(1,2)", "--lcores: processor 2"),
            ("--lcores (0-2)", "--lcores: processor 2"),
        ] {
            let error = allowed(&words(line), &[0, 1, 3]).unwrap_err();
            let rest = "is none that this process may use, which are 0,1,3 (taskset, cpuset)";
            assert_eq!(error, Failure::Arguments(format!("{told} {rest}")), "{line}");
        }
    }

    #[test]
    fn options_are_blamed_only_if_there_are_any() {
        let failed = EalError::Failed("no memory".to_owned());
        let own = of_eal(&failed, &[]).to_string();
        assert!(
            own.ends_with("(no memory): `lastack doctor` says what this machine lacks"),
            "{own}"
        );
        let given = of_eal(&failed, &["-l".to_owned(), "0".to_owned()]).to_string();
        assert!(given.ends_with("check the EAL options before `--`"), "{given}");
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
