//! Processors that engines poll on: are there any, do engines share them, and may they be polled on all
//! the time?

use super::{Finding, Machine, missing, note};
#[cfg(feature = "dpdk")]
use super::{Level, one_core};

/// More time than this of a processor is as good as all of it.
const WHOLE: f64 = 0.999;

impl Machine {
    /// What is wrong with these processors for so many engines that measure times on them.
    #[cfg(feature = "dpdk")]
    pub fn for_engines(&self, processors: &[u32], engines: usize) -> Vec<Finding> {
        let shared = self.core_of(processors).filter(|(_, cpus)| {
            processors.len() > 1 && processors.iter().all(|cpu| cpus.contains(cpu))
        });
        let mut findings = vec![self.time_stamp_counter()];
        findings.extend(too_few(processors, engines));
        findings.extend(shared.map(|(list, _)| one_core(&list)));
        findings.extend(self.quota(engines.min(processors.len())));
        findings.retain(|finding| finding.level != Level::Good);
        findings
    }

    /// EAL finds processors by /sys alone.
    pub fn processors_in_sys(&self) -> Option<Finding> {
        let found = self.root.join("sys/devices/system/cpu").exists();
        (!found).then(|| {
            missing(
                "/sys is not mounted, and by it DPDK finds processors",
                "mount -t sysfs sysfs /sys (as root), or give the container /sys",
            )
        })
    }

    /// Does the control group of this process leave `engines` engines their processors all the time?
    pub(super) fn quota(&self, engines: usize) -> Option<Finding> {
        let limit = self.cpu_limit()?;
        (limit < engines as f64 * WHOLE).then(|| {
            note(
                format!(
                    "the control group allows the time of {limit:.2} processors, and {engines} engines \
                     poll all the time: the kernel halts them for a part of each period"
                ),
                "raise cpu.max of the group (docker: --cpus), or leave it out",
            )
        })
    }

    /// How many processors' time the control group of this process allows.
    fn cpu_limit(&self) -> Option<f64> {
        let groups = self.read("proc/self/cgroup")?;
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
            let value = |place: &str, file: &str| {
                // in a container the group's own folder is the root of what is mounted
                let own = self.read(&format!("sys/fs/cgroup/{place}/{path}/{file}"));
                own.or_else(|| self.read(&format!("sys/fs/cgroup/{place}/{file}")))
            };
            let (quota, period) = if controllers.is_empty() {
                let both = value("", "cpu.max")?;
                let (quota, period) = both.split_once(' ')?;
                (quota.to_owned(), period.to_owned())
            } else if controllers.split(',').any(|controller| controller == "cpu") {
                (value(controllers, "cpu.cfs_quota_us")?, value(controllers, "cpu.cfs_period_us")?)
            } else {
                return None;
            };
            let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
            (quota > 0.0 && period > 0.0).then(|| quota / period) // "max" and -1 are no limit
        })
    }
}

/// Do engines share processors?
#[cfg(feature = "dpdk")]
fn too_few(processors: &[u32], engines: usize) -> Option<Finding> {
    (!processors.is_empty() && processors.len() < engines).then(|| {
        let list: Vec<String> = processors.iter().map(u32::to_string).collect();
        let (list, plural) = (list.join(","), if processors.len() == 1 { "" } else { "s" });
        note(
            format!(
                "{engines} engines share processor{plural} {list}: each has a part of the time, and \
                 figures are worse"
            ),
            "give the process more processors (taskset, cpuset), or engines lcores on their own (-l)",
        )
    })
}

#[cfg(all(test, feature = "dpdk"))]
mod tests {
    use super::super::tests::{Fake, told};
    use super::*;
    #[cfg(not(feature = "dpdk"))]
    use crate::cli::machine::Level;

    const TSC: (&str, &str) = ("proc/cpuinfo", "flags : constant_tsc nonstop_tsc\n");

    #[test]
    fn engines_that_share_a_processor_are_told() {
        let fake = Fake::new("sharing", &[TSC]);
        assert_eq!(fake.0.for_engines(&[1], 1), []);
        assert_eq!(fake.0.for_engines(&[1, 2], 2), []);
        let one = told(&fake.0.for_engines(&[1], 2), "2 engines share processor 1: each");
        assert_eq!(one.level, Level::Note);
        told(&fake.0.for_engines(&[0, 1], 4), "4 engines share processors 0,1: each");
    }

    #[test]
    fn a_control_group_that_halts_engines_is_told() {
        for (name, files, limit) in [
            (
                "v2",
                &[
                    ("proc/self/cgroup", "0::/a/b\n"),
                    ("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n"),
                ][..],
                Some("1.50"),
            ),
            (
                "v2-container",
                &[("proc/self/cgroup", "0::/a/b\n"), ("sys/fs/cgroup/cpu.max", "50000 100000\n")],
                Some("0.50"),
            ),
            (
                "v2-max",
                &[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", "max 100000\n")],
                None,
            ),
            (
                "v2-enough",
                &[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", "200000 100000\n")],
                None,
            ),
            (
                "v1",
                &[
                    ("proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/x\n0::/\n"),
                    ("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "100000\n"),
                    ("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"),
                ],
                Some("1.00"),
            ),
            (
                "v1-none",
                &[
                    ("proc/self/cgroup", "3:cpu:/\n"),
                    ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
                    ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
                ],
                None,
            ),
            ("none", &[], None),
        ] {
            let fake = Fake::new(&format!("quota-{name}"), &[files, &[TSC]].concat());
            let findings = fake.0.for_engines(&[0, 1], 2);
            match limit {
                None => assert_eq!(findings, [], "{name}"),
                Some(limit) => drop(told(&findings, &format!("the time of {limit} processors"))),
            }
        }
    }

    #[test]
    fn processors_that_cannot_be_found_are_missing() {
        let without = Fake::new("no-sys", &[TSC]);
        let finding = without.0.processors_in_sys().expect("told");
        assert_eq!(finding.level, Level::Missing);
        assert!(finding.line().starts_with("/sys is not mounted"), "{finding}");
        let with = Fake::new("sys", &[TSC, ("sys/devices/system/cpu/isolated", "\n")]);
        assert_eq!(with.0.processors_in_sys(), None);
    }
}
