//! The keyed hash of a 4-tuple: SipHash-1-3, for the two lengths there are.
//!
//! The key is secret and random for each engine, so that nobody outside can choose addresses and
//! ports that fall into the same bucket.

use super::flow_table::FlowHash;
use crate::siphash::Sip;

/// The secret key of an engine's flow table.
#[derive(Clone, Copy)]
pub struct FlowKey {
    k0: u64,
    k1: u64,
}

impl FlowKey {
    /// The key with these two halves, which should come from the system's random numbers.
    pub const fn new(k0: u64, k1: u64) -> Self {
        FlowKey { k0, k1 }
    }

    /// Both halves, for another hash.
    pub(super) fn octets(&self) -> [u8; 16] {
        (u128::from(self.k0) << 64 | u128::from(self.k1)).to_le_bytes()
    }

    /// The hash of an IPv4 4-tuple: SipHash-1-3 of its 12 octets, each field little-endian, in the
    /// order of the arguments.
    #[inline]
    pub fn hash_v4(&self, local: u32, remote: u32, local_port: u16, remote_port: u16) -> FlowHash {
        let mut sip = Sip::<1, 3>::new(self.k0, self.k1);
        sip.word(u64::from(local) | u64::from(remote) << 32);
        sip.word(last_word(local_port, remote_port, 12));
        FlowHash(sip.finish())
    }

    /// The hash of an IPv6 4-tuple: SipHash-1-3 of its 36 octets, each field little-endian, in the
    /// order of the arguments.
    #[inline]
    pub fn hash_v6(
        &self,
        local: u128,
        remote: u128,
        local_port: u16,
        remote_port: u16,
    ) -> FlowHash {
        let mut sip = Sip::<1, 3>::new(self.k0, self.k1);
        sip.word(local as u64);
        sip.word((local >> 64) as u64);
        sip.word(remote as u64);
        sip.word((remote >> 64) as u64);
        sip.word(last_word(local_port, remote_port, 36));
        FlowHash(sip.finish())
    }
}

/// The four octets of the ports, and the length of the whole where SipHash wants it.
#[inline]
fn last_word(local_port: u16, remote_port: u16, octets: u64) -> u64 {
    u64::from(local_port) | u64::from(remote_port) << 16 | octets << 56
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use proptest::prelude::*;
    use siphasher::sip::SipHasher13;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_general_siphash(
            key: (u64, u64),
            addresses: (u128, u128),
            ports: (u16, u16),
        ) {
            let flow_key = FlowKey::new(key.0, key.1);

            let mut oracle = SipHasher13::new_with_keys(key.0, key.1);
            let (local, remote) = (addresses.0 as u32, addresses.1 as u32);
            oracle.write(&local.to_le_bytes());
            oracle.write(&remote.to_le_bytes());
            oracle.write(&ports.0.to_le_bytes());
            oracle.write(&ports.1.to_le_bytes());
            prop_assert_eq!(flow_key.hash_v4(local, remote, ports.0, ports.1).0, oracle.finish());

            let mut oracle = SipHasher13::new_with_keys(key.0, key.1);
            oracle.write(&addresses.0.to_le_bytes());
            oracle.write(&addresses.1.to_le_bytes());
            oracle.write(&ports.0.to_le_bytes());
            oracle.write(&ports.1.to_le_bytes());
            let hash = flow_key.hash_v6(addresses.0, addresses.1, ports.0, ports.1);
            prop_assert_eq!(hash.0, oracle.finish());
        }
    }
}
