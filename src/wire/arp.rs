//! ARP for IPv4 over Ethernet (RFC 826).

use core::net::Ipv4Addr;

use super::{MacAddr, Malformed};

/// Octets of a message.
pub const LEN: usize = 28;

/// Ethernet (1), IPv4 (0x0800), 6 and 4 octets of address.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What a message asks or tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has its address.
    Reply,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Request or reply.
    pub operation: Operation,
    /// The sender's Ethernet address.
    pub sender_mac: MacAddr,
    /// The sender's IPv4 address; unspecified in a probe (RFC 5227).
    pub sender_ip: Ipv4Addr,
    /// The target's Ethernet address; means nothing in a request.
    pub target_mac: MacAddr,
    /// The target's IPv4 address.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    /// Reads the payload of an Ethernet frame. Padding may follow.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let message = bytes.first_chunk::<LEN>().ok_or(Malformed::ShortArp)?;
        if message[..6] != KIND {
            return Err(Malformed::ArpNotEthernetIpv4);
        }
        let operation = match message[6..8] {
            [0, 1] => Operation::Request,
            [0, 2] => Operation::Reply,
            _ => return Err(Malformed::ArpOperation),
        };
        let mac = |at: usize| MacAddr(core::array::from_fn(|i| message[at + i]));
        let ip = |at: usize| {
            Ipv4Addr::new(message[at], message[at + 1], message[at + 2], message[at + 3])
        };
        Ok(Arp {
            operation,
            sender_mac: mac(8),
            sender_ip: ip(14),
            target_mac: mac(18),
            target_ip: ip(24),
        })
    }

    /// Writes the message and returns its length, [`LEN`].
    ///
    /// # Panics
    /// If `out` is shorter than that.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let Arp { operation, sender_mac, sender_ip, target_mac, target_ip } = self;
        let out = &mut out[..LEN];
        out[..6].copy_from_slice(&KIND);
        out[6..8].copy_from_slice(match operation {
            Operation::Request => &[0, 1],
            Operation::Reply => &[0, 2],
        });
        out[8..14].copy_from_slice(&sender_mac.0);
        out[14..18].copy_from_slice(&sender_ip.octets());
        out[18..24].copy_from_slice(&target_mac.0);
        out[24..].copy_from_slice(&target_ip.octets());
        LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_request() {
        let bytes = [
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0xa, 198, 18, 0, 1, 0, 0, 0, 0, 0, 0, 198, 18,
            0, 2,
        ];
        let message = Arp::parse(&bytes).unwrap();
        assert_eq!(message.operation, Operation::Request);
        assert_eq!(message.sender_mac.to_string(), "02:00:00:00:00:0a");
        assert_eq!(message.sender_ip, Ipv4Addr::new(198, 18, 0, 1));
        assert_eq!(message.target_mac, MacAddr::ZERO);
        assert_eq!(message.target_ip, Ipv4Addr::new(198, 18, 0, 2));
        let mut out = [0; LEN];
        assert_eq!(message.write(&mut out), LEN);
        assert_eq!(out, bytes);

        let mut bad = bytes;
        bad[1] = 6;
        assert_eq!(Arp::parse(&bad), Err(Malformed::ArpNotEthernetIpv4));
        bad = bytes;
        bad[7] = 3;
        assert_eq!(Arp::parse(&bad), Err(Malformed::ArpOperation));
        assert_eq!(Arp::parse(&bytes[..27]), Err(Malformed::ShortArp));
    }
}
