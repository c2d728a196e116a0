//! How much memory an engine reserves for its limits. It is touched only as it is used; but it must be
//! there to be had, and to be said before it is asked for.

use super::config::{ConfigError, Limits};
use super::flow_table;
use super::stack::Block;
use super::syn_cache::SynCache;
use super::time_waits::Family;
use crate::tcp::buffer::{CHUNK_BYTES, Pool};
use crate::tcp::reassembly::ReassemblyPool;
use crate::tcp::recovery::RecoveryPool;
use crate::tcp::time_wait::{PairV4, PairV6};
use crate::timer::Wheel;

/// What is reserved because of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The limit, as [`Limits`] calls it.
    pub limit: &'static str,
    /// What it is set to.
    pub value: u64,
    /// Octets.
    pub bytes: u64,
}

impl Limits {
    /// What an engine with these limits reserves, and its application beside it: the latter has `app`
    /// octets for each connection.
    pub fn footprint(&self, app: u64) -> [Reserved; 6] {
        /// The free list, and the list of those with something to send.
        const LISTS: u64 = 2 * size_of::<u32>() as u64;
        let slot = flow_table::BYTES_PER_ENTRY as u64;
        let block = size_of::<Block>() as u64 + Wheel::LINK_BYTES as u64 + LISTS + 1;
        let waits = Family::<PairV4>::entry_bytes() + Family::<PairV6>::entry_bytes();
        let (half_v4, half_v6) = SynCache::entry_bytes();
        let chunks = self.buffer_bytes.div_ceil(CHUNK_BYTES as u64);
        let of = |limit, value: u64, each: u64| Reserved {
            limit,
            value,
            bytes: value.saturating_mul(each),
        };
        [
            of("max_connections", self.max_connections.into(), block + slot + app),
            of("max_time_wait", self.max_time_wait.into(), waits as u64 + slot),
            of("syn_cache", self.syn_cache.into(), (half_v4 + half_v6) as u64 + slot),
            Reserved {
                limit: "buffer_bytes",
                value: self.buffer_bytes,
                bytes: chunks.saturating_mul(Pool::CHUNK_COST as u64),
            },
            of(
                "reassembly_segments",
                self.reassembly_segments.into(),
                ReassemblyPool::SEGMENT_BYTES as u64,
            ),
            of(
                "recoveries",
                self.recoveries.min(self.max_connections).into(),
                RecoveryPool::BLOCK_BYTES as u64,
            ),
        ]
    }
}

/// Can all of this be reserved at once? It is tried and given back, so that a limit that is too high is
/// an error with its name: an allocation that fails later would end the process.
///
/// # Errors
/// [`ConfigError::NoMemory`] with the first that is refused.
pub fn try_to_reserve(all: impl IntoIterator<Item = Reserved>) -> Result<(), ConfigError> {
    let mut held: Vec<Vec<u8>> = Vec::new();
    for Reserved { limit: name, value, bytes } in all {
        let mut room = Vec::new();
        let most = usize::try_from(bytes).unwrap_or(usize::MAX);
        if room.try_reserve_exact(most).is_err() {
            return Err(ConfigError::NoMemory { name, value, bytes });
        }
        held.push(room);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_high_is_named_with_its_bytes() {
        let limits = Limits { max_connections: u32::MAX / 8, ..Limits::default() };
        let all = limits.footprint(64);
        assert!(all[0].bytes > 400 * u64::from(limits.max_connections), "{all:?}");
        assert!(all[3].bytes > limits.buffer_bytes, "{all:?}");
        assert_eq!(try_to_reserve(Limits { buffer_bytes: 1 << 20, ..tiny() }.footprint(0)), Ok(()));
        let name = "max_connections";
        let too_much = Reserved { limit: name, value: 7, bytes: 1 << 62 };
        let refused = try_to_reserve([too_much]).unwrap_err();
        assert_eq!(refused, ConfigError::NoMemory { name, value: 7, bytes: 1 << 62 });
        assert!(refused.to_string().starts_with("max_connections is 7: 4611686.0 TB"), "{refused}");
    }

    fn tiny() -> Limits {
        Limits { max_connections: 9, max_time_wait: 9, syn_cache: 9, ..Limits::default() }
    }
}
