//! The machine that a run finds: what it lacks, and the command that mends each finding.

mod finding;
mod interface;
mod memory;
mod needs;
pub mod pci;
mod processors;

use super::cores;
use super::hugepages;
use super::profile::{Device, Kind, Need, Profile, Role};
use crate::net::address::Cidr;
use std::fs;
use std::path::PathBuf;

pub use finding::{Finding, Level, good, missing, note};
#[cfg(feature = "dpdk")]
pub use interface::index_of;
pub use interface::{Interface, interfaces};
#[cfg(feature = "dpdk")]
pub use memory::option_name;

/// A machine as its /proc and /sys tell it.
pub struct Machine {
    /// Where they are.
    pub root: PathBuf,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
}

impl Machine {
    /// The one that this process runs on.
    pub fn this() -> Self {
        Machine { root: PathBuf::from("/"), interfaces: interfaces() }
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.root.join(file)).ok().map(|text| text.trim().to_owned())
    }

    /// What matters to every profile.
    pub fn findings(&self, allowed: &[u32]) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.processors_in_sys().into_iter().collect();
        findings.extend([
            self.processors(allowed),
            self.isolation(allowed),
            self.time_stamp_counter(),
            self.hugepages(),
        ]);
        findings.extend(self.quota(allowed.len().min(2)));
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
                "reserve what the profile wants, which is told with it (/proc/sys/vm/nr_hugepages)",
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
        let (list, cpus) = self.core_of(allowed)?;
        let both = allowed.iter().filter(|cpu| cpus.contains(cpu)).count();
        (both > 1).then(|| one_core(&list))
    }

    /// The processors of the core that has the first of these: as the kernel lists them, and one by
    /// one.
    fn core_of(&self, processors: &[u32]) -> Option<(String, Vec<u32>)> {
        let first = processors.first()?;
        let list =
            self.read(&format!("sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list"))?;
        let cpus = cores::parse(&list)?;
        Some((list, cpus))
    }

    /// What a profile needs of the kernel for the devices of these roles; `ours` are the addresses
    /// that are used on them, if that is known.
    pub fn for_roles(&self, profile: &Profile, roles: &[&Role], ours: &[Cidr]) -> Vec<Finding> {
        let Device { kind, mtu, needs, .. } = &profile.device;
        let mut findings: Vec<Finding> = needs.iter().map(|need| self.need(*need)).collect();
        let mut devices: Vec<&str> =
            roles.iter().filter_map(|role| role.device.as_deref()).collect();
        devices.dedup();
        for device in devices {
            if *kind == Kind::Probed {
                findings.extend(self.pci(device));
            }
            let interface = device.split(',').find_map(|part| part.strip_prefix("iface="));
            if needs.contains(&Need::Tap) {
                findings.extend(interface.and_then(|name| self.tap_in_use(name)));
            }
            for need in needs.iter().filter(|need| **need != Need::Tap) {
                findings.extend(
                    interface.iter().flat_map(|name| self.interface(name, *need, *mtu, ours)),
                );
            }
        }
        findings
    }
}

fn one_core(list: &str) -> Finding {
    note(
        format!("processors {list} share a core: engines on them slow each other down"),
        "give engines cores of their own: lastack -l CORE,CORE -- COMMAND, or taskset",
    )
}

#[cfg(test)]
pub(crate) mod tests;
