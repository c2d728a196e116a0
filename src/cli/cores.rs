//! Which processors a run may use.

use std::fs;

/// The processors that this process may run on, in order. Never empty.
pub fn allowed() -> Vec<u32> {
    allowed_to("self")
}

/// Those that the calling thread may run on.
#[cfg(feature = "dpdk")]
pub fn of_this_thread() -> Vec<u32> {
    allowed_to("thread-self")
}

fn allowed_to(task: &str) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{task}/status")).unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(|list| parse(list.trim())).filter(|cpus| !cpus.is_empty()).unwrap_or(vec![0])
}

/// Reads a list such as `0-3,8`.
pub(super) fn parse(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(cpus)
}

/// The EAL option that makes lcores, one on each of these processors.
pub fn option(cpus: &[u32]) -> String {
    let pairs: Vec<String> =
        cpus.iter().enumerate().map(|(lcore, cpu)| format!("{lcore}@{cpu}")).collect();
    format!("--lcores={}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        assert_eq!(parse("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse("7"), Some(vec![7]));
        assert_eq!(parse("x"), None);
        assert_eq!(option(&[2, 9]), "--lcores=0@2,1@9");
        assert!(!allowed().is_empty());
    }
}
