//! The 4-tuple that names a connection.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IPv4 or IPv6 address in 16 octets; IPv4 is mapped as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ip([u8; 16]);

const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Ip {
    /// From an IPv4 address.
    #[inline]
    pub const fn v4(addr: Ipv4Addr) -> Self {
        let [a, b, c, d] = addr.octets();
        Ip([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// From an IPv6 address.
    #[inline]
    pub const fn v6(addr: Ipv6Addr) -> Self {
        Ip(addr.octets())
    }

    /// Is this an IPv4 address?
    #[inline]
    pub fn is_v4(&self) -> bool {
        self.0[..12] == MAPPED
    }

    /// The IPv4 address as a number (meaningful if [`is_v4`](Self::is_v4)).
    #[inline]
    pub fn v4_bits(&self) -> u32 {
        u32::from_be_bytes([self.0[12], self.0[13], self.0[14], self.0[15]])
    }

    /// The IPv4 address (meaningful if [`is_v4`](Self::is_v4)).
    #[inline]
    pub fn to_v4(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.v4_bits())
    }

    /// The IPv6 address.
    #[inline]
    pub fn to_v6(&self) -> Ipv6Addr {
        Ipv6Addr::from(self.0)
    }

    /// All 128 bits as a number.
    #[inline]
    pub fn bits(&self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// As the standard library has it.
    #[inline]
    pub fn to_std(self) -> IpAddr {
        if self.is_v4() { IpAddr::V4(self.to_v4()) } else { IpAddr::V6(self.to_v6()) }
    }
}

impl From<IpAddr> for Ip {
    #[inline]
    fn from(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(v4) => Ip::v4(v4),
            IpAddr::V6(v6) => Ip::v6(v6),
        }
    }
}

impl fmt::Debug for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_std().fmt(f)
    }
}

/// The two ends of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tuple {
    /// Our address.
    pub local: Ip,
    /// The peer's address.
    pub remote: Ip,
    /// Our port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
}

impl Tuple {
    /// From two socket addresses of the same family.
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Tuple {
            local: local.ip().into(),
            remote: remote.ip().into(),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    /// Is this an IPv4 connection?
    #[inline]
    pub fn is_v4(&self) -> bool {
        self.remote.is_v4()
    }

    /// Our end.
    pub fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(self.local.to_std(), self.local_port)
    }

    /// The peer's end.
    pub fn remote_addr(&self) -> SocketAddr {
        SocketAddr::new(self.remote.to_std(), self.remote_port)
    }
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.local_addr(), self.remote_addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_round_trip() {
        for text in ["198.18.0.1", "0.0.0.0", "2001:db8::1", "::1"] {
            let addr: IpAddr = text.parse().unwrap();
            let ip = Ip::from(addr);
            assert_eq!(ip.to_std(), addr);
            assert_eq!(ip.is_v4(), addr.is_ipv4());
        }
        assert_eq!(Ip::v4(Ipv4Addr::new(198, 18, 0, 1)).v4_bits(), 0xc612_0001);
    }
}
