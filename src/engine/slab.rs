//! Entries of one type under small stable indices, up to a limit that is fixed at the start.
//!
//! The memory for the limit is reserved up front and touched only as entries are used. The index
//! that was freed last is given out first, because its memory is still near. What becomes free is
//! left in place until the index is used again, so entries lie side by side with nothing between
//! them: the free list and the bits that say who is in use lie apart.

use core::mem;
use core::ops::{Index, IndexMut};

/// A bounded collection of `T` under `u32` indices.
pub struct Slab<T> {
    entries: Vec<T>,
    /// Indices below `entries.len()` that are free, the last one freed at the end.
    free: Vec<u32>,
    /// One bit for each index: is it in use?
    used: Box<[u64]>,
    limit: u32,
}

impl<T> Slab<T> {
    /// An empty slab that holds up to `limit` entries.
    pub fn with_limit(limit: u32) -> Self {
        Slab {
            entries: Vec::with_capacity(limit as usize),
            free: Vec::with_capacity(limit as usize),
            used: vec![0; limit.div_ceil(64) as usize].into_boxed_slice(),
            limit,
        }
    }

    /// Keeps `entry` and returns its index, or gives it back if the limit is reached.
    ///
    /// # Errors
    /// The entry itself, if there is no room for it.
    #[inline]
    pub fn try_insert(&mut self, entry: T) -> Result<u32, T> {
        let index = if let Some(index) = self.free.pop() {
            self.entries[index as usize] = entry;
            index
        } else if self.entries.len() < self.limit as usize {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            return Err(entry);
        };
        self.used[(index / 64) as usize] |= 1 << (index % 64);
        Ok(index)
    }

    /// Keeps `entry` and returns its index, or `None` if the limit is reached (`entry` is dropped).
    #[inline]
    pub fn insert(&mut self, entry: T) -> Option<u32> {
        self.try_insert(entry).ok()
    }

    /// Gives the index back. The entry stays in place until the index is used again, and is dropped
    /// only then.
    ///
    /// # Panics
    /// If `index` is not in use.
    #[inline]
    pub fn free(&mut self, index: u32) {
        assert!(self.contains(index), "entry {index} is not in use");
        self.used[(index / 64) as usize] &= !(1 << (index % 64));
        self.free.push(index);
    }

    /// Takes the entry out and gives its index back.
    ///
    /// # Panics
    /// If `index` is not in use.
    #[inline]
    pub fn remove(&mut self, index: u32) -> T
    where
        T: Default,
    {
        self.free(index);
        mem::take(&mut self.entries[index as usize])
    }

    /// Is `index` in use?
    #[inline]
    pub fn contains(&self, index: u32) -> bool {
        self.used.get((index / 64) as usize).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    /// The entry at `index`, if it is in use.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        if self.contains(index) { self.entries.get(index as usize) } else { None }
    }

    /// The entry at `index`, if it is in use.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        if self.contains(index) { self.entries.get_mut(index as usize) } else { None }
    }

    /// The entries in use with their indices, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.indices().map(|index| (index, &self.entries[index as usize]))
    }

    /// The indices in use, lowest first.
    pub fn indices(&self) -> impl Iterator<Item = u32> {
        self.used.iter().zip(0u32..).flat_map(|(&word, at)| {
            let mut left = word;
            core::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.checked_sub(1)?;
                Some(at * 64 + bit)
            })
        })
    }

    /// Is there no room for another entry?
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit as usize
    }

    /// Entries in use.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Is nothing in use?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most entries there can be.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The most entries that were in use at the same time: so much of the memory was touched.
    pub fn high_water(&self) -> usize {
        self.entries.len()
    }

    /// Octets of memory that the slab reserves.
    pub fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<T>()
            + self.free.capacity() * size_of::<u32>()
            + size_of_val::<[u64]>(&self.used)
    }
}

/// The way of a packet: the index came from a table whose entries are in use. In a release build
/// only the bound is checked.
impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        debug_assert!(self.contains(index), "entry {index} is not in use");
        &self.entries[index as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        debug_assert!(self.contains(index), "entry {index} is not in use");
        &mut self.entries[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_map(
            limit in 0u32..150,
            steps in prop::collection::vec((any::<u16>(), any::<bool>(), any::<bool>()), 0..400),
        ) {
            let mut slab = Slab::with_limit(limit);
            let mut model = BTreeMap::new();
            let mut most = 0;
            let mut last_freed = None;
            for (value, insert, take) in steps {
                if insert {
                    match slab.insert(value) {
                        Some(index) => {
                            prop_assert!(last_freed.is_none_or(|freed| freed == index));
                            prop_assert!(model.insert(index, value).is_none());
                        }
                        None => prop_assert_eq!(model.len(), limit as usize),
                    }
                    last_freed = None;
                } else if let Some(&index) = model.keys().nth(value as usize % model.len().max(1)) {
                    let expected = model.remove(&index);
                    if take {
                        prop_assert_eq!(Some(slab.remove(index)), expected);
                    } else {
                        slab.free(index);
                    }
                    last_freed = Some(index);
                }
                most = most.max(model.len());
                prop_assert_eq!(slab.len(), model.len());
                prop_assert_eq!(slab.is_empty(), model.is_empty());
                prop_assert_eq!(slab.high_water(), most);
                prop_assert!(slab.iter().eq(model.iter().map(|(&index, value)| (index, value))));
                for index in [0, 63, 64, limit, u32::MAX] {
                    prop_assert_eq!(slab.get(index), model.get(&index));
                    prop_assert_eq!(slab.get_mut(index), model.get_mut(&index));
                }
            }
            prop_assert!(slab.entries.capacity() >= limit as usize, "grew");
        }
    }

    #[test]
    #[should_panic(expected = "entry 0 is not in use")]
    fn freeing_twice_is_a_mistake() {
        let mut slab = Slab::with_limit(1);
        let index = slab.insert(5).expect("room");
        slab.free(index);
        slab.free(index);
    }

    #[test]
    fn what_does_not_fit_comes_back() {
        let mut slab = Slab::with_limit(1);
        assert_eq!(slab.try_insert('a'), Ok(0));
        assert_eq!(slab.try_insert('b'), Err('b'));
        slab[0] = 'c';
        assert_eq!(slab[0], 'c');
    }

    #[test]
    fn reserving_touches_nothing() {
        let slab = Slab::<[u64; 32]>::with_limit(4_000_000_u32);
        assert_eq!(slab.memory_bytes(), 4_000_000 * (256 + 4) + 4_000_000 / 8);
        assert_eq!(slab.high_water(), 0);
    }
}
