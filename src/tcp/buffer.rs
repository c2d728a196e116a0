//! The octets that are held for connections: what is sent and not acknowledged, what has arrived
//! and has not been read.
//!
//! ```text
//!   Chain  head ─▶ [··####] ─▶ [######] ─▶ [###···] ◀─ tail       24 octets, nothing else if empty
//!                    │ head_offset   ▲ cursor: where the last copy ended
//!   Pool   chunks of 2048 octets, one link (u32) each, the free ones in a list of their own
//! ```
//!
//! Every chunk of a chain but the last is full to its end, so where an octet lies follows from its
//! offset. A chain does not know its pool: the owner keeps the two together, and clears a chain
//! before it lets go of it.

use super::memory;
use core::mem;

/// Octets in a chunk.
pub const CHUNK_BYTES: usize = 2048;

/// The chunks of all connections of an engine.
pub struct Pool {
    /// All zero at first, so that the system gives the pages as they are used.
    bytes: Box<[u8]>,
    /// For each chunk that was ever used: the next one of its chain or of the free list.
    next: Box<[u32]>,
    /// The chunk that was freed last, or [`NONE`].
    free: u32,
    /// Chunks from this one on were never used.
    fresh: u32,
    in_use: u32,
    /// Shares bind, and that was counted.
    in_pressure: bool,
}

/// No chunk.
const NONE: u32 = u32::MAX;

impl Pool {
    /// A pool of `chunks` chunks of [`CHUNK_BYTES`], all free, in memory that is not touched yet.
    pub fn new(chunks: u32) -> Self {
        Pool {
            bytes: vec![0; chunks as usize * CHUNK_BYTES].into_boxed_slice(),
            next: vec![0; chunks as usize].into_boxed_slice(),
            free: NONE,
            fresh: 0,
            in_use: 0,
            in_pressure: false,
        }
    }

    /// Octets that a chunk takes, with its link.
    pub const CHUNK_COST: usize = CHUNK_BYTES + size_of::<u32>();

    /// Chunks that are free.
    pub fn available(&self) -> u32 {
        self.next.len() as u32 - self.in_use
    }

    /// Chunks that are part of a chain.
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Is so little free that shares bind?
    #[inline]
    pub fn is_scarce(&self) -> bool {
        memory::is_scarce(self.next.len() as u32, self.available())
    }

    /// Octets that one connection may hold now in each direction.
    #[inline]
    pub fn share_bytes(&self) -> u32 {
        if self.is_scarce() { self.scarce_share_bytes() } else { u32::MAX }
    }

    #[cold]
    fn scarce_share_bytes(&self) -> u32 {
        let total = self.next.len() as u32;
        Self::bytes_of(memory::share(total, self.available(), memory::LEAST_CHUNKS))
    }

    /// Octets that so many chunks hold, `u32::MAX` if it is more.
    #[inline]
    pub fn bytes_of(chunks: u32) -> u32 {
        chunks.saturating_mul(CHUNK_BYTES as u32)
    }

    /// Notes that shares bind; true if they did not before.
    pub(super) fn enters_pressure(&mut self) -> bool {
        !mem::replace(&mut self.in_pressure, true)
    }

    /// Notes that half of the memory is free again, if it is.
    #[inline]
    pub fn leave_pressure(&mut self) {
        self.in_pressure = self.in_pressure && self.is_scarce();
    }

    /// Octets of memory that the pool reserves, touched only as they are used.
    pub fn memory_bytes(&self) -> usize {
        size_of_val::<[u8]>(&self.bytes) + size_of_val::<[u32]>(&self.next)
    }

    fn take(&mut self) -> Option<u32> {
        let chunk = if self.free != NONE {
            let chunk = self.free;
            self.free = self.next[chunk as usize];
            chunk
        } else if (self.fresh as usize) < self.next.len() {
            self.fresh += 1;
            self.fresh - 1
        } else {
            return None;
        };
        self.next[chunk as usize] = NONE;
        self.in_use += 1;
        Some(chunk)
    }

    /// Frees the `count` chunks that are linked from `first` to `last`.
    fn give(&mut self, first: u32, last: u32, count: u32) {
        self.next[last as usize] = self.free;
        self.free = first;
        self.in_use -= count;
    }

    #[inline]
    fn chunk(&self, chunk: u32) -> &[u8; CHUNK_BYTES] {
        &self.bytes.as_chunks().0[chunk as usize]
    }

    #[inline]
    fn chunk_mut(&mut self, chunk: u32) -> &mut [u8; CHUNK_BYTES] {
        &mut self.bytes.as_chunks_mut().0[chunk as usize]
    }
}

/// A queue of octets in the chunks of a [`Pool`], always the same one.
#[derive(Debug, Default)]
pub struct Chain {
    /// First and last chunk; they mean nothing while `len` is 0.
    head: u32,
    tail: u32,
    len: u32,
    /// The chunk that the last copy ended in, and how many chunks it is behind the head.
    cursor: u32,
    cursor_ordinal: u32,
    /// Octets of the head chunk that were consumed already.
    head_offset: u16,
}

const _: () = assert!(size_of::<Chain>() <= 24);

impl Chain {
    /// An empty queue.
    pub const fn new() -> Self {
        Chain { head: 0, tail: 0, len: 0, cursor: 0, cursor_ordinal: 0, head_offset: 0 }
    }

    /// Octets in the queue.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Is the queue empty? Then it holds no chunk.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `bytes` at the end, as far as the chunks of the pool last, and returns how many octets
    /// that is.
    #[must_use = "the pool may not have had room for all of them"]
    pub fn append(&mut self, pool: &mut Pool, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some((chunk, fill)) = self.end(pool) else { break };
            let room = &mut pool.chunk_mut(chunk)[fill..];
            let (taken, left) = rest.split_at(rest.len().min(room.len()));
            room[..taken.len()].copy_from_slice(taken);
            self.len += taken.len() as u32;
            rest = left;
        }
        bytes.len() - rest.len()
    }

    /// Moves what `from` holds to the end of this queue, as far as the chunks of the pool last, and
    /// returns how many octets that is. If this queue is empty they are not copied.
    #[must_use = "the pool may not have had room for all of them"]
    pub fn append_chain(&mut self, pool: &mut Pool, from: &mut Chain) -> usize {
        let before = from.len;
        if self.is_empty() {
            mem::swap(self, from);
            return before as usize;
        }
        while !from.is_empty() {
            let Some((chunk, fill)) = self.end(pool) else { break };
            let run = from.front(pool).len().min(CHUNK_BYTES - fill);
            let start = from.head as usize * CHUNK_BYTES + usize::from(from.head_offset);
            pool.bytes.copy_within(start..start + run, chunk as usize * CHUNK_BYTES + fill);
            self.len += run as u32;
            from.consume(pool, run);
        }
        (before - from.len) as usize
    }

    /// Drops the first `octets` octets and gives back the chunks that held nothing else.
    ///
    /// # Panics
    /// If there are fewer octets in the queue.
    pub fn consume(&mut self, pool: &mut Pool, octets: usize) {
        assert!(octets <= self.len as usize, "{octets} of {} octets", self.len);
        if octets == self.len as usize {
            self.clear(pool);
            return;
        }
        self.len -= octets as u32;
        let mut head_offset = usize::from(self.head_offset) + octets;
        while head_offset >= CHUNK_BYTES {
            head_offset -= CHUNK_BYTES;
            let emptied = self.head;
            self.head = pool.next[emptied as usize];
            pool.give(emptied, emptied, 1);
            match self.cursor_ordinal.checked_sub(1) {
                Some(ordinal) => self.cursor_ordinal = ordinal,
                None => self.cursor = self.head,
            }
        }
        self.head_offset = head_offset as u16;
    }

    /// Copies the octets from `offset` on into `out` and leaves them in the queue; returns how many
    /// there were. Reading forwards, as transmission does, takes the same time at any offset.
    pub fn copy_at(&mut self, pool: &Pool, offset: u32, out: &mut [u8]) -> usize {
        let Some(available) = self.len.checked_sub(offset).filter(|&octets| octets > 0) else {
            return 0;
        };
        let total = out.len().min(available as usize);
        let mut out = &mut out[..total];
        let at = usize::from(self.head_offset) + offset as usize;
        let (ordinal, mut within) = ((at / CHUNK_BYTES) as u32, at % CHUNK_BYTES);
        if self.cursor_ordinal > ordinal {
            (self.cursor, self.cursor_ordinal) = (self.head, 0);
        }
        while self.cursor_ordinal < ordinal {
            self.step(pool);
        }
        while !out.is_empty() {
            if within == CHUNK_BYTES {
                self.step(pool);
                within = 0;
            }
            let run = &pool.chunk(self.cursor)[within..];
            let (now, later) = out.split_at_mut(run.len().min(out.len()));
            now.copy_from_slice(&run[..now.len()]);
            within += now.len();
            out = later;
        }
        total
    }

    /// The first octets of the queue, as many as lie side by side; none only if it is empty.
    #[inline]
    pub fn front<'p>(&self, pool: &'p Pool) -> &'p [u8] {
        if self.is_empty() {
            return &[];
        }
        let run = &pool.chunk(self.head)[usize::from(self.head_offset)..];
        &run[..run.len().min(self.len as usize)]
    }

    /// Moves octets from the front of the queue into `out`, and returns how many.
    pub fn read(&mut self, pool: &mut Pool, out: &mut [u8]) -> usize {
        let mut copied = 0;
        while copied < out.len() && !self.is_empty() {
            let run = self.front(pool);
            let octets = run.len().min(out.len() - copied);
            out[copied..copied + octets].copy_from_slice(&run[..octets]);
            self.consume(pool, octets);
            copied += octets;
        }
        copied
    }

    /// Empties the queue and gives all its chunks back.
    pub fn clear(&mut self, pool: &mut Pool) {
        let Chain { head, tail, len, cursor: _, cursor_ordinal: _, head_offset } = mem::take(self);
        if len > 0 {
            let chunks = (usize::from(head_offset) + len as usize).div_ceil(CHUNK_BYTES);
            pool.give(head, tail, chunks as u32);
        }
    }

    /// The chunk that the next octet goes to, and where in it; links a new one if the last is full.
    fn end(&mut self, pool: &mut Pool) -> Option<(u32, usize)> {
        let fill = (usize::from(self.head_offset) + self.len as usize) % CHUNK_BYTES;
        if fill == 0 || self.is_empty() {
            let chunk = pool.take()?;
            if self.is_empty() {
                *self = Chain { head: chunk, tail: chunk, cursor: chunk, ..Chain::new() };
            } else {
                pool.next[self.tail as usize] = chunk;
                self.tail = chunk;
            }
        }
        Some((self.tail, fill))
    }

    /// Moves the cursor to the next chunk.
    #[inline]
    fn step(&mut self, pool: &Pool) {
        self.cursor = pool.next[self.cursor as usize];
        self.cursor_ordinal += 1;
    }
}

#[cfg(test)]
mod tests;
