//! What memory there is, and what a run will take of it.

use super::{Finding, Machine, good, missing, note};
use crate::cli::hugepages::{self, Wanted};
use crate::cli::profile::Profile;
use crate::cli::units::human_bytes;
use crate::engine::{Limits, Reserved};
use std::path::Path;

/// Octets that an application keeps for each connection, at most.
const APP_BYTES: u64 = crate::app::PER_CONNECTION_BYTES as u64;

/// What memory there is, in octets; `u64::MAX` where nothing says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct There {
    /// What can be had now, without hugepages: of the machine, of the cgroups that this process is in.
    pub available: u64,
    /// What could be had if nothing else were there.
    pub total: u64,
    /// The address space that this process may still take (RLIMIT_AS).
    pub address_space: u64,
}

impl Machine {
    /// What memory there is.
    pub fn memory_there(&self) -> There {
        let info = self.read("proc/meminfo").unwrap_or_default();
        let of = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kb: Option<u64> =
                line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            kb.map(|kb| kb * 1024)
        };
        let swap = of("SwapTotal").unwrap_or(0);
        let mut there = There {
            available: of("MemAvailable").unwrap_or(u64::MAX),
            total: of("MemTotal").map_or(u64::MAX, |total| total + swap),
            address_space: self.address_space(),
        };
        for (limit, used) in self.cgroup_limits() {
            there.total = there.total.min(limit);
            there.available = there.available.min(limit.saturating_sub(used));
        }
        there
    }

    fn address_space(&self) -> u64 {
        const PAGE: u64 = 4_096;
        let limits = self.read("proc/self/limits").unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"));
        let soft = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        let Some(limit) = soft else { return u64::MAX };
        let statm = self.read("proc/self/statm").unwrap_or_default();
        let pages: u64 = statm.split(' ').next().and_then(|size| size.parse().ok()).unwrap_or(0);
        limit.saturating_sub(pages * PAGE)
    }

    /// The limits of the cgroups that this process is in, and what is used of each: of version 2 and of
    /// version 1, from its own up to the root.
    fn cgroup_limits(&self) -> Vec<(u64, u64)> {
        let mut limits = Vec::new();
        for line in self.read("proc/self/cgroup").unwrap_or_default().lines() {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next(), fields.next(), fields.next());
            let (Some(controllers), Some(path)) = (controllers, path) else { continue };
            let (top, limit, used) = match controllers {
                "" => ("sys/fs/cgroup", "memory.max", "memory.current"),
                list if list.split(',').any(|name| name == "memory") => {
                    ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
                }
                _ => continue,
            };
            for folder in Path::new(path.trim_start_matches('/')).ancestors() {
                let number = |file: &str| -> Option<u64> {
                    let file = Path::new(top).join(folder).join(file);
                    self.read(file.to_str()?)?.parse().ok()
                };
                limits.extend(number(limit).map(|limit| (limit, number(used).unwrap_or(0))));
            }
        }
        limits
    }

    /// The memory that the buffers of `sides` sides of a profile want.
    pub fn memory(&self, profile: &Profile, sides: u64) -> Finding {
        let wanted = profile.buffers.memory_mb(sides);
        let free = hugepages::free_mb_in(&self.root.join("sys/kernel/mm/hugepages"));
        let there = self.memory_there();
        let remedy = hugepages::remedy(wanted);
        let huge = profile.eal.hugepages != Wanted::No && free >= wanted;
        let ordinary = there.available.min(there.address_space);
        if !huge && profile.eal.hugepages != Wanted::Yes && wanted << 20 > ordinary {
            return missing(
                format!(
                    "[buffers] count = {}: {wanted} MB are needed, {} can be had",
                    profile.buffers.count,
                    human_bytes(ordinary)
                ),
                "give a smaller count, or free some memory",
            );
        }
        match profile.eal.hugepages {
            Wanted::No => good(format!("{wanted} MB of ordinary pages are enough")),
            _ if huge => good(format!("{wanted} MB of hugepages are wanted, and free")),
            Wanted::Auto => note(
                format!(
                    "{wanted} MB of hugepages are wanted, {free} MB are free, so ordinary pages \
                         are used and figures are worse"
                ),
                remedy,
            ),
            Wanted::Yes => {
                missing(format!("{wanted} MB of hugepages are needed, {free} MB are free"), remedy)
            }
        }
    }

    /// The memory that engines with these limits reserve beside the buffers of ports, and fill as they
    /// are used.
    pub fn for_limits(&self, engines: &[Limits]) -> Finding {
        let there = self.memory_there();
        let mut sums: Vec<Reserved> = Vec::new();
        for part in engines.iter().flat_map(|limits| limits.footprint(APP_BYTES)) {
            match sums.iter_mut().find(|sum| sum.limit == part.limit) {
                Some(sum) => {
                    sum.bytes = sum.bytes.saturating_add(part.bytes);
                    sum.value = sum.value.max(part.value);
                }
                None => sums.push(part),
            }
        }
        sums.sort_by_key(|sum| core::cmp::Reverse(sum.bytes));
        let whole = sums.iter().fold(0_u64, |whole, sum| whole.saturating_add(sum.bytes));
        let many = engines.len();
        let engines = if many == 1 { "1 engine".to_owned() } else { format!("{many} engines") };
        let largest = sums[0];
        let most = there.total.min(there.address_space);
        if largest.bytes > most || whole > there.address_space {
            return missing(
                format!(
                    "{}: {} are reserved for it ({engines}, {} in all), {} can be had",
                    option(&largest),
                    human_bytes(largest.bytes),
                    human_bytes(whole),
                    human_bytes(most)
                ),
                "give less",
            );
        }
        if whole > there.available {
            let parts: Vec<String> = sums[..3]
                .iter()
                .map(|sum| format!("{} {}", option_name(sum.limit), human_bytes(sum.bytes)))
                .collect();
            return note(
                format!(
                    "{engines} may come to take {} ({}), {} can be had",
                    human_bytes(whole),
                    parts.join(", "),
                    human_bytes(there.available)
                ),
                "lower these limits if a run is ended for want of memory",
            );
        }
        good(format!("{engines} may come to take {}, which can be had", human_bytes(whole)))
    }
}

/// The option that sets a limit; those that none sets go by the name of the limit.
pub fn option_name(limit: &str) -> &str {
    match limit {
        "max_connections" => "--max-connections",
        "max_time_wait" => "--max-time-wait",
        "syn_cache" => "--syn-cache",
        "buffer_bytes" => "--buffer-memory",
        other => other,
    }
}

fn option(part: &Reserved) -> String {
    match part.limit {
        "buffer_bytes" => format!("--buffer-memory {}", crate::cli::units::human_size(part.value)),
        limit => format!("{} {}", option_name(limit), part.value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fake;
    use super::*;
    use crate::cli::machine::Level;

    const GB: u64 = 1 << 30;

    fn machine(name: &str, more: &[(&str, &str)]) -> Fake {
        let info =
            "MemTotal: 16777216 kB\nMemFree: 9 kB\nMemAvailable: 8388608 kB\nSwapTotal: 0 kB\n";
        let limits =
            "Limit Soft Limit Hard Limit Units\nMax address space unlimited unlimited bytes\n";
        let mut files = vec![("proc/meminfo", info), ("proc/self/limits", limits)];
        files.extend(more);
        Fake::new(name, &files)
    }

    #[test]
    fn the_least_of_machine_cgroups_and_address_space_counts() {
        let there = |name, more: &[(&str, &str)]| machine(name, more).0.memory_there();
        let all = There { available: 8 * GB, total: 16 * GB, address_space: u64::MAX };
        assert_eq!(there("plain", &[]), all);
        let v2 = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/a/memory.current", "73741824\n"),
        ];
        let small = There { available: 1_000_000_000, total: GB, ..all };
        assert_eq!(there("v2", &v2), small);
        let v1 = [
            ("proc/self/cgroup", "4:cpu:/x\n3:hugetlb,memory:/c\n"),
            ("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "1073741824\n"),
            ("sys/fs/cgroup/memory/c/memory.usage_in_bytes", "73741824\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(there("v1", &v1), small);
        let limited = [
            ("proc/self/limits", "Max address space         2147483648  2147483648  bytes\n"),
            ("proc/self/statm", "1000 9 9 9 0 9 0\n"),
        ];
        let less = There { address_space: 2 * GB - 4_096_000, ..all };
        assert_eq!(there("rlimit", &limited), less);
        let nothing = Fake::new("nothing", &[]);
        let unknown = There { available: u64::MAX, total: u64::MAX, address_space: u64::MAX };
        assert_eq!(nothing.0.memory_there(), unknown);
    }

    #[test]
    fn what_engines_reserve_is_compared_with_what_there_is() {
        let fake = machine("limits", &[]);
        let defaults = Limits::default();
        let finding = fake.0.for_limits(&[defaults; 2]);
        assert_eq!(finding.level, Level::Good, "{finding}");
        assert!(finding.what.starts_with("2 engines may come to take 3."), "{finding}");
        let much = Limits { max_time_wait: 100_000_000, ..defaults };
        let finding = fake.0.for_limits(&[much]);
        assert_eq!(finding.level, Level::Note, "{finding}");
        assert!(finding.what.contains("(--max-time-wait 1"), "{finding}");
        let too_many = Limits { max_connections: 100_000_000, ..defaults };
        let finding = fake.0.for_limits(&[too_many]);
        assert_eq!(finding.level, Level::Missing, "{finding}");
        assert!(finding.what.starts_with("--max-connections 100000000: "), "{finding}");
        assert!(finding.what.ends_with(" 17.2 GB can be had"), "{finding}");
        // a machine that is smaller than the default
        let info = "MemTotal: 786432 kB\nMemAvailable: 700000 kB\nSwapTotal: 0 kB\n";
        let small = machine("small", &[("proc/meminfo", info)]);
        let finding = small.0.for_limits(&[defaults]);
        assert_eq!(finding.level, Level::Missing, "{finding}");
        assert!(finding.what.starts_with("--buffer-memory 1G: 1.1 GB are reserved"), "{finding}");
        let less = Limits { buffer_bytes: 1 << 26, ..defaults };
        assert_ne!(small.0.for_limits(&[less]).level, Level::Missing);
    }

    #[test]
    fn more_buffers_than_there_is_memory_for_are_refused() {
        let fake = machine("buffers", &[]);
        let mut ring = Profile::load("ring").unwrap();
        assert_eq!(fake.0.memory(&ring, 2).level, Level::Note);
        ring.buffers.count = 4_000_000_000;
        let finding = fake.0.memory(&ring, 2);
        assert_eq!(finding.level, Level::Missing, "{finding}");
        assert!(finding.what.starts_with("[buffers] count = 4000000000: 18"), "{finding}");
    }
}
