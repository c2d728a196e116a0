//! Profiles: what DPDK is to be told for a kind of port, from `dpdk-config/*.toml`.
//!
//! Those that come with the program are part of it, so that it runs anywhere; any other file can be
//! named by its path.

use super::Failure;
use super::hugepages::Wanted;
use crate::net::address::Cidr;
use core::net::IpAddr;
use serde::Deserialize;
use std::fs::{self, File};
use std::path::Path;

/// The profiles that come with the program.
const BUILT_IN: &[(&str, &str)] = &[
    ("ring", include_str!("../../dpdk-config/ring.toml")),
    ("tap", include_str!("../../dpdk-config/tap.toml")),
    ("memif", include_str!("../../dpdk-config/memif.toml")),
];

/// A profile.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What reports call it.
    pub name: String,
    /// Told to the user at the start of each run.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Options of EAL, and memory.
    #[serde(default)]
    pub eal: Eal,
    /// The port.
    pub device: Device,
    /// Buffers of each side.
    #[serde(default)]
    pub buffers: Buffers,
    /// Defaults of a server.
    pub server: Role,
    /// Defaults of a client.
    pub client: Role,
}

/// Options of EAL, and memory.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eal {
    /// Options as on a command line.
    #[serde(default)]
    pub options: Vec<String>,
    /// `auto`, `yes` or `no`.
    #[serde(default)]
    pub hugepages: Wanted,
}

/// The port.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// What makes it.
    pub kind: Kind,
    /// MTU in octets.
    #[serde(default = "Device::ethernet_mtu")]
    pub mtu: u16,
    /// Let the port verify and fill in checksums where it can.
    #[serde(default = "Device::yes")]
    pub checksum_offload: bool,
    /// Privileges that making it takes.
    #[serde(default)]
    pub needs: Vec<Need>,
}

impl Need {
    /// Is there what it takes?
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    pub fn check(self) -> Result<(), String> {
        match self {
            Need::Tap => {
                const CAP_NET_ADMIN: u32 = 12;
                let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
                let effective = status
                    .lines()
                    .find_map(|line| line.strip_prefix("CapEff:"))
                    .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
                if effective.is_some_and(|set| set & 1 << CAP_NET_ADMIN == 0) {
                    return Err("a TAP needs CAP_NET_ADMIN: run as root (sudo)".to_owned());
                }
                match File::options().read(true).write(true).open("/dev/net/tun") {
                    Ok(_) => Ok(()),
                    Err(error) => Err(format!(
                        "/dev/net/tun cannot be opened ({error}): modprobe tun, or give the \
                         container the device"
                    )),
                }
            }
        }
    }
}

impl Device {
    const fn ethernet_mtu() -> u16 {
        1_500
    }

    const fn yes() -> bool {
        true
    }
}

/// What makes a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A pair of ports in the process, wired back to back; for `loopback`.
    Ring,
    /// A virtual device: `device` of the role has its name and arguments.
    Vdev,
    /// A device that EAL finds, on the PCI bus or by `--vdev`: `device` of the role has its name.
    Probed,
}

/// A privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// CAP_NET_ADMIN and `/dev/net/tun`.
    Tap,
}

/// Buffers of each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Buffers {
    /// How many buffers.
    pub count: u32,
    /// How many of them each core may keep for itself, at most 512.
    pub cache: u32,
    /// Descriptors of each queue, or places in each ring; a power of two.
    pub queue: u16,
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers { count: 16_383, cache: 256, queue: 1_024 }
    }
}

impl Buffers {
    /// Memory that EAL has to have for `pools` of these, in megabytes: buffers of 2 kB with their
    /// headroom and bookkeeping, and a part for everything else.
    pub fn memory_mb(&self, pools: u64) -> u64 {
        const BUFFER: u64 = 2_048 + 128 + 128 + 128;
        const REST_MB: u64 = 64;
        (pools * u64::from(self.count) * BUFFER).div_ceil(1 << 20) + REST_MB
    }
}

/// Defaults of one side.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The device of this side, for kinds that have one.
    #[serde(default)]
    pub device: Option<String>,
    /// Addresses with prefixes.
    #[serde(deserialize_with = "parsed")]
    pub addresses: Vec<Cidr>,
    /// Gateways.
    #[serde(default, deserialize_with = "parsed")]
    pub gateways: Vec<IpAddr>,
    /// The server that a client connects to; without it the first address of the server's role.
    #[serde(default)]
    pub peer: Option<IpAddr>,
}

fn parsed<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: core::str::FromStr<Err: core::fmt::Display>,
{
    let bad = |text: &str, error: T::Err| serde::de::Error::custom(format!("{text:?}: {error}"));
    Vec::<String>::deserialize(from)?
        .iter()
        .map(|text| text.parse().map_err(|error| bad(text, error)))
        .collect()
}

impl Profile {
    /// The names of those that come with the program.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The profile that comes with the program under this name, or that is in this file.
    ///
    /// # Errors
    /// [`Failure::Arguments`]: no such profile, or its file has a mistake.
    pub fn load(name: &str) -> Result<Profile, Failure> {
        let wrong = |why: String| Failure::Arguments(format!("--profile {name}: {why}"));
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(text).map_err(wrong);
        }
        let path = Path::new(name);
        if !path.exists() {
            let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            return Err(wrong(format!(
                "no such profile or file: the profiles are {}",
                known.join(", ")
            )));
        }
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &str) -> Result<Profile, String> {
        let profile: Profile = toml::from_str(text).map_err(|error| one_line(&error, text))?;
        for (role, side) in [("server", &profile.server), ("client", &profile.client)] {
            if profile.device.kind != Kind::Ring && side.device.is_none() {
                return Err(format!("[{role}] needs a device"));
            }
        }
        if !profile.buffers.queue.is_power_of_two() {
            return Err("[buffers] queue: a power of two is expected".to_owned());
        }
        Ok(profile)
    }
}

fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
    format!("line {line}: {}", error.message().lines().next().unwrap_or("not TOML"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_that_come_with_the_program_are_good() {
        for (name, _) in BUILT_IN {
            let profile = Profile::load(name).unwrap();
            assert_eq!(profile.name, *name);
            assert!(!profile.server.addresses.is_empty() && !profile.client.addresses.is_empty());
            let benchmark: Cidr = "198.18.0.0/15".parse().unwrap();
            for cidr in profile.server.addresses.iter().chain(&profile.client.addresses) {
                let documentation: Cidr = "2001:db8::/32".parse().unwrap();
                assert!(benchmark.contains(cidr.addr) || documentation.contains(cidr.addr));
            }
            // What the file says is passed on to EAL, which would end the process with its usage.
            assert!(profile.eal.options.iter().all(|option| option.starts_with("--")));
        }
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/dpdk-config");
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(BUILT_IN.iter().any(|(known, _)| *known == name), "{name} is not built in");
            assert_eq!(Profile::load(path.to_str().unwrap()), Profile::load(name));
        }
    }

    #[test]
    fn an_unknown_profile_names_those_that_are_known() {
        let error = Profile::load("rign").unwrap_err();
        assert_eq!(error.status(), 2);
        assert_eq!(
            error.to_string(),
            "--profile rign: no such profile or file: the profiles are ring, tap, memif"
        );
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let good = BUILT_IN[0].1;
        for (from, to, told) in [
            ("[device]", "[device]\ncolour = 1", "unknown field `colour`"),
            ("kind = \"ring\"", "kind = \"rope\"", "unknown variant `rope`"),
            ("[client]", "[client", "line "),
            ("/24", "/33", "prefix length is not a number from 0 to 32"),
        ] {
            let error = Profile::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert!(error.starts_with("line ") && error.contains(told), "{error}");
            assert!(!error.contains('\n'));
        }
        assert_eq!(
            Profile::parse(&good.replace("kind = \"ring\"", "kind = \"vdev\"")).unwrap_err(),
            "[server] needs a device"
        );
    }
}
