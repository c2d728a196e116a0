//! `doctor`: what this machine lacks, and the command that mends each finding.

use super::Failure;
use super::cores;
use super::hugepages::{self, Wanted};
use super::offline_args::DoctorArgs;
use super::profile::{Kind, Profile};
use core::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// As it should be.
    Good,
    /// Figures suffer.
    Note,
    /// The profile cannot run.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    level: Level,
    what: String,
    /// The command, or the sentence, that mends it.
    remedy: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Good => "ok",
            Level::Note => "note",
            Level::Missing => "MISSING",
        };
        write!(f, "{level:<8}{}", self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n{:<8}-> {remedy}", ""),
            None => Ok(()),
        }
    }
}

fn good(what: impl Into<String>) -> Finding {
    Finding { level: Level::Good, what: what.into(), remedy: None }
}

fn note(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { level: Level::Note, what: what.into(), remedy: Some(remedy.into()) }
}

fn missing(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { level: Level::Missing, what: what.into(), remedy: Some(remedy.into()) }
}

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

/// A machine as its /proc and /sys tell it.
struct Machine {
    root: PathBuf,
}

impl Machine {
    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.root.join(file)).ok().map(|text| text.trim().to_owned())
    }

    /// What matters to every profile.
    fn findings(&self, allowed: &[u32]) -> Vec<Finding> {
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
    fn for_profile(&self, profile: &Profile) -> Vec<Finding> {
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

    /// A device on the PCI bus, if that is what the name says.
    fn pci(&self, device: &str) -> Vec<Finding> {
        let address = device.split(',').next().unwrap_or(device);
        let parts: Vec<&str> = address.split([':', '.']).collect();
        let hex = |part: &&str| u32::from_str_radix(part, 16).is_ok();
        let full = match parts.len() {
            4 if parts.iter().all(hex) => address.to_owned(),
            3 if parts.iter().all(hex) => format!("0000:{address}"),
            _ => {
                return vec![note(
                    format!("{device}: not looked at, it is no PCI address"),
                    "name a PCI device as 0000:3b:00.0",
                )];
            }
        };
        let place = self.root.join("sys/bus/pci/devices").join(&full);
        if !place.exists() {
            return vec![missing(
                format!("{full}: there is no such device"),
                "lspci -D lists them; dpdk-devbind.py --status those that DPDK knows",
            )];
        }
        let driver = fs::read_link(place.join("driver")).ok();
        let name = driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        let bound = name.as_deref().unwrap_or("none");
        // drivers that DPDK takes a device from, and those that it shares one with
        const OURS: [&str; 8] = [
            "vfio-pci",
            "uio_pci_generic",
            "igb_uio",
            "mlx4_core",
            "mlx5_core",
            "virtio-pci",
            "mana",
            "hv_netvsc",
        ];
        let mut findings = vec![if OURS.contains(&bound) {
            good(format!("{full} is bound to {bound}"))
        } else {
            missing(
                format!("{full} is bound to {bound}, which DPDK cannot share it with"),
                format!("dpdk-devbind.py -b vfio-pci {full} (as root; it leaves the kernel)"),
            )
        }];
        let groups = fs::read_dir(self.root.join("sys/kernel/iommu_groups"));
        let iommu = groups.is_ok_and(|mut groups| groups.next().is_some());
        let unsafe_mode = self.read("sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
        if bound == "vfio-pci" && !iommu && unsafe_mode.as_deref() != Some("Y") {
            findings.push(missing(
                "there is no IOMMU for vfio-pci",
                "boot with intel_iommu=on iommu=pt (AMD: amd_iommu=on), or echo Y > \
                 /sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
            ));
        }
        findings
    }
}

#[cfg(test)]
mod tests;
