//! Multicast listener discovery: queries and reports (RFC 3810; RFC 2710 for version 1).

use super::Malformed;
use core::net::Ipv6Addr;
use core::time::Duration;

/// ICMPv6 types.
pub const QUERY: u8 = 130;
/// A report of version 1.
pub const REPORT_V1: u8 = 131;
/// A report of version 2.
pub const REPORT: u8 = 143;

/// Octets of a record without sources.
pub const RECORD_LEN: usize = 20;

/// Where reports go that all routers and snooping switches listen to (RFC 3810 §5.2.14).
pub const REPORTS_TO: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// The hop-by-hop header with the router alert option that each message has (RFC 3810 §5,
/// RFC 2711 §2.1): next header ICMPv6, router alert 0 (MLD), PadN of 2 octets.
pub const ROUTER_ALERT: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];

/// What a record tells of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// We listen to it, whoever sends (MODE_IS_EXCLUDE without sources).
    Listening = 2,
    /// We listen to it from now on (CHANGE_TO_EXCLUDE_MODE).
    Joined = 4,
}

/// A question for listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of this group, or of all if it is unspecified.
    pub group: Ipv6Addr,
    /// The time within which to answer.
    pub within: Duration,
    /// It is of version 1: it wants reports of that version.
    pub version_1: bool,
}

impl Query {
    /// Reads the second half of the ICMPv6 header and the body.
    pub fn parse(rest: [u8; 4], body: &[u8]) -> Result<Self, Malformed> {
        let (group, more) = body.split_first_chunk::<16>().ok_or(Malformed::ShortIcmpv6)?;
        // RFC 3810 §8.1: 24 octets are version 1, 28 and more version 2.
        let version_1 = match more.len() {
            0 => true,
            1..4 => return Err(Malformed::ShortIcmpv6),
            _ => false,
        };
        let code = u16::from_be_bytes([rest[0], rest[1]]);
        let ms = match code {
            // RFC 3810 §5.1.3: three bits of exponent, twelve of mantissa
            0x8000.. if !version_1 => {
                (u32::from(code & 0xfff) | 0x1000) << (u32::from(code >> 12 & 7) + 3)
            }
            _ => code.into(),
        };
        let within = Duration::from_millis(ms.into());
        Ok(Query { group: Ipv6Addr::from(*group), within, version_1 })
    }
}

/// Writes one record for each group and returns the octets.
///
/// # Panics
/// If `out` is too short for them.
pub fn write_records(out: &mut [u8], kind: RecordKind, groups: &[Ipv6Addr]) -> usize {
    let len = groups.len() * RECORD_LEN;
    for (record, group) in out[..len].chunks_exact_mut(RECORD_LEN).zip(groups) {
        record[..4].copy_from_slice(&[kind as u8, 0, 0, 0]);
        record[4..].copy_from_slice(&group.octets());
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_both_versions() {
        let group: Ipv6Addr = "ff02::1:ff00:1".parse().unwrap();
        let mut body = group.octets().to_vec();
        let query = Query::parse([0x27, 0x10, 0, 0], &body).unwrap();
        assert_eq!(query, Query { group, within: Duration::from_secs(10), version_1: true });
        for short in [17, 18, 19] {
            body.resize(short, 0);
            assert_eq!(Query::parse([0; 4], &body), Err(Malformed::ShortIcmpv6));
        }
        body.resize(20, 0);
        for (code, ms) in [(0, 0), (10_000, 10_000), (0x7fff, 32_767), (0x8000, 32_768)] {
            let [a, b] = u16::to_be_bytes(code);
            let query = Query::parse([a, b, 0, 0], &body).unwrap();
            assert_eq!(query, Query { group, within: Duration::from_millis(ms), version_1: false });
        }
        let longest = Query::parse([0xff, 0xff, 0, 0], &body).unwrap().within;
        assert_eq!(longest, Duration::from_millis(0x1fff << 10));
        assert_eq!(Query::parse([0; 4], &body[..15]), Err(Malformed::ShortIcmpv6));
    }

    #[test]
    fn records_lie_one_behind_the_other() {
        let groups = ["ff02::1:ff00:1", "ff02::1:ff00:2"].map(|g| g.parse().unwrap());
        let mut out = [0xee; 41];
        assert_eq!(write_records(&mut out, RecordKind::Joined, &groups), 40);
        assert_eq!(out[..8], [4, 0, 0, 0, 0xff, 2, 0, 0]);
        assert_eq!((out[20], out[39], out[40]), (4, 2, 0xee));
    }
}
