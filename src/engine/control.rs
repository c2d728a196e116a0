//! Frames that wait to be sent and belong to no connection: RSTs, ACKs of TIME-WAIT, SYN-ACKs, ARP, pings.

/// Octets that the queue holds at least: some 13,000 SYN-ACKs.
const LEAST_BYTES: usize = 1 << 20;
/// The longest frames that it holds at least.
const LEAST_FRAMES: usize = 16;
/// Octets of the length in front of each frame.
const LENGTH: usize = 2;

/// A frame that the queue is asked to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Its peer will ask again: it is taken while the queue is less than half full, so that there is
    /// room for the others.
    CanBeAskedAgain,
    /// Nothing brings it back, or only a time-out: it is taken while there is room.
    Once,
}

/// A queue of frames, bounded by octets: frames lie one behind the other, so that a queue of short ones
/// is long and stays in the cache. It begins at the front again as soon as it is empty.
///
/// ```text
///   0        tail      head              end         capacity
///   |---------|..free...|-----------------|...unused...|          or  |..|head ---- tail|.....|
/// ```
pub(super) struct ControlQueue {
    bytes: Box<[u8]>,
    /// Room for the longest frame.
    max_frame: usize,
    /// With more octets than this in use it is pressed.
    half: usize,
    head: usize,
    tail: usize,
    /// Where the frames before the front end, if the tail has gone round.
    end: usize,
    frames: usize,
    /// Octets in use.
    used: usize,
}

impl ControlQueue {
    /// A queue for frames of up to `max_frame` octets.
    pub fn new(max_frame: usize) -> Self {
        let capacity = LEAST_BYTES.max(LEAST_FRAMES * (LENGTH + max_frame));
        let bytes = vec![0; capacity].into_boxed_slice();
        let half = capacity / 2;
        ControlQueue { bytes, max_frame, half, head: 0, tail: 0, end: 0, frames: 0, used: 0 }
    }

    /// Lets `write` fill in a frame; it says how long it is, or `None` for no frame after all.
    /// False if the queue has no room for it.
    #[must_use]
    pub fn push(&mut self, need: Need, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        if need == Need::CanBeAskedAgain && self.is_pressed() {
            return false;
        }
        let Some(at) = self.place() else { return false };
        let start = at + LENGTH;
        let Some(len) = write(&mut self.bytes[start..start + self.max_frame]) else { return true };
        self.bytes[at..start].copy_from_slice(&(len as u16).to_ne_bytes());
        if at != self.tail {
            self.end = self.tail;
        }
        self.tail = start + len;
        self.frames += 1;
        self.used += LENGTH + len;
        true
    }

    /// Where the next frame goes.
    fn place(&self) -> Option<usize> {
        let wanted = LENGTH + self.max_frame;
        if self.tail < self.head || (self.tail == self.head && self.frames > 0) {
            return (self.head - self.tail >= wanted).then_some(self.tail);
        }
        if self.bytes.len() - self.tail >= wanted {
            return Some(self.tail);
        }
        (self.head >= wanted).then_some(0)
    }

    /// Is nothing queued?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Frames that are queued.
    #[inline]
    pub fn len(&self) -> usize {
        self.frames
    }

    /// Is the queue half full? Then output is behind, and no new work is taken.
    #[inline]
    pub fn is_pressed(&self) -> bool {
        self.used > self.half
    }

    /// The next frame, first in, first out.
    #[inline]
    pub fn pop(&mut self) -> Option<&[u8]> {
        if self.frames == 0 {
            return None;
        }
        if self.tail <= self.head && self.head == self.end {
            self.head = 0;
        }
        let start = self.head + LENGTH;
        let len = u16::from_ne_bytes([self.bytes[self.head], self.bytes[self.head + 1]]);
        let len = usize::from(len);
        self.head = start + len;
        self.frames -= 1;
        self.used -= LENGTH + len;
        if self.frames == 0 {
            (self.head, self.tail) = (0, 0);
        }
        Some(&self.bytes[start..start + len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn push(queue: &mut ControlQueue, need: Need, len: usize, mark: u8) -> bool {
        queue.push(need, |room| {
            room[..len].fill(mark);
            Some(len)
        })
    }

    #[test]
    fn half_of_it_is_for_what_nothing_brings_back() {
        let mut queue = ControlQueue::new(1_518);
        let fill = |queue: &mut ControlQueue, need| {
            let mut taken = 0;
            while push(queue, need, 74, 0) {
                taken += 1;
            }
            taken
        };
        let first = fill(&mut queue, Need::CanBeAskedAgain);
        assert!(queue.is_pressed() && first > 6_000, "{first}");
        let rest = fill(&mut queue, Need::Once);
        assert!(rest > 6_000 && queue.len() == first + rest, "{rest}");
        while queue.pop().is_some() {}
        assert!(queue.is_empty() && !queue.is_pressed());
        assert!(push(&mut queue, Need::CanBeAskedAgain, 9, 7));
        assert_eq!(queue.pop(), Some(&[7; 9][..]));
        assert!(queue.push(Need::Once, |_| None) && queue.is_empty(), "no frame after all");
    }

    proptest! {
        /// Against a queue of vectors, with so little room that it goes round again and again.
        #[test]
        fn frames_come_out_in_order(
            steps in prop::collection::vec((0_u8..3, 1_usize..9_000), 1..2_000),
        ) {
            let mut queue = ControlQueue::new(9_000);
            queue.bytes = vec![0; 4 * 9_002].into_boxed_slice();
            let mut model = VecDeque::new();
            for (mark, (step, len)) in steps.into_iter().enumerate() {
                if step > 0 {
                    let len = if step == 1 { len % 100 + 1 } else { len };
                    let fits = model.iter().map(Vec::len).sum::<usize>() + 3 * 9_002 < 4 * 9_002;
                    let taken = push(&mut queue, Need::Once, len, mark as u8);
                    prop_assert!(taken || !fits);
                    if taken {
                        model.push_back(vec![mark as u8; len]);
                    }
                } else {
                    prop_assert_eq!(queue.pop().map(<[u8]>::to_vec), model.pop_front());
                }
                prop_assert_eq!(queue.len(), model.len());
            }
            while let Some(frame) = model.pop_front() {
                prop_assert_eq!(queue.pop(), Some(&frame[..]));
            }
            prop_assert!(queue.is_empty() && queue.used == 0);
        }
    }
}
