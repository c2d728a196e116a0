//! How many SYNs a source sends (RFC 4987 §3.1), for as many sources as there are in the world: a
//! sketch of constant size. It may take a source for busier than it is, never for less busy.
//!
//! Each source has a cell in each of two rows, chosen by a keyed hash; a cell counts the SYNs of all
//! sources that share it, in the running second. A source is over its limit when both of its cells are.

use super::flow_hash::FlowKey;
use crate::tcp::Ip;
use crate::time::Instant;

/// Cells of a row.
const CELLS: usize = 1 << 14;

/// The sketch: 128 KiB.
pub(super) struct SynLimit {
    key: FlowKey,
    /// The second in the upper half, the count in the lower.
    rows: [Box<[u32]>; 2],
}

impl SynLimit {
    pub fn new(key: FlowKey) -> Self {
        SynLimit { key, rows: [(); 2].map(|()| vec![0; CELLS].into_boxed_slice()) }
    }

    /// Counts a SYN, and says whether the source has had its `limit` for this second. Those of an
    /// IPv6 network of 64 bits are one source, since a host can have all of its addresses.
    pub fn count_syn(&mut self, source: Ip, now: Instant, limit: u16) -> bool {
        let second = (now.nanos() / 1_000_000_000) as u32 & 0xffff;
        let network =
            if source.is_v4() { u64::from(source.v4_bits()) } else { (source.bits() >> 64) as u64 };
        let hash = self.key.hash_v4(network as u32, (network >> 32) as u32, 0, 0).0;
        let places = [hash as usize % CELLS, (hash >> 32) as usize % CELLS];
        let mut least = u32::from(u16::MAX);
        for (row, place) in self.rows.iter().zip(places) {
            let cell = row[place];
            least = least.min(if cell >> 16 == second { cell & 0xffff } else { 0 });
        }
        if least >= u32::from(limit) {
            return true;
        }
        for (row, place) in self.rows.iter_mut().zip(places) {
            // only the lower of the two is raised: the other counts somebody else besides
            let cell = row[place];
            let count = if cell >> 16 == second { cell & 0xffff } else { 0 };
            row[place] = second << 16 | count.max(least + 1);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};

    fn ip(text: &str) -> Ip {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_source_has_its_number_each_second() {
        let mut limit = SynLimit::new(FlowKey::new(1, 2));
        let at = Instant::from_millis;
        for (source, second) in [("198.18.0.1", 7), ("2001:db8::1", 7), ("198.18.0.1", 8)] {
            let taken = (0..10).filter(|n| !limit.count_syn(ip(source), at(second * 1_000 + n), 3));
            assert_eq!(taken.count(), 3, "{source} {second}");
        }
        assert!(limit.count_syn(ip("2001:db8::ffff"), at(7_500), 3), "the same network");
        assert!(!limit.count_syn(ip("2001:db8:0:1::1"), at(7_500), 3), "another one");
    }

    #[test]
    fn very_many_sources_do_not_hide_one() {
        let mut limit = SynLimit::new(FlowKey::new(3, 4));
        let now = Instant::from_millis(1);
        let busy = ip("198.18.0.1");
        let mut taken = 0;
        for n in 0..200_000_u32 {
            limit.count_syn(Ip::v4(Ipv4Addr::from(0xc613_0000 + n)), now, 100);
            taken += u32::from(n % 10 == 0 && !limit.count_syn(busy, now, 100));
        }
        assert!(taken <= 100, "never taken for less busy: {taken}");
    }
}
