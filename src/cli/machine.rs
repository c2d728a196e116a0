//! The machine that a run finds: what it lacks, and the command that mends each finding.

mod finding;
mod pci;

use super::cores;
use super::hugepages::{self, Wanted};
use super::profile::{Kind, Profile};
use std::fs;
use std::path::PathBuf;

pub use finding::{Finding, Level, good, missing, note};

/// A machine as its /proc and /sys tell it.
pub struct Machine {
    /// Where they are.
    pub root: PathBuf,
}

impl Machine {
    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.root.join(file)).ok().map(|text| text.trim().to_owned())
    }

    /// What matters to every profile.
    pub fn findings(&self, allowed: &[u32]) -> Vec<Finding> {
        let mut findings = vec![
            self.processors(allowed),
            self.isolation(allowed),
            self.time_stamp_counter(),
            self.hugepages(),
        ];
        findings.extend(self.governor(allowed));
        findings.extend(self.siblings(allowed));
        findings
    }

    fn processors(&self, allowed: &[u32]) -> Finding {
        match allowed {
            [only] => note(
                format!("one processor may be used, {only}: loopback polls both sides in turn"),
                "give the process more processors (taskset, cpuset), or take its figures for what they are",
            ),
            _ => good(format!("{} processors may be used", allowed.len())),
        }
    }

    fn isolation(&self, allowed: &[u32]) -> Finding {
        let list = self.read("sys/devices/system/cpu/isolated").unwrap_or_default();
        if !list.is_empty() {
            return good(format!("processors {list} are isolated from other work"));
        }
        let ours: Vec<String> = allowed.iter().skip(1).map(u32::to_string).collect();
        let ours = if ours.is_empty() { "1".to_owned() } else { ours.join(",") };
        note(
            "no processor is isolated: whatever else runs shows in the high percentiles",
            format!("boot with isolcpus={ours} nohz_full={ours} rcu_nocbs={ours}"),
        )
    }

    fn time_stamp_counter(&self) -> Finding {
        let info = self.read("proc/cpuinfo").unwrap_or_default();
        let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let has = |flag: &str| flags.split_whitespace().any(|known| known == flag);
        if has("constant_tsc") && has("nonstop_tsc") {
            return good("the time stamp counter is constant and does not stop");
        }
        note(
            "the time stamp counter may change its pace or stop: times are wrong then",
            "use a machine whose /proc/cpuinfo has constant_tsc and nonstop_tsc (a hypervisor may hide them)",
        )
    }

    fn hugepages(&self) -> Finding {
        match hugepages::free_mb_in(&self.root.join("sys/kernel/mm/hugepages")) {
            0 => note(
                "no hugepages are free: ordinary pages are used, and figures are worse",
                "echo 512 > /proc/sys/vm/nr_hugepages (as root)",
            ),
            free => good(format!("{free} MB of hugepages are free")),
        }
    }

    fn governor(&self, allowed: &[u32]) -> Option<Finding> {
        let of = |cpu: &u32| {
            self.read(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"))
        };
        let slow = allowed.iter().find_map(|cpu| of(cpu).filter(|name| name != "performance"))?;
        Some(note(
            format!("the frequency governor is {slow}: the clock rate changes while a run goes on"),
            "cpupower frequency-set -g performance (as root)",
        ))
    }

    fn siblings(&self, allowed: &[u32]) -> Option<Finding> {
        let first = allowed.first()?;
        let list =
            self.read(&format!("sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list"))?;
        let shared = cores::parse(&list)?;
        let both = allowed.iter().filter(|cpu| shared.contains(cpu)).count();
        (both > 1).then(|| {
            note(
                format!("processors {list} share a core: two engines on them slow each other down"),
                "give engines cores of their own: lastack -l CORE,CORE -- COMMAND, or taskset",
            )
        })
    }

    /// What a profile needs.
    pub fn for_profile(&self, profile: &Profile) -> Vec<Finding> {
        let mut findings = Vec::new();
        let sides = if profile.device.kind == Kind::Ring { 2 } else { 1 };
        let wanted = profile.buffers.memory_mb(sides);
        let free = hugepages::free_mb_in(&self.root.join("sys/kernel/mm/hugepages"));
        let remedy =
            format!("echo {} > /proc/sys/vm/nr_hugepages (as root)", wanted.div_ceil(2) + 64);
        findings.push(match profile.eal.hugepages {
            Wanted::No => good(format!("{wanted} MB of ordinary pages are enough")),
            _ if free >= wanted => good(format!("{wanted} MB of hugepages are wanted, and free")),
            Wanted::Auto => {
                note(format!("{wanted} MB of hugepages are wanted, {free} MB are free"), remedy)
            }
            Wanted::Yes => {
                missing(format!("{wanted} MB of hugepages are needed, {free} MB are free"), remedy)
            }
        });
        for need in &profile.device.needs {
            findings.push(match need.check() {
                Ok(()) => good("a TAP device may be made"),
                Err(why) => {
                    let (what, remedy) = why.split_once(": ").unwrap_or((&why, "see above"));
                    missing(what, remedy)
                }
            });
        }
        if profile.device.kind == Kind::Probed {
            let roles = [&profile.server, &profile.client];
            let mut devices: Vec<&str> =
                roles.iter().filter_map(|role| role.device.as_deref()).collect();
            devices.dedup();
            findings.extend(devices.iter().flat_map(|device| self.pci(device)));
        }
        findings
    }
}

#[cfg(test)]
mod tests;
