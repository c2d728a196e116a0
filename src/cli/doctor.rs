//! `doctor`: what this machine lacks, and the command that mends each finding.

use super::machine::{Finding, Level, Machine, note};
use super::offline_args::DoctorArgs;
use super::profile::{Kind, Profile};
use super::{Failure, files};
use super::{cores, eal as options};
use crate::engine::Limits;

/// Runs the command: findings go to the standard output. `eal` are the EAL options that were given.
pub fn run(eal: &[String], arguments: &DoctorArgs) -> Result<(), Failure> {
    let machine = Machine::this();
    let profiles: Vec<Profile> = match &arguments.profile {
        Some(name) => {
            let profile = Profile::load(name)?;
            let look = arguments.device.is_none() && !arguments.probe;
            let unnamed = look && profile.wants_device();
            let device = arguments.device.as_deref();
            vec![if unnamed { profile } else { profile.with_device(device)? }]
        }
        None => Profile::names().map(Profile::load).collect::<Result<_, _>>()?,
    };
    show("machine", &machine.findings(&cores::allowed()))?;
    for profile in &profiles {
        let findings = for_profile(&machine, profile, options::decides_memory(eal));
        show(&format!("profile {}", profile.name), &findings)?;
        let count = findings.iter().filter(|finding| finding.level == Level::Missing).count();
        if count > 0 && arguments.profile.is_some() {
            let name = &profile.name;
            return Err(Failure::Run(format!(
                "profile {name} cannot run here: {count} missing, see above"
            )));
        }
    }
    match profiles.into_iter().next() {
        Some(profile) if arguments.probe => super::probe(eal, profile),
        _ => Ok(()),
    }
}

fn show(title: &str, findings: &[Finding]) -> Result<(), Failure> {
    let mut text = format!("{title}\n");
    for finding in findings {
        text += &format!("  {}\n", finding.to_string().replace('\n', "\n  "));
    }
    files::show(text.as_bytes())
}

/// What there is to say of a profile; nothing of memory if EAL options decide about that.
fn for_profile(machine: &Machine, profile: &Profile, memory_decided: bool) -> Vec<Finding> {
    let sides = if profile.device.kind == Kind::Ring { 2 } else { 1 };
    let mut findings = Vec::new();
    if !memory_decided {
        findings.push(machine.memory(profile, sides));
    }
    findings.push(machine.for_limits(&vec![Limits::default(); sides as usize]));
    if profile.wants_device() {
        let name = &profile.name;
        findings.extend(machine.for_roles(profile, &[], &[]));
        findings.push(note(
            "no device was named to look at",
            format!("lastack doctor --profile {name} --device NAME"),
        ));
    } else {
        // which of the two this machine shall be is not known, so neither is which addresses are ours
        findings.extend(machine.for_roles(profile, &[&profile.server, &profile.client], &[]));
    }
    findings
}
