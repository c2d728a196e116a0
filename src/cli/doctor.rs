//! `doctor`: what this machine lacks, and the command that mends each finding.

use super::Failure;
use super::cores;
use super::machine::{Finding, Level, Machine};
use super::offline_args::DoctorArgs;
use super::profile::Profile;
use std::path::PathBuf;

/// Runs the command: findings go to the standard output.
pub fn run(arguments: &DoctorArgs) -> Result<(), Failure> {
    let machine = Machine { root: PathBuf::from("/") };
    let mut lacking = Vec::new();
    let show = |title: &str, findings: &[Finding]| {
        println!("{title}");
        findings
            .iter()
            .for_each(|finding| println!("  {}", finding.to_string().replace('\n', "\n  ")));
        findings.iter().filter(|finding| finding.level == Level::Missing).count()
    };
    show("machine", &machine.findings(&cores::allowed()));
    let names: Vec<&str> = match &arguments.profile {
        Some(name) => vec![name],
        None => Profile::names().collect(),
    };
    for name in names {
        let profile = Profile::load(name)?;
        let count = show(&format!("profile {name}"), &machine.for_profile(&profile));
        if count > 0 && arguments.profile.is_some() {
            lacking.push(format!("profile {name} cannot run here: {count} missing, see above"));
        }
    }
    match lacking.pop() {
        None => Ok(()),
        Some(line) => Err(Failure::Run(line)),
    }
}
