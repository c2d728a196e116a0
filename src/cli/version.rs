//! What `--version` says: the program, and the DPDK that it runs with.

use std::sync::LazyLock;

/// The version of the program, and behind it that of DPDK, if it was built with it.
pub fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        let own = env!("CARGO_PKG_VERSION");
        dpdk().map_or_else(|| own.to_owned(), |dpdk| format!("{own}, {dpdk}"))
    });
    &LONG
}

#[cfg(feature = "dpdk")]
fn dpdk() -> Option<String> {
    use crate::port::dpdk;
    Some(told(&dpdk::loaded_version(), dpdk::VERSION))
}

#[cfg(not(feature = "dpdk"))]
fn dpdk() -> Option<String> {
    None
}

/// The DPDK that is loaded, and the one whose headers were used if it is another.
#[cfg(any(feature = "dpdk", test))]
fn told(loaded: &str, built: &str) -> String {
    if loaded == built {
        format!("DPDK {loaded}")
    } else {
        format!("DPDK {loaded} (built against {built})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_dpdk_than_the_one_built_against_is_told() {
        assert_eq!(told("22.11.11", "22.11.11"), "DPDK 22.11.11");
        assert_eq!(told("22.11.11", "22.11.4"), "DPDK 22.11.11 (built against 22.11.4)");
    }

    #[test]
    fn dpdk_is_told_of_where_there_is_one() {
        let own = env!("CARGO_PKG_VERSION");
        assert!(long().starts_with(own));
        assert_eq!(long() == own, cfg!(not(feature = "dpdk")));
    }
}
