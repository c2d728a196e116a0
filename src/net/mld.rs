//! The multicast groups that we listen to: told to routers and to switches that snoop, so that
//! solicitations for our addresses get through (RFC 3810 §4.2, RFC 4861 §7.2.1).
//!
//! Groups are joined when the engine starts and never left. Sans I/O: [`Memberships::poll`] says
//! what is to be sent. All nodes (`ff02::1`) is never reported (RFC 3810 §6).

use crate::time::Instant;
use crate::wire::mld::{Query, RECORD_LEN, RecordKind};
use core::net::Ipv6Addr;
use core::time::Duration;

/// Times that a join is reported (RFC 3810 §9.1: robustness variable).
pub const ROBUSTNESS: u8 = 2;
/// The longest time between two of them (RFC 3810 §9.11: unsolicited report interval).
pub const UNSOLICITED_INTERVAL: Duration = Duration::from_secs(1);
/// How long a query of version 1 counts: 2 · 125 s + 10 s (RFC 3810 §9.12).
pub const OLDER_VERSION: Duration = Duration::from_secs(260);
/// Groups that are reported at most; the rest of a range of addresses is reached only where no
/// switch snoops.
pub const MOST_GROUPS: usize = 1_024;

/// Records that a report has room for on any link (RFC 8200 §5: 1,280 octets, of which the headers
/// of IPv6, router alert and ICMPv6 take 56).
pub const MOST_RECORDS: usize = (1_280 - 40 - 8 - 8) / RECORD_LEN;

/// A report to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report<'a> {
    /// Of version 2, with a record for each group.
    V2(RecordKind, &'a [Ipv6Addr]),
    /// Of version 1.
    V1(Ipv6Addr),
}

/// See the module.
#[derive(Debug)]
pub struct Memberships {
    groups: Vec<Ipv6Addr>,
    /// When all groups are reported next, as what, and the first one that has not been; `FAR` = never.
    due: Instant,
    kind: RecordKind,
    place: usize,
    /// Reports of the join that are still to come.
    joins_left: u8,
    /// A group that was asked for by name: its index, and when it is reported.
    asked: Option<(usize, Instant)>,
    version_1_until: Instant,
    dice: u64,
}

impl Memberships {
    /// Nothing is sent before [`join`](Self::join). `seed` spreads the answers of many hosts.
    pub fn new(mut groups: Vec<Ipv6Addr>, seed: u64) -> Self {
        groups.sort_unstable();
        groups.dedup();
        groups.truncate(MOST_GROUPS);
        Memberships {
            groups,
            due: Instant::FAR,
            kind: RecordKind::Joined,
            place: 0,
            joins_left: 0,
            asked: None,
            version_1_until: Instant::ZERO,
            dice: seed | 1,
        }
    }

    /// Reports all groups now, and again within a second.
    pub fn join(&mut self, now: Instant) {
        if !self.groups.is_empty() {
            (self.kind, self.place, self.joins_left, self.due) =
                (RecordKind::Joined, 0, ROBUSTNESS, now);
        }
    }

    /// A router or a switch asks. The caller has checked that it may (RFC 3810 §6.2: from a
    /// link-local address, with hop limit 1).
    pub fn on_query(&mut self, query: &Query, now: Instant) {
        if query.version_1 {
            self.version_1_until = now + OLDER_VERSION;
        }
        let at = now + self.up_to(query.within);
        if query.group.is_unspecified() {
            if !self.groups.is_empty() && at < self.due {
                (self.kind, self.place, self.due) = (RecordKind::Listening, 0, at);
            }
        } else if let Ok(index) = self.groups.binary_search(&query.group)
            && at < self.due
            && self.asked.is_none_or(|(other, pending)| other != index || at < pending)
        {
            // With another group pending all are reported: that answers both.
            match self.asked {
                Some((other, pending)) if other != index => {
                    (self.kind, self.place, self.due) = (RecordKind::Listening, 0, at.min(pending));
                    self.asked = None;
                }
                _ => self.asked = Some((index, at)),
            }
        }
    }

    /// When [`poll`](Self::poll) next has something to say; `FAR` = never.
    #[inline]
    pub fn next_deadline(&self) -> Instant {
        self.asked.map_or(self.due, |(_, at)| at.min(self.due))
    }

    /// What is to be sent by `now`; ask until it is `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Report<'_>> {
        let version_1 = now < self.version_1_until;
        if let Some((index, _)) = self.asked.take_if(|(_, at)| *at <= now) {
            return Some(match version_1 {
                true => Report::V1(self.groups[index]),
                false => Report::V2(RecordKind::Listening, &self.groups[index..=index]),
            });
        }
        if now < self.due {
            return None;
        }
        if self.place >= self.groups.len() {
            self.place = 0;
            self.due = Instant::FAR;
            if self.kind == RecordKind::Joined {
                self.joins_left = self.joins_left.saturating_sub(1);
            }
            if self.joins_left > 0 {
                self.kind = RecordKind::Joined;
                self.due = now + self.up_to(UNSOLICITED_INTERVAL);
            }
            return None;
        }
        let first = self.place;
        let step = if version_1 { 1 } else { MOST_RECORDS };
        self.place = (first + step).min(self.groups.len());
        Some(match version_1 {
            true => Report::V1(self.groups[first]),
            false => Report::V2(self.kind, &self.groups[first..self.place]),
        })
    }

    /// A time of up to `most`, evenly (RFC 3810 §6.2).
    fn up_to(&mut self, most: Duration) -> Duration {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        Duration::from_millis(self.dice % (most.as_millis() as u64 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(5_000 + ms)
    }

    fn groups(count: u16) -> Vec<Ipv6Addr> {
        (0..count).map(|n| Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, n)).collect()
    }

    /// All reports by `until`, with their times in milliseconds.
    fn reports(all: &mut Memberships, until: Instant) -> Vec<(u64, String)> {
        let mut told = Vec::new();
        while all.next_deadline() <= until {
            let now = all.next_deadline();
            while let Some(report) = all.poll(now) {
                told.push((now.since(at(0)).as_millis() as u64, format!("{report:?}")));
            }
        }
        told
    }

    fn general(within_ms: u64, version_1: bool) -> Query {
        let within = Duration::from_millis(within_ms);
        Query { group: Ipv6Addr::UNSPECIFIED, within, version_1 }
    }

    #[test]
    fn a_join_is_reported_twice_within_a_second() {
        let mut all = Memberships::new(groups(2), 7);
        assert_eq!(all.next_deadline(), Instant::FAR);
        all.join(at(0));
        let told = reports(&mut all, at(60_000));
        assert_eq!((told.len(), told[0].0), (2, 0));
        assert!(told[1].0 <= 1_000 && told.iter().all(|(_, text)| text.starts_with("V2(Joined")));
        assert_eq!(all.next_deadline(), Instant::FAR);
        // without a group nothing is ever said
        let mut none = Memberships::new(Vec::new(), 7);
        none.join(at(0));
        none.on_query(&general(10, false), at(0));
        assert_eq!(none.next_deadline(), Instant::FAR);
    }

    #[test]
    fn queries_are_answered_in_time() {
        for seed in 0..50 {
            let mut all = Memberships::new(groups(3), seed);
            all.on_query(&general(2_000, false), at(0));
            let told = reports(&mut all, at(2_000));
            assert_eq!(told.len(), 1);
            assert!(told[0].1.starts_with("V2(Listening"));
            let one = Query { group: groups(3)[1], ..general(500, false) };
            all.on_query(&one, at(3_000));
            let told = reports(&mut all, at(3_500));
            assert_eq!(told.len(), 1);
            assert!(told[0].1.contains("[ff02::1:ff00:1]"), "{told:?}");
            // a group that is not ours
            all.on_query(&Query { group: "ff02::fb".parse().unwrap(), ..one }, at(4_000));
            assert_eq!(reports(&mut all, at(9_000)), []);
            // two by name: one report for both
            all.on_query(&one, at(9_000));
            all.on_query(&Query { group: groups(3)[2], ..one }, at(9_000));
            let told = reports(&mut all, at(9_500)).into_iter().map(|(_, text)| text);
            let told: String = told.collect();
            assert!(told.contains("ff02::1:ff00:1") && told.contains("ff02::1:ff00:2"), "{told}");
        }
    }

    #[test]
    fn version_1_is_spoken_to_those_that_speak_it() {
        let mut all = Memberships::new(groups(2), 3);
        all.on_query(&general(100, true), at(0));
        let told = reports(&mut all, at(100));
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|(_, text)| text.starts_with("V1(")), "{told:?}");
        all.on_query(&general(0, false), at(259_000));
        assert!(reports(&mut all, at(259_000))[0].1.starts_with("V1("));
        all.on_query(&general(0, false), at(260_000));
        assert!(reports(&mut all, at(260_000))[0].1.starts_with("V2("));
    }

    #[test]
    fn many_groups_take_several_reports() {
        let mut all = Memberships::new(groups(2_000), 3);
        all.on_query(&general(0, false), at(0));
        let told = reports(&mut all, at(0));
        assert_eq!(told.len(), MOST_GROUPS.div_ceil(61));
    }
}
