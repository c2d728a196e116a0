//! What memory a run gets: hugepages if there are enough of them, ordinary pages if not.

use std::fs;
use std::path::Path;

/// Where the kernel tells of its pools of hugepages.
const POOLS: &str = "/sys/kernel/mm/hugepages";

/// What a profile wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// Hugepages if there are enough of them, ordinary pages if not.
    #[default]
    Auto,
    /// Hugepages, or the run fails.
    Yes,
    /// Ordinary pages.
    No,
}

/// Free hugepages in megabytes, of all sizes together; 0 if the kernel has none.
pub fn free_mb() -> u64 {
    free_mb_in(Path::new(POOLS))
}

/// The same, of the pools in a folder.
pub(super) fn free_mb_in(pools: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(pools) else { return 0 };
    let free = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let kb: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let count = fs::read_to_string(entry.path().join("free_hugepages")).ok()?;
        Some(kb * count.trim().parse::<u64>().ok()? / 1024)
    };
    entries.flatten().filter_map(free).sum()
}

/// The command that reserves enough pages of 2 MB for `wanted_mb`, and for others besides.
pub(super) fn remedy(wanted_mb: u64) -> String {
    format!("echo {} > /proc/sys/vm/nr_hugepages (as root)", wanted_mb.div_ceil(2) + 64)
}

/// EAL options for a run that needs `needed_mb` megabytes while `free_mb` of hugepages are free.
///
/// With hugepages the memory is private to the process and leaves no file behind; without them EAL
/// reserves what it is told to.
pub fn options(wanted: Wanted, needed_mb: u64, free_mb: u64) -> Vec<String> {
    let huge = match wanted {
        Wanted::Auto => free_mb >= needed_mb,
        Wanted::Yes => true,
        Wanted::No => false,
    };
    if huge {
        vec!["--in-memory".to_owned()]
    } else {
        ["--no-huge", "--no-shconf", "-m", &needed_mb.to_string()].map(str::to_owned).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hugepages_are_used_if_they_are_enough() {
        assert_eq!(options(Wanted::Auto, 100, 100), ["--in-memory"]);
        assert_eq!(options(Wanted::Auto, 100, 99), ["--no-huge", "--no-shconf", "-m", "100"]);
        assert_eq!(options(Wanted::Yes, 100, 0), ["--in-memory"]);
        assert_eq!(options(Wanted::No, 64, 1_000)[0], "--no-huge");
    }

    #[test]
    fn free_pages_of_all_sizes_add_up() {
        let dir = std::env::temp_dir().join(format!("lastack-hugepages-{}", std::process::id()));
        for (pool, free) in
            [("hugepages-2048kB", "3\n"), ("hugepages-1048576kB", "1\n"), ("odd", "9\n")]
        {
            fs::create_dir_all(dir.join(pool)).unwrap();
            fs::write(dir.join(pool).join("free_hugepages"), free).unwrap();
        }
        let free = free_mb_in(&dir);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(free, 6 + 1024);
        assert_eq!(free_mb_in(&dir), 0, "no such directory");
    }
}
