//! What an engine is made of: addresses, habits, limits and secrets.

use crate::net::address::{BadInterface, Interface};
use crate::net::claim::ClaimConfig;
use crate::tcp;
use crate::tcp::cookie::CookieSecret;
use core::fmt;

/// How much of everything an engine may hold. Memory for it is reserved at the start and touched
/// only as it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections, those in the handshake included, those in TIME-WAIT not.
    pub max_connections: u32,
    /// Entries in TIME-WAIT. When it is reached the oldest is recycled, and counted.
    pub max_time_wait: u32,
    /// Half-open connections. What comes when there are so many is answered with a cookie, or dropped.
    pub syn_cache: u32,
    /// Octets that all connections together may hold, sent and received.
    pub buffer_bytes: u64,
    /// Segments that all connections together may hold out of order.
    pub reassembly_segments: u32,
    /// Connections that may be recovering from a loss at a time, some ten kilooctets each.
    pub recoveries: u32,
    /// Neighbours whose Ethernet addresses are remembered.
    pub neighbours: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_connections: 1 << 18,
            max_time_wait: 1 << 22,
            syn_cache: 1 << 16,
            buffer_bytes: 1 << 30,
            reassembly_segments: 1 << 16,
            recoveries: 1 << 12,
            neighbours: 1_024,
        }
    }
}

/// Everything that an engine is told at the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Our Ethernet and IP addresses, routes and known neighbours.
    pub interface: Interface,
    /// Habits of TCP.
    pub tcp: tcp::Config,
    /// Limits.
    pub limits: Limits,
    /// The secret behind sequence numbers, ports and hashes. Unpredictable on a network, fixed in a
    /// simulation.
    pub seed: [u8; 32],
    /// The secret behind SYN cookies, if several hosts are to take each other's; else it comes from
    /// the seed.
    pub cookie_secret: Option<CookieSecret>,
    /// How addresses are checked and announced. By default neither is done.
    pub claim: ClaimConfig,
    /// Report the multicast groups of our IPv6 addresses to routers and switches (RFC 3810).
    pub report_groups: bool,
}

impl Config {
    /// Defaults for everything but the interface.
    pub fn new(interface: Interface, seed: [u8; 32]) -> Self {
        Config {
            interface,
            tcp: tcp::Config::default(),
            limits: Limits::default(),
            seed,
            cookie_secret: None,
            claim: ClaimConfig::default(),
            report_groups: false,
        }
    }

    /// Checks what can be checked before anything is built.
    ///
    /// # Errors
    /// The first setting that no engine can run with.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.interface.check().map_err(ConfigError::Interface)?;
        let within = |name, value: u64, lowest, highest| {
            if (lowest..=highest).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { name, value, lowest, highest })
            }
        };
        let limits = &self.limits;
        let most = u64::from(super::flow_table::MAX_INDEX) - 1;
        within("max_connections", limits.max_connections.into(), 1, most)?;
        within("max_time_wait", limits.max_time_wait.into(), 1, most)?;
        within("syn_cache", limits.syn_cache.into(), 1, most / 2)?;
        within("buffer_bytes", limits.buffer_bytes, 1 << 16, 1 << 42)?;
        within("reassembly_segments", limits.reassembly_segments.into(), 1, 1 << 30)?;
        within("recoveries", limits.recoveries.into(), 1, 1 << 20)?;
        within("neighbours", limits.neighbours as u64, 1, 1 << 20)?;
        within("send_buffer", self.tcp.send_buffer.into(), 2_048, 1 << 30)?;
        within("receive_buffer", self.tcp.receive_buffer.into(), 2_048, (1 << 30) - 1)?;
        within("receive_window", self.tcp.receive_window.into(), 2_048, 1 << 30)?;
        for msl in [Some(self.tcp.msl), self.tcp.msl_on_link].into_iter().flatten() {
            let most = tcp::Config::MAX_MSL.as_millis() as u64;
            within("msl in milliseconds", msl.as_nanos().div_ceil(1_000_000) as u64, 1, most)?;
        }
        if let Some(mss) = self.tcp.mss {
            within("mss", mss.into(), 88, 65_495)?;
        }
        Ok(())
    }
}

/// A setting that no engine can run with.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigError {
    /// The interface.
    Interface(BadInterface),
    /// A number out of its range.
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// What was asked for.
        value: u64,
        /// The least that is allowed.
        lowest: u64,
        /// The most that is allowed.
        highest: u64,
    },
    /// The memory for a limit cannot be had.
    NoMemory {
        /// The limit.
        name: &'static str,
        /// What was asked for.
        value: u64,
        /// Octets that it takes.
        bytes: u64,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Interface(bad) => bad.fmt(f),
            ConfigError::OutOfRange { name, value, lowest, highest } => {
                write!(f, "{name} is {value}; it must be between {lowest} and {highest}")
            }
            ConfigError::NoMemory { name, value, bytes } => {
                let tb = *bytes as f64 / 1e12;
                let (amount, unit) = if tb < 1.0 { (tb * 1e3, "GB") } else { (tb, "TB") };
                write!(f, "{name} is {value}: {amount:.1} {unit} of memory for it cannot be had")
            }
        }
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn each_limit_is_told_with_its_range() {
        let mac = crate::wire::MacAddr([2, 0, 0, 0, 0, 1]);
        let interface = Interface::new(mac, vec!["198.18.0.1/24".parse().unwrap()]);
        let good = Config::new(interface, [0; 32]);
        assert_eq!(good.check(), Ok(()));
        let most = super::super::flow_table::MAX_INDEX - 1;
        type Spoil = fn(&mut Config);
        let table: [(Spoil, &str, u64, u64, u64); 13] = [
            (|c| c.limits.max_connections = 0, "max_connections", 0, 1, most.into()),
            (|c| c.limits.max_time_wait = 0, "max_time_wait", 0, 1, most.into()),
            (|c| c.limits.syn_cache = 0, "syn_cache", 0, 1, (most / 2).into()),
            (|c| c.limits.buffer_bytes = 9, "buffer_bytes", 9, 1 << 16, 1 << 42),
            (|c| c.limits.reassembly_segments = 0, "reassembly_segments", 0, 1, 1 << 30),
            (|c| c.limits.recoveries = 0, "recoveries", 0, 1, 1 << 20),
            (|c| c.limits.neighbours = 0, "neighbours", 0, 1, 1 << 20),
            (|c| c.tcp.send_buffer = 9, "send_buffer", 9, 2_048, 1 << 30),
            (|c| c.tcp.receive_buffer = 9, "receive_buffer", 9, 2_048, (1 << 30) - 1),
            (|c| c.tcp.receive_window = 9, "receive_window", 9, 2_048, 1 << 30),
            (|c| c.tcp.msl = Duration::ZERO, "msl in milliseconds", 0, 1, 480_000),
            (
                |c| c.tcp.msl_on_link = Some(Duration::from_secs(481)),
                "msl in milliseconds",
                481_000,
                1,
                480_000,
            ),
            (|c| c.tcp.mss = Some(87), "mss", 87, 88, 65_495),
        ];
        for (spoil, name, value, lowest, highest) in table {
            let mut bad = good.clone();
            spoil(&mut bad);
            let error = bad.check().expect_err(name);
            let told = format!("{name} is {value}; it must be between {lowest} and {highest}");
            assert_eq!(error.to_string(), told);
        }
        let mut bad = good;
        bad.interface.vlan = Some(0);
        assert_eq!(bad.check().unwrap_err().to_string(), "VLAN id 0 is not in 1 to 4094");
    }
}
