//! What SACK options say of the out-of-order queue: RFC 2018 §4, RFC 2883 §4.

use super::{Reassembly, ReassemblyPool};
use crate::wire::options::SackBlocks;
use crate::wire::seq::SeqNumber;

/// A range of held octets, and how many changes ago an arrival last touched it.
struct Aged {
    start: SeqNumber,
    end: SeqNumber,
    age: u32,
}

impl Reassembly {
    /// The ranges that are held, in order, as SACK reports them (RFC 2018 §3): from the first
    /// octet to the point after the last, a FIN counted as one.
    pub fn blocks<'p>(
        &self,
        segments: &'p ReassemblyPool,
    ) -> impl Iterator<Item = (SeqNumber, SeqNumber)> + 'p {
        self.aged_blocks(segments).map(|block| (block.start, block.end))
    }

    /// The blocks of a SACK option, the most recently changed first (RFC 2018 §4): a range that an
    /// arrival touches becomes the first, also if all of that arrival was held before. The range
    /// that contains `reported` goes before all others (RFC 2883 §4, rule 4).
    pub fn recent_blocks(
        &self,
        segments: &ReassemblyPool,
        reported: Option<SeqNumber>,
    ) -> SackBlocks {
        let mut found = [(0, SeqNumber::default(), SeqNumber::default()); SackBlocks::MAX];
        let mut len = 0;
        for Aged { start, end, age } in self.aged_blocks(segments) {
            let is_reported =
                reported.is_some_and(|seq| start.at_or_before(seq) && seq.before(end));
            let rank = if is_reported { 0 } else { u64::from(age) + 1 };
            let place = found[..len].partition_point(|&(earlier, ..)| earlier <= rank);
            if place < found.len() {
                len = found.len().min(len + 1);
                found[place..len].rotate_right(1);
                found[place] = (rank, start, end);
            }
        }
        let mut blocks = SackBlocks::EMPTY;
        for &(_, start, end) in &found[..len] {
            blocks.push(start, end);
        }
        blocks
    }

    /// The first contiguous octets of `start..end` that are held (RFC 2883 §4.2: of several parts
    /// that arrive again, only the first is reported).
    pub fn first_held(
        &self,
        segments: &ReassemblyPool,
        start: SeqNumber,
        end: SeqNumber,
    ) -> Option<(SeqNumber, SeqNumber)> {
        let mut held: Option<(SeqNumber, SeqNumber)> = None;
        let mut link = self.first;
        while link != 0 {
            let segment = segments.at(link);
            let (from, to) = (segment.start.later(start), segment.data_end().earlier(end));
            if from.before(to) {
                match &mut held {
                    None => held = Some((from, to)),
                    Some((_, so_far)) if *so_far == from => *so_far = to,
                    Some(_) => break,
                }
            } else if held.is_some() {
                break;
            }
            link = segment.next;
        }
        held
    }

    fn aged_blocks<'p>(
        &self,
        segments: &'p ReassemblyPool,
    ) -> impl Iterator<Item = Aged> + use<'p> {
        let mut link = self.first;
        core::iter::from_fn(move || {
            if link == 0 {
                return None;
            }
            let start = segments.at(link).start;
            let mut age = u32::MAX;
            loop {
                let segment = segments.at(link);
                age = age.min(segments.changes.wrapping_sub(segment.touched));
                link = segment.next;
                if link == 0 || segments.at(link).start != segment.end() {
                    return Some(Aged { start, end: segment.end(), age });
                }
            }
        })
    }
}
