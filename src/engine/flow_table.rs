//! The flow table: from the hash of a 4-tuple to what the engine keeps for it.
//!
//! ```text
//!   hash ─▶ home bucket: one cache line
//!           ┌───────────────┬──────────┬───────────────────┐
//!           │ 10 tags (u16) │ overflow │ 10 entries (u32)  │ ─▶ full? the next bucket
//!           └───────────────┴──────────┴───────────────────┘
//! ```
//!
//! The 4-tuple itself lies with the entry; a tag of 16 bits keeps the look-up from going there in
//! vain. A bucket counts the entries that had to go past it, so a look-up stops where that count is
//! zero: nearly always after one line, and removing leaves nothing behind.
//!
//! The table is sized once and never moves an entry. It trades three sixteenths of its room for
//! that: sized for n entries it has slots for 16n/13.

use core::fmt;

/// The hash of a 4-tuple, from [`FlowKey`](super::flow_hash::FlowKey).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowHash(pub u64);

/// What an entry of the table stands for: the slab that its index belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// A connection.
    Connection,
    /// A connection over IPv4 in TIME-WAIT.
    TimeWait4,
    /// A connection over IPv6 in TIME-WAIT.
    TimeWait6,
    /// A handshake that has not been completed.
    SynCache,
}

/// There is no room for the entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the flow table is full: size it for more entries")
    }
}

impl core::error::Error for Full {}

/// Indices in the table are below this.
pub const MAX_INDEX: u32 = 1 << KIND_SHIFT;

const SLOTS: usize = 10;
/// Words of eight octets in a bucket, which is one cache line.
const WORDS: usize = 8;
const LINE_BYTES: usize = 64;
/// Octets of the table for each entry that it is sized for.
pub const BYTES_PER_ENTRY: usize = (LINE_BYTES * 16).div_ceil(SLOTS * 13);
const KIND_SHIFT: u32 = 30;
const INDEX_MASK: u32 = (1 << KIND_SHIFT) - 1;
/// How many buckets an entry may be away from its home. It keeps the overflow counts, at most
/// ten for each of these buckets, within 16 bits.
const REACH: usize = 1024;
const _: () = assert!(REACH * SLOTS <= u16::MAX as usize);

/// A hash table of (kind, index), with the hash as its only key.
pub struct FlowTable {
    /// Buckets, the first one where a cache line begins. All zero is empty, so that the system gives
    /// the pages as they are used.
    words: Box<[u64]>,
    first_word: usize,
    buckets: u32,
    len: usize,
    capacity: usize,
}

impl FlowTable {
    /// An empty table that holds `capacity` entries at thirteen sixteenths of its slots.
    ///
    /// # Panics
    /// If `capacity` is more than 2^32.
    pub fn new(capacity: usize) -> Self {
        assert!(capacity <= 1 << 32, "a flow table holds at most 2^32 entries, not {capacity}");
        let buckets = (capacity * 16).div_ceil(SLOTS * 13).max(1);
        let words = vec![0u64; buckets * WORDS + WORDS - 1].into_boxed_slice();
        let past_line = words.as_ptr().addr() % LINE_BYTES;
        let first_word = ((LINE_BYTES - past_line) % LINE_BYTES) / size_of::<u64>();
        FlowTable { words, first_word, buckets: buckets as u32, len: 0, capacity }
    }

    /// The entry filed under `hash` that `confirm` recognises. It is asked about each candidate, and
    /// in nearly all cases there is one at most.
    #[inline]
    pub fn lookup(
        &self,
        hash: FlowHash,
        mut confirm: impl FnMut(Kind, u32) -> bool,
    ) -> Option<(Kind, u32)> {
        let home = self.bucket(self.home(hash));
        if matches(home, tag_of(hash)) == 0 && overflow_of(home) == 0 {
            return None; // what is new, as a SYN is, goes no further
        }
        let (_, _, entry) = self.find(hash, |entry| {
            let (kind, index) = unpack(entry);
            confirm(kind, index)
        })?;
        Some(unpack(entry))
    }

    /// Files `(kind, index)` under `hash`. Each pair may be filed once, which the owner sees to by giving
    /// an index to one 4-tuple at a time: the table does not look for it.
    ///
    /// # Errors
    /// [`Full`] if there is no free slot within reach of the entry's home, which takes far more
    /// entries than the table was sized for.
    ///
    /// # Panics
    /// If `index` is not below [`MAX_INDEX`].
    pub fn insert(&mut self, hash: FlowHash, kind: Kind, index: u32) -> Result<(), Full> {
        let entry = pack(kind, index);
        let home = self.home(hash);
        let mut at = home;
        for steps in 0..self.reach() {
            let bucket = self.bucket_mut(at);
            if let Some(slot) = first_slot(matches(bucket, EMPTY)) {
                set_tag(bucket, slot, tag_of(hash));
                set_entry(bucket, slot, entry);
                self.len += 1;
                self.pass(home, steps, |overflow| overflow + 1);
                return Ok(());
            }
            at = self.after(at);
        }
        Err(Full)
    }

    /// Takes `(kind, index)` out from under `hash`; false if it is not there.
    pub fn remove(&mut self, hash: FlowHash, kind: Kind, index: u32) -> bool {
        let wanted = pack(kind, index);
        let Some((steps, slot, _)) = self.find(hash, |entry| entry == wanted) else {
            return false;
        };
        let home = self.home(hash);
        let bucket = self.bucket_mut((home + steps) % self.buckets as usize);
        set_tag(bucket, slot, EMPTY);
        set_entry(bucket, slot, 0);
        self.len -= 1;
        self.pass(home, steps, |overflow| overflow - 1);
        true
    }

    /// Puts `new`, which is not filed yet, in the place of `old` under the same hash; false if `old` is
    /// not there. This cannot fail for want of room.
    ///
    /// # Panics
    /// If the new index is not below [`MAX_INDEX`].
    pub fn replace(&mut self, hash: FlowHash, old: (Kind, u32), new: (Kind, u32)) -> bool {
        let (wanted, entry) = (pack(old.0, old.1), pack(new.0, new.1));
        let Some((steps, slot, _)) = self.find(hash, |entry| entry == wanted) else {
            return false;
        };
        let at = (self.home(hash) + steps) % self.buckets as usize;
        set_entry(self.bucket_mut(at), slot, entry);
        true
    }

    /// Loads the line of the bucket that `hash` belongs to, so that it is near when it is looked up.
    ///
    /// What is returned means nothing: fold the values of a burst together and hand the result to
    /// [`core::hint::black_box`], so that the loads are not optimised away.
    #[inline]
    pub fn touch(&self, hash: FlowHash) -> u64 {
        self.words[self.first_word + self.home(hash) * WORDS]
    }

    /// Entries in the table.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is the table empty?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Entries that the table was sized for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Octets of memory that the table reserves, touched only as they are used.
    pub fn memory_bytes(&self) -> usize {
        size_of_val::<[u64]>(&self.words)
    }

    /// The first entry under `hash` that `wanted` accepts: buckets between it and its home, slot,
    /// entry.
    #[inline]
    fn find(
        &self,
        hash: FlowHash,
        mut wanted: impl FnMut(u32) -> bool,
    ) -> Option<(usize, usize, u32)> {
        let tag = tag_of(hash);
        let mut at = self.home(hash);
        for steps in 0..self.reach() {
            let bucket = self.bucket(at);
            let mut candidates = matches(bucket, tag);
            while let Some(slot) = first_slot(candidates) {
                let entry = entry_of(bucket, slot);
                if wanted(entry) {
                    return Some((steps, slot, entry));
                }
                candidates &= candidates - 1;
            }
            if overflow_of(bucket) == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// Changes the overflow counts of the `steps` buckets from `home` on.
    fn pass(&mut self, home: usize, steps: usize, change: impl Fn(u16) -> u16) {
        let mut at = home;
        for _ in 0..steps {
            let bucket = self.bucket_mut(at);
            set_overflow(bucket, change(overflow_of(bucket)));
            at = self.after(at);
        }
    }

    /// The bucket that `hash` belongs to, from its upper half; the tag is from the lower one.
    #[inline]
    fn home(&self, hash: FlowHash) -> usize {
        (((hash.0 >> 32) * u64::from(self.buckets)) >> 32) as usize
    }

    #[inline]
    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets as usize { 0 } else { bucket + 1 }
    }

    #[inline]
    fn reach(&self) -> usize {
        REACH.min(self.buckets as usize)
    }

    #[inline]
    fn bucket(&self, at: usize) -> &[u64; WORDS] {
        &self.words[self.first_word..].as_chunks().0[at]
    }

    #[inline]
    fn bucket_mut(&mut self, at: usize) -> &mut [u64; WORDS] {
        &mut self.words[self.first_word..].as_chunks_mut().0[at]
    }
}

// A bucket as words of 64 bits, lanes of 16 bits from the lowest on:
//   0, 1   tags of slots 0-3 and 4-7        2   tags of slots 8 and 9, overflow count, unused
//   3-7    entries of slots 0-9, two in a word
type Bucket = [u64; WORDS];

/// The tag of a slot that is free.
const EMPTY: u16 = 0;
const OVERFLOW_SHIFT: u32 = 32;
const ENTRIES_AT: usize = 3;
const LANES: u64 = 0x0001_0001_0001_0001;

#[inline]
fn tag_of(hash: FlowHash) -> u16 {
    (hash.0 as u16).max(EMPTY + 1)
}

/// The slots with `tag`: bit `16 * (slot % 4) + slot / 4` for each.
#[inline]
fn matches(bucket: &Bucket, tag: u16) -> u64 {
    let wanted = u64::from(tag) * LANES;
    let third = zero_lanes(bucket[2] ^ wanted) & 0xffff_ffff;
    zero_lanes(bucket[0] ^ wanted) | zero_lanes(bucket[1] ^ wanted) << 1 | third << 2
}

/// The lowest bit of each lane of 16 bits that is zero.
#[inline]
fn zero_lanes(word: u64) -> u64 {
    let low = 0x7fff * LANES;
    // The sum carries into a lane's highest bit if any of the lower ones is set, and not beyond.
    !(((word & low) + low) | word | low) >> 15
}

#[inline]
fn first_slot(matches: u64) -> Option<usize> {
    let bit = matches.trailing_zeros() as usize;
    (matches != 0).then_some(bit % 16 * 4 + bit / 16)
}

#[inline]
fn set_tag(bucket: &mut Bucket, slot: usize, tag: u16) {
    let shift = slot % 4 * 16;
    let word = &mut bucket[slot / 4];
    *word = *word & !(0xffff << shift) | u64::from(tag) << shift;
}

#[inline]
fn entry_of(bucket: &Bucket, slot: usize) -> u32 {
    (bucket[ENTRIES_AT + slot / 2] >> (slot % 2 * 32)) as u32
}

#[inline]
fn set_entry(bucket: &mut Bucket, slot: usize, entry: u32) {
    let shift = slot % 2 * 32;
    let word = &mut bucket[ENTRIES_AT + slot / 2];
    *word = *word & !(0xffff_ffff << shift) | u64::from(entry) << shift;
}

#[inline]
fn overflow_of(bucket: &Bucket) -> u16 {
    (bucket[2] >> OVERFLOW_SHIFT) as u16
}

fn set_overflow(bucket: &mut Bucket, overflow: u16) {
    bucket[2] = bucket[2] & !(0xffff << OVERFLOW_SHIFT) | u64::from(overflow) << OVERFLOW_SHIFT;
}

#[inline]
fn pack(kind: Kind, index: u32) -> u32 {
    assert!(index < MAX_INDEX, "index {index} needs more than 30 bits");
    (kind as u32) << KIND_SHIFT | index
}

#[inline]
fn unpack(entry: u32) -> (Kind, u32) {
    let kind = match entry >> KIND_SHIFT {
        0 => Kind::Connection,
        1 => Kind::TimeWait4,
        2 => Kind::TimeWait6,
        _ => Kind::SynCache,
    };
    (kind, entry & INDEX_MASK)
}

#[cfg(test)]
mod tests;
