//! The out-of-order queue: what has arrived beyond `rcv_nxt` (RFC 9293 §3.10.7.4).
//!
//! ```text
//!   rcv_nxt        first ─▶ [start, octets) ─▶ [start, octets) ─▶ [start, octets) FIN
//!      │  missing    │                 missing                │ side by side
//!   ───┴─────────────▓▓▓▓▓▓▓▓▓▓▓▓──────────────▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓─────▶ sequence space
//! ```
//!
//! Segments lie in order and never overlap; the octets that arrived first stay. A segment that
//! continues one that is held is added to it, so a burst after a loss is one segment. Octets and
//! segments are bounded for each connection, and by the pools for all of them; what does not fit is
//! not kept, which the sender takes for a loss.

mod report;

use super::buffer::{Chain, Pool};
use super::memory;
use crate::wire::seq::SeqNumber;

/// A run of octets that were received out of order.
#[derive(Debug, Default)]
struct Segment {
    start: SeqNumber,
    octets: Chain,
    /// Index plus one of the segment that follows, or of the next free one; 0 = none.
    next: u32,
    /// The pool's count of changes when an arrival last touched this segment.
    touched: u32,
    /// Does a FIN follow the last octet?
    fin: bool,
}

impl Segment {
    /// The point after the last octet, where a FIN would be.
    fn data_end(&self) -> SeqNumber {
        self.start + self.octets.len()
    }

    /// The point after all of it, the FIN included.
    fn end(&self) -> SeqNumber {
        self.data_end() + u32::from(self.fin)
    }
}

/// The segments of all connections of an engine.
pub struct ReassemblyPool {
    segments: Vec<Segment>,
    limit: u32,
    /// Index plus one of the segment that was freed last; 0 = none.
    free: u32,
    in_use: u32,
    /// Counts arrivals that touch a segment; it orders the blocks of a SACK option by age.
    changes: u32,
}

impl ReassemblyPool {
    /// A pool of `segments` segments, all free, in memory that is not touched yet.
    pub fn new(segments: u32) -> Self {
        let limit = segments;
        let segments = Vec::with_capacity(limit as usize);
        ReassemblyPool { segments, limit, free: 0, in_use: 0, changes: 0 }
    }

    /// Octets of the place of a segment.
    pub const SEGMENT_BYTES: usize = size_of::<Segment>();

    /// Segments that are held.
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Segments that are free.
    pub fn available(&self) -> u32 {
        self.limit - self.in_use
    }

    /// Segments that one connection may hold now.
    pub fn share(&self) -> u32 {
        memory::share(self.limit, self.available(), memory::LEAST_SEGMENTS)
    }

    fn take(&mut self) -> Option<u32> {
        let link = if self.free != 0 {
            self.free
        } else if self.segments.len() < self.limit as usize {
            self.segments.push(Segment::default());
            self.segments.len() as u32
        } else {
            return None;
        };
        self.free = core::mem::take(&mut self.at_mut(link).next);
        self.in_use += 1;
        Some(link)
    }

    fn give(&mut self, link: u32) {
        let next = self.free;
        let freed = self.at_mut(link);
        debug_assert!(freed.octets.is_empty(), "its chunks would be lost");
        *freed = Segment { next, ..Segment::default() };
        self.free = link;
        self.in_use -= 1;
    }

    #[inline]
    fn at(&self, link: u32) -> &Segment {
        &self.segments[link as usize - 1]
    }

    #[inline]
    fn at_mut(&mut self, link: u32) -> &mut Segment {
        &mut self.segments[link as usize - 1]
    }
}

/// Where out-of-order octets are held.
pub struct Pools<'p> {
    /// Their descriptors.
    pub segments: &'p mut ReassemblyPool,
    /// The octets themselves.
    pub bytes: &'p mut Pool,
}

/// What one connection may hold out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets, in all segments.
    pub octets: u32,
    /// Segments.
    pub segments: u32,
}

/// What became of a segment.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// Something of it was new and is held now.
    Kept {
        /// New octets; 0 if only the FIN was new.
        octets: u32,
    },
    /// All of it was held, or received in order, before.
    Duplicate,
    /// Something of it was new, but nothing could be kept.
    Dropped(DropReason),
}

/// Why something new was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The connection holds [`Limits::octets`].
    TooManyOctets,
    /// The connection holds [`Limits::segments`].
    TooManySegments,
    /// The pool of segments is exhausted.
    NoSegment,
    /// The pool of chunks is exhausted.
    NoChunk,
    /// It contradicts a FIN: octets beyond it, or a FIN before octets that are held.
    BeyondFin,
}

/// What comes next in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run<'p> {
    /// These octets, which are `rcv_nxt` and following.
    Octets(&'p [u8]),
    /// The FIN.
    Fin,
    /// Nothing: what is at `rcv_nxt` has not arrived.
    Missing,
}

/// What was taken in order.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Octets; `rcv_nxt` moves by as many, and by one more for a FIN.
    pub octets: u32,
    /// Did the FIN follow them?
    pub fin: bool,
}

/// The out-of-order queue of one connection.
#[derive(Debug, Default)]
pub struct Reassembly {
    /// Index plus one of the first segment; 0 = none.
    first: u32,
    /// The same, of the one that changed last.
    recent: u32,
    octets: u32,
}

const _: () = assert!(size_of::<Reassembly>() <= 12);

impl Reassembly {
    /// An empty queue.
    pub const fn new() -> Self {
        Reassembly { first: 0, recent: 0, octets: 0 }
    }

    /// Is nothing held?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first == 0
    }

    /// Octets that are held.
    #[inline]
    pub fn octets(&self) -> u32 {
        self.octets
    }

    /// Keeps what is new of a segment that begins at `seq`. What lies before `rcv_nxt`, or is held
    /// already, is left out; the caller has cut off what lies beyond the window.
    ///
    /// If there is not room for all of it a first part may be kept; a FIN only with the octet
    /// before it.
    pub fn insert(
        &mut self,
        pools: Pools<'_>,
        limits: &Limits,
        rcv_nxt: SeqNumber,
        seq: SeqNumber,
        payload: &[u8],
        fin: bool,
    ) -> Inserted {
        let Pools { segments, bytes } = pools;
        let behind = seq.steps_to(rcv_nxt).max(0) as u32;
        let Some(mut rest) = payload.get(behind as usize..) else { return Inserted::Duplicate };
        let mut at = seq + behind;
        let mut prev = self.last_at_or_before(segments, at);
        let mut kept = 0;
        while !rest.is_empty() {
            if prev != 0 {
                let held = segments.at(prev);
                let overlap = at.steps_to(held.data_end()).clamp(0, rest.len() as i32);
                if overlap > 0 {
                    self.touch(segments, prev);
                    rest = &rest[overlap as usize..];
                    at += overlap as u32;
                    continue;
                }
                if held.fin {
                    return outcome(kept, DropReason::BeyondFin);
                }
            }
            let next = self.after(segments, prev);
            let gap = match next {
                0 => rest.len(),
                next => rest.len().min(at.steps_to(segments.at(next).start) as usize),
            };
            if gap == 0 {
                prev = next;
                continue;
            }
            let room = limits.octets.saturating_sub(self.octets) as usize;
            if room == 0 {
                return outcome(kept, DropReason::TooManyOctets);
            }
            let piece = &rest[..gap.min(room)];
            prev = match self.continued_or_new(segments, limits, prev, at) {
                Ok(segment) => segment,
                Err(reason) => return outcome(kept, reason),
            };
            let taken = segments.at_mut(prev).octets.append(bytes, piece);
            if taken > 0 {
                self.touch(segments, prev);
            } else if segments.at(prev).octets.is_empty() {
                self.unlink(segments, prev);
            }
            self.octets += taken as u32;
            kept += taken as u32;
            if taken < piece.len() {
                return outcome(kept, DropReason::NoChunk);
            }
            rest = &rest[taken..];
            at += taken as u32;
        }
        if !fin {
            return if kept > 0 { Inserted::Kept { octets: kept } } else { Inserted::Duplicate };
        }
        match self.insert_fin(segments, limits, at) {
            Ok(true) => Inserted::Kept { octets: kept },
            Ok(false) if kept == 0 => Inserted::Duplicate,
            Ok(false) => Inserted::Kept { octets: kept },
            Err(reason) => outcome(kept, reason),
        }
    }

    /// What comes next in order, for a caller that hands it on from where it lies. What lies before
    /// `rcv_nxt` is dropped first: move `rcv_nxt` by what was used, and ask again.
    pub fn next_run<'p>(&mut self, pools: Pools<'p>, rcv_nxt: SeqNumber) -> Run<'p> {
        let Pools { segments, bytes } = pools;
        match self.drop_before(segments, bytes, rcv_nxt) {
            0 => Run::Missing,
            first if segments.at(first).octets.is_empty() => Run::Fin,
            first => Run::Octets(segments.at(first).octets.front(bytes)),
        }
    }

    /// Moves what is in order from `rcv_nxt` on to the end of `into`. If the chunks do not suffice
    /// for that the rest stays, and is there when `into` has been read and this is called again.
    pub fn take_in_order(
        &mut self,
        pools: Pools<'_>,
        rcv_nxt: SeqNumber,
        into: &mut Chain,
    ) -> Taken {
        let Pools { segments, bytes } = pools;
        let mut taken = Taken::default();
        loop {
            let first = self.drop_before(segments, bytes, rcv_nxt + taken.octets);
            if first == 0 {
                return taken;
            }
            let segment = segments.at_mut(first);
            let moved = into.append_chain(bytes, &mut segment.octets) as u32;
            segment.start += moved;
            self.octets -= moved;
            taken.octets += moved;
            if !segment.octets.is_empty() {
                return taken;
            }
            taken.fin = segment.fin;
            self.unlink(segments, first);
            if taken.fin {
                return taken;
            }
        }
    }

    /// Drops everything.
    pub fn clear(&mut self, pools: Pools<'_>) {
        while self.first != 0 {
            pools.segments.at_mut(self.first).octets.clear(pools.bytes);
            self.unlink(pools.segments, self.first);
        }
        self.octets = 0;
    }

    /// Notes that the last arrival brought octets of this segment.
    fn touch(&mut self, segments: &mut ReassemblyPool, segment: u32) {
        segments.changes = segments.changes.wrapping_add(1);
        segments.at_mut(segment).touched = segments.changes;
        self.recent = segment;
    }

    /// Keeps a FIN at `at`, whose octets are all held; was it new?
    fn insert_fin(
        &mut self,
        segments: &mut ReassemblyPool,
        limits: &Limits,
        at: SeqNumber,
    ) -> Result<bool, DropReason> {
        let prev = self.last_at_or_before(segments, at);
        if self.after(segments, prev) != 0 {
            return Err(DropReason::BeyondFin);
        }
        if prev != 0 {
            let held = segments.at(prev);
            if held.fin && held.data_end() == at {
                self.touch(segments, prev);
                return Ok(false);
            }
            if held.fin || held.data_end().after(at) {
                return Err(DropReason::BeyondFin);
            }
        }
        let segment = self.continued_or_new(segments, limits, prev, at)?;
        segments.at_mut(segment).fin = true;
        self.touch(segments, segment);
        Ok(true)
    }

    /// The segment `prev` if it ends at `at`, or else a new one behind it that begins there.
    fn continued_or_new(
        &mut self,
        segments: &mut ReassemblyPool,
        limits: &Limits,
        prev: u32,
        at: SeqNumber,
    ) -> Result<u32, DropReason> {
        if prev != 0 && segments.at(prev).data_end() == at {
            return Ok(prev);
        }
        if self.count(segments) >= limits.segments {
            return Err(DropReason::TooManySegments);
        }
        let next = self.after(segments, prev);
        let segment = segments.take().ok_or(DropReason::NoSegment)?;
        *segments.at_mut(segment) = Segment { start: at, next, ..Segment::default() };
        match prev {
            0 => self.first = segment,
            prev => segments.at_mut(prev).next = segment,
        }
        Ok(segment)
    }

    /// Drops what lies before `rcv_nxt`, and returns the segment that begins there; 0 if none does.
    fn drop_before(
        &mut self,
        segments: &mut ReassemblyPool,
        bytes: &mut Pool,
        rcv_nxt: SeqNumber,
    ) -> u32 {
        while self.first != 0 {
            let segment = segments.at_mut(self.first);
            if rcv_nxt.before(segment.start) {
                return 0;
            }
            let dropped = (segment.start.steps_to(rcv_nxt) as u32).min(segment.octets.len());
            if dropped > 0 {
                segment.octets.consume(bytes, dropped as usize);
                segment.start += dropped;
                self.octets -= dropped;
            }
            if rcv_nxt.before(segment.end()) {
                return self.first;
            }
            self.unlink(segments, self.first);
        }
        0
    }

    /// The last segment that begins at `at` or before; 0 if there is none.
    fn last_at_or_before(&self, segments: &ReassemblyPool, at: SeqNumber) -> u32 {
        // A burst goes on where it was.
        let recent = self.recent;
        let mut found =
            if recent != 0 && segments.at(recent).start.at_or_before(at) { recent } else { 0 };
        loop {
            let next = self.after(segments, found);
            if next == 0 || segments.at(next).start.after(at) {
                return found;
            }
            found = next;
        }
    }

    /// The segment behind `prev`, where 0 is before the first one and after the last one.
    #[inline]
    fn after(&self, segments: &ReassemblyPool, prev: u32) -> u32 {
        if prev == 0 { self.first } else { segments.at(prev).next }
    }

    fn count(&self, segments: &ReassemblyPool) -> u32 {
        let mut count = 0;
        let mut link = self.first;
        while link != 0 {
            count += 1;
            link = segments.at(link).next;
        }
        count
    }

    /// Takes a segment that holds no octets out of the queue.
    fn unlink(&mut self, segments: &mut ReassemblyPool, segment: u32) {
        let next = segments.at(segment).next;
        if self.first == segment {
            self.first = next;
        } else {
            let mut prev = self.first;
            while segments.at(prev).next != segment {
                prev = segments.at(prev).next;
            }
            segments.at_mut(prev).next = next;
        }
        if self.recent == segment {
            self.recent = 0;
        }
        segments.give(segment);
    }
}

/// What `insert` says when it had to stop for `reason`.
fn outcome(kept: u32, reason: DropReason) -> Inserted {
    if kept > 0 { Inserted::Kept { octets: kept } } else { Inserted::Dropped(reason) }
}

#[cfg(test)]
mod tests;
