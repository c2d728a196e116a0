//! The SACK scoreboard: what is known of each octet between SND.UNA and SND.MAX (RFC 2018 §5,
//! RFC 6675 §3, RFC 8985 §5).
//!
//! ```text
//!   SND.UNA                                     end                SND.MAX
//!      │ Lost │ SentAgain │ Sacked │ Sent │ Sacked │ sent once, not kept │
//! ```
//!
//! Ranges lie side by side from SND.UNA to the last octet that something is known of; behind it all
//! was sent once. The order in which transmissions left is known without a time for each: octets
//! sent once left in their order, and what was sent again notes where SND.NXT stood. When one that
//! left later is delivered, the time for the earlier ones begins to run.

use crate::wire::seq::SeqNumber;

/// Ranges that one scoreboard can tell apart: enough for what is lost when slow start overruns a path
/// of some megabytes. A receiver reports each block three times (RFC 2018 §4), so one that is not taken
/// is sent again for nothing. A peer that makes more holes than that
/// (CVE-2019-11478) is told nothing worse than that its later blocks are not taken.
pub const RANGES: usize = 2_048;
/// Ranges kept back from SACK blocks, so that losses and retransmissions can still be noted.
const SPARE: usize = 64;

/// What is known of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// Sent once, and on its way as far as we know.
    #[default]
    Sent,
    /// Taken for lost, to be sent again.
    Lost,
    /// Sent again, and on its way as far as we know.
    SentAgain,
    /// The peer has it.
    Sacked,
}

#[derive(Clone, Copy, Debug, Default)]
struct Range {
    start: SeqNumber,
    end: SeqNumber,
    /// `SentAgain`: SND.NXT when it was.
    nxt: SeqNumber,
    /// `SentAgain`: when it was. `Sent`: when something that left later was delivered. Microseconds.
    at_us: u32,
    mark: Mark,
    /// `Sent`: is `at_us` known?
    passed: bool,
}

impl Range {
    fn octets(&self) -> u32 {
        self.start.steps_to(self.end) as u32
    }

    fn goes_with(&self, next: &Range) -> bool {
        self.mark == next.mark
            && match self.mark {
                Mark::Lost | Mark::Sacked => true,
                Mark::Sent => (self.passed, self.at_us) == (next.passed, next.at_us),
                Mark::SentAgain => (self.nxt, self.at_us) == (next.nxt, next.at_us),
            }
    }
}

/// A retransmission that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// SND.NXT when it was sent.
    pub nxt: SeqNumber,
    /// When it was sent, in microseconds.
    pub at_us: u32,
    /// The point after its last octet.
    pub end: SeqNumber,
}

impl Again {
    pub(super) fn left_after(&self, at_us: u32, end: SeqNumber) -> bool {
        let later = self.at_us.wrapping_sub(at_us) as i32;
        later > 0 || (later == 0 && self.end.after(end))
    }
}

/// The delivered transmissions that left last (RFC 8985 §5.2: RACK.segment), of either kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// The point after the last octet of those that were sent once.
    pub once: Option<SeqNumber>,
    /// The last of those that were sent again.
    pub again: Option<Again>,
}

/// What an ACK has delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Octets of which the delivery is news.
    pub octets: u32,
    /// Those among them that left last.
    pub newest: Newest,
    /// Something sent once was overtaken by what was delivered before (RFC 8985 §6.2 step 3).
    pub reordered: bool,
}

impl Delivered {
    fn take(&mut self, range: &Range, highest: SeqNumber) {
        match range.mark {
            Mark::Sacked => return,
            Mark::Sent | Mark::Lost => {
                self.newest.once = Some(self.newest.once.map_or(range.end, |p| p.later(range.end)));
                self.reordered |= range.end.before(highest);
            }
            Mark::SentAgain => {
                let again = Again { nxt: range.nxt, at_us: range.at_us, end: range.end };
                if self.newest.again.is_none_or(|best| again.left_after(best.at_us, best.end)) {
                    self.newest.again = Some(again);
                }
            }
        }
        self.octets += range.octets();
    }
}

/// See the module.
#[derive(Debug)]
pub struct Scoreboard {
    ranges: [Range; RANGES],
    len: u16,
    una: SeqNumber,
    /// The point after the highest octet that the peer has.
    highest: SeqNumber,
    sacked: u32,
    lost: u32,
}

impl Scoreboard {
    /// Nothing is known yet of what follows `una`.
    pub fn new(una: SeqNumber) -> Self {
        let ranges = [Range::default(); RANGES];
        Scoreboard { ranges, len: 0, una, highest: una, sacked: 0, lost: 0 }
    }

    /// Forgets everything.
    pub fn reset(&mut self, una: SeqNumber) {
        (self.len, self.una, self.highest, self.sacked, self.lost) = (0, una, una, 0, 0);
    }

    /// Is nothing known?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets that the peer has, out of order.
    pub fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Octets taken for lost and not sent again yet.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// The point after the highest octet that the peer has.
    pub fn highest(&self) -> SeqNumber {
        self.highest
    }

    /// Does the peer claim to have what follows SND.UNA? Then it has gone back on its word before
    /// (RFC 2018 §8: reneging), or its ACK would say so.
    pub fn is_reneged(&self) -> bool {
        self.len > 0 && self.ranges[0].mark == Mark::Sacked
    }

    /// The ranges with what is known of them, first to last.
    pub fn iter(&self) -> impl Iterator<Item = (SeqNumber, SeqNumber, Mark)> + '_ {
        self.known().iter().map(|range| (range.start, range.end, range.mark))
    }

    /// A SACK block: the peer has what lies from `start` to `end`, both between SND.UNA and SND.MAX.
    /// Nothing is taken if the scoreboard is full.
    pub fn sack(&mut self, start: SeqNumber, end: SeqNumber) -> Delivered {
        let mut delivered = Delivered::default();
        let highest = self.highest;
        if usize::from(self.len) + SPARE >= RANGES {
            return delivered;
        }
        let painted = self.paint(start, end, |range| {
            delivered.take(range, highest);
            range.mark = Mark::Sacked;
        });
        if painted {
            self.highest = self.highest.later(end);
        }
        delivered
    }

    /// SND.UNA moves to `una`.
    pub fn advance(&mut self, una: SeqNumber) -> Delivered {
        let mut delivered = Delivered::default();
        let end = self.end();
        let mut gone = 0;
        for range in &mut self.ranges[..usize::from(self.len)] {
            if una.at_or_before(range.start) {
                break;
            }
            let part = Range { end: range.end.earlier(una), ..*range };
            delivered.take(&part, self.highest);
            match part.mark {
                Mark::Sacked => self.sacked -= part.octets(),
                Mark::Lost => self.lost -= part.octets(),
                Mark::Sent | Mark::SentAgain => {}
            }
            range.start = part.end;
            gone += usize::from(range.start == range.end);
        }
        if end.before(una) {
            let part = Range { start: end, end: una, ..Range::default() };
            delivered.take(&part, self.highest);
        }
        self.ranges.copy_within(gone..usize::from(self.len), 0);
        self.len -= gone as u16;
        self.una = una;
        self.highest = self.highest.later(una);
        delivered
    }

    /// Takes for lost what left before the `newest` that were delivered, and has had its time
    /// (RFC 8985 §6.2 step 5): the round trip `rtt_us` of RACK and the reordering window. Returns the
    /// octets that this is, and in how many microseconds to look again at what still has time.
    pub fn detect(
        &mut self,
        newest: &Newest,
        now_us: u32,
        rtt_us: u32,
        window_us: u32,
    ) -> (u32, Option<u32>) {
        if let Some(again) = newest.again
            && self.una.before(again.nxt)
            && again.nxt.before(self.end())
        {
            self.boundary(again.nxt);
        }
        let before = self.lost;
        let mut wait: Option<u32> = None;
        for range in &mut self.ranges[..usize::from(self.len)] {
            let life = match range.mark {
                Mark::Sent => {
                    let by_once = newest.once.is_some_and(|end| range.start.before(end));
                    let by_again = newest.again.is_some_and(|again| range.start.before(again.nxt));
                    if !by_once && !by_again {
                        continue;
                    }
                    if !range.passed {
                        (range.passed, range.at_us) = (true, now_us);
                    }
                    window_us
                }
                Mark::SentAgain => {
                    let by_once = newest.once.is_some_and(|end| range.nxt.before(end));
                    let by_again =
                        newest.again.is_some_and(|again| again.left_after(range.at_us, range.end));
                    if !by_once && !by_again {
                        continue;
                    }
                    rtt_us.saturating_add(window_us)
                }
                Mark::Lost | Mark::Sacked => continue,
            };
            let left = life.saturating_sub(now_us.wrapping_sub(range.at_us));
            if left == 0 {
                range.mark = Mark::Lost;
                self.lost += range.octets();
            } else {
                wait = Some(wait.map_or(left, |least| least.min(left)));
            }
        }
        if self.lost > before {
            self.merge(0, usize::from(self.len));
        }
        (self.lost - before, wait)
    }

    /// Takes all from `start` to `end` for lost, but what the peer has.
    pub fn lose(&mut self, start: SeqNumber, end: SeqNumber) {
        self.paint(start, end, |range| {
            if range.mark != Mark::Sacked {
                range.mark = Mark::Lost;
            }
        });
    }

    /// What was taken for lost is on its way after all: the loss was none (RFC 4015 §3.2).
    pub fn unlose(&mut self) {
        for range in &mut self.ranges[..usize::from(self.len)] {
            if range.mark == Mark::Lost {
                (range.mark, range.passed) = (Mark::Sent, false);
            }
        }
        self.lost = 0;
        self.merge(0, usize::from(self.len));
    }

    /// Does not count on what the peer said it has (RFC 2018 §8).
    pub fn unsack(&mut self) {
        for range in &mut self.ranges[..usize::from(self.len)] {
            if range.mark == Mark::Sacked {
                (range.mark, range.passed) = (Mark::Sent, false);
            }
        }
        self.sacked = 0;
        self.highest = self.una;
        self.merge(0, usize::from(self.len));
    }

    /// The first range that was lost and not sent again.
    pub fn next_lost(&self) -> Option<(SeqNumber, SeqNumber)> {
        if self.lost == 0 {
            return None;
        }
        let lost = self.known().iter().find(|range| range.mark == Mark::Lost)?;
        Some((lost.start, lost.end))
    }

    /// What lies from `start` to `end` was sent again now, when SND.NXT was `nxt`.
    pub fn sent_again(&mut self, start: SeqNumber, end: SeqNumber, nxt: SeqNumber, now_us: u32) {
        let mark = |range: &mut Range| {
            if range.mark != Mark::Sacked {
                *range = Range { mark: Mark::SentAgain, nxt, at_us: now_us, ..*range };
            }
        };
        if !self.paint(start, end, mark) {
            // no room for one more boundary: the rest of the range counts as sent too, and is found
            // missing again after a round trip
            let whole = self.known().iter().find(|range| start.before(range.end));
            if let Some(&Range { start, end, .. }) = whole {
                self.paint(start, end, mark);
            }
        }
    }

    fn known(&self) -> &[Range] {
        &self.ranges[..usize::from(self.len)]
    }

    /// The point after the last range.
    fn end(&self) -> SeqNumber {
        self.known().last().map_or(self.una, |range| range.end)
    }

    /// Changes what is known from `start` to `end`. False, and nothing is changed, if there is no
    /// room for the boundaries that this takes.
    fn paint(
        &mut self,
        start: SeqNumber,
        end: SeqNumber,
        mut change: impl FnMut(&mut Range),
    ) -> bool {
        let start = start.later(self.una);
        if start.at_or_after(end) {
            return true;
        }
        if usize::from(self.len) + 3 > RANGES {
            self.compact();
            if usize::from(self.len) + 3 > RANGES {
                return self.paint_whole(start, end, change);
            }
        }
        if self.end().before(end) {
            let tail = Range { start: self.end(), end, ..Range::default() };
            self.ranges[usize::from(self.len)] = tail;
            self.len += 1;
        }
        let first = self.boundary(start);
        let last = self.boundary(end);
        self.change(first, last, &mut change);
        true
    }

    /// As `paint`, where the boundaries exist already.
    fn paint_whole(
        &mut self,
        start: SeqNumber,
        end: SeqNumber,
        mut change: impl FnMut(&mut Range),
    ) -> bool {
        let known = self.known();
        let first = known.iter().position(|range| range.start == start);
        let last = known.iter().position(|range| range.end == end);
        let (Some(first), Some(last)) = (first, last) else { return false };
        self.change(first, last + 1, &mut change);
        true
    }

    fn change(&mut self, first: usize, last: usize, change: &mut impl FnMut(&mut Range)) {
        for range in &mut self.ranges[first..last] {
            let octets = range.octets();
            match range.mark {
                Mark::Sacked => self.sacked -= octets,
                Mark::Lost => self.lost -= octets,
                Mark::Sent | Mark::SentAgain => {}
            }
            change(range);
            match range.mark {
                Mark::Sacked => self.sacked += octets,
                Mark::Lost => self.lost += octets,
                Mark::Sent | Mark::SentAgain => {}
            }
        }
        self.merge(first.saturating_sub(1), (last + 1).min(self.len.into()));
    }

    /// The index of the range that begins at `at`, which lies in the known part or at its end; a
    /// range that `at` lies in is split. There must be room for one more.
    fn boundary(&mut self, at: SeqNumber) -> usize {
        let len = usize::from(self.len);
        let index = self.known().partition_point(|range| range.end.at_or_before(at));
        if index == len || self.ranges[index].start.at_or_after(at) || len == RANGES {
            return index;
        }
        self.ranges.copy_within(index..len, index + 1);
        self.len += 1;
        self.ranges[index].end = at;
        self.ranges[index + 1].start = at;
        index + 1
    }

    /// Joins neighbours among `from..to` of which the same is known.
    fn merge(&mut self, from: usize, to: usize) {
        self.join(from, to, Range::goes_with);
    }

    /// Joins retransmissions of different times too; the joint one counts as sent last.
    fn compact(&mut self) {
        let len = usize::from(self.len);
        for index in 1..len {
            let (left, right) = (self.ranges[index - 1], self.ranges[index]);
            if left.mark == Mark::SentAgain && right.mark == Mark::SentAgain {
                let later = left.at_us.wrapping_sub(right.at_us) as i32 > 0;
                let (nxt, at_us) =
                    if later { (left.nxt, left.at_us) } else { (right.nxt, right.at_us) };
                self.ranges[index] = Range { nxt, at_us, ..right };
                self.ranges[index - 1] = Range { nxt, at_us, ..left };
            }
        }
        self.join(0, len, |left, right| {
            left.mark == right.mark && (left.mark == Mark::SentAgain || left.goes_with(right))
        });
    }

    fn join(&mut self, from: usize, to: usize, together: impl Fn(&Range, &Range) -> bool) {
        if to <= from {
            return;
        }
        let mut kept = from;
        for index in from + 1..to {
            let next = self.ranges[index];
            if together(&self.ranges[kept], &next) {
                self.ranges[kept].end = next.end;
                if next.mark == Mark::SentAgain {
                    (self.ranges[kept].nxt, self.ranges[kept].at_us) = (next.nxt, next.at_us);
                }
            } else {
                kept += 1;
                self.ranges[kept] = next;
            }
        }
        let gone = to - kept - 1;
        if gone > 0 {
            self.ranges.copy_within(to..usize::from(self.len), kept + 1);
            self.len -= gone as u16;
        }
    }
}

#[cfg(test)]
mod tests;
