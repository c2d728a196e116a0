//! A set of small integers that finds its next member in a few steps.
//!
//! One bit for each member; above it one bit for each word that is not zero, and so on until one
//! word is left. 2^18 members take three levels, so the next member is found by looking at five
//! words at most, however far away it is.

/// A set of integers below a fixed bound.
pub struct Bitmap {
    /// `levels[0]` has a bit for each member, `levels[n + 1]` one for each word of `levels[n]`.
    levels: Box<[Box<[u64]>]>,
    bits: u32,
}

impl Bitmap {
    /// The empty set of integers below `bits`. Its memory is touched only as it is used.
    pub fn new(bits: u32) -> Self {
        let mut levels = Vec::new();
        let mut words = bits.div_ceil(64).max(1);
        loop {
            levels.push(vec![0u64; words as usize].into_boxed_slice());
            if words == 1 {
                break;
            }
            words = words.div_ceil(64);
        }
        Bitmap { levels: levels.into_boxed_slice(), bits }
    }

    /// Is `bit` a member?
    #[inline]
    pub fn contains(&self, bit: u32) -> bool {
        debug_assert!(bit < self.bits);
        self.levels[0][(bit / 64) as usize] & mask(bit) != 0
    }

    /// Makes `bit` a member.
    ///
    /// # Panics
    /// If `bit` is not below the bound.
    #[inline]
    pub fn set(&mut self, mut bit: u32) {
        assert!(bit < self.bits, "bit {bit} of {}", self.bits);
        for level in &mut self.levels {
            let word = &mut level[(bit / 64) as usize];
            let was_empty = *word == 0;
            *word |= mask(bit);
            if !was_empty {
                return;
            }
            bit /= 64;
        }
    }

    /// Takes `bit` out of the set.
    ///
    /// # Panics
    /// If `bit` is not below the bound.
    #[inline]
    pub fn clear(&mut self, mut bit: u32) {
        assert!(bit < self.bits, "bit {bit} of {}", self.bits);
        for level in &mut self.levels {
            let word = &mut level[(bit / 64) as usize];
            *word &= !mask(bit);
            if *word != 0 {
                return;
            }
            bit /= 64;
        }
    }

    /// The smallest member that is `from` or above.
    #[inline]
    pub fn first_from(&self, from: u32) -> Option<u32> {
        let mut position = from;
        for (height, level) in self.levels.iter().enumerate() {
            let index = (position / 64) as usize;
            let word = *level.get(index)? & (u64::MAX << (position % 64));
            if word != 0 {
                let mut found = index as u32 * 64 + word.trailing_zeros();
                for below in self.levels[..height].iter().rev() {
                    found = found * 64 + below[found as usize].trailing_zeros();
                }
                return Some(found);
            }
            position = index as u32 + 1;
        }
        None
    }

    /// Octets of memory that the set reserves.
    pub fn memory_bytes(&self) -> usize {
        self.levels.iter().map(|level| size_of_val::<[u64]>(level)).sum()
    }
}

#[inline]
fn mask(bit: u32) -> u64 {
    1 << (bit % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Sizes on both sides of one, two and three levels.
        #[test]
        fn agrees_with_a_sorted_set(
            bits in prop_oneof![1u32..130, 4_000u32..4_200, 262_000u32..262_300],
            steps in prop::collection::vec((any::<u32>(), any::<bool>()), 1..200),
        ) {
            let mut map = Bitmap::new(bits);
            let mut model = BTreeSet::new();
            for (bit, add) in steps {
                let bit = bit % bits;
                if add {
                    map.set(bit);
                    model.insert(bit);
                } else if let Some(&member) = model.range(bit..).next() {
                    map.clear(member);
                    model.remove(&member);
                } else {
                    map.clear(bit);
                }
                prop_assert_eq!(map.contains(bit), model.contains(&bit));
                for from in [0, bit, bit.saturating_sub(1), bit + 1, bits / 2] {
                    prop_assert_eq!(map.first_from(from), model.range(from..).next().copied());
                }
            }
        }
    }

    #[test]
    fn beyond_the_bound_is_nothing() {
        let mut map = Bitmap::new(64);
        map.set(63);
        assert_eq!(map.first_from(63), Some(63));
        assert_eq!(map.first_from(64), None);
        assert_eq!(map.first_from(u32::MAX), None);
    }
}
