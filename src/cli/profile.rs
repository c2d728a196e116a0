//! Profiles: what DPDK is to be told for a kind of port, from `dpdk-config/*.toml`.
//!
//! Those that come with the program are part of it, so that it runs anywhere; any other file can be
//! named by its path.

use super::hugepages::Wanted;
use super::machine::pci;
use super::{Failure, files};
use crate::net::address::Cidr;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use core::net::IpAddr;
use serde::Deserialize;
use std::ffi::OsStr;
use std::path::Path;

/// The profiles that come with the program.
const BUILT_IN: &[(&str, &str)] = &[
    ("ring", include_str!("../../dpdk-config/ring.toml")),
    ("tap", include_str!("../../dpdk-config/tap.toml")),
    ("af_packet", include_str!("../../dpdk-config/af_packet.toml")),
    ("af_xdp", include_str!("../../dpdk-config/af_xdp.toml")),
    ("memif", include_str!("../../dpdk-config/memif.toml")),
    ("pci", include_str!("../../dpdk-config/pci.toml")),
];

/// Where the device of the command line goes in options of EAL, devices and notes.
const PLACE: &str = "{device}";

/// Longest name of an interface that the kernel takes, octets.
const INTERFACE_NAME: usize = 15;

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
    /// What making it takes of the kernel.
    #[serde(default)]
    pub needs: Vec<Need>,
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

/// What a kind of port takes of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// A TAP: CAP_NET_ADMIN and `/dev/net/tun`.
    Tap,
    /// An interface of the kernel by AF_PACKET: CAP_NET_RAW and CAP_NET_ADMIN.
    Packet,
    /// An interface of the kernel by AF_XDP: CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF.
    Xdp,
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
    /// Buffers of a queue pair that lie in no ring: a burst that was received, one that waits to be sent,
    /// and those taken to be filled.
    const ON_THEIR_WAY: u64 = 64 + 2 * 64 + 32;

    /// What the cache of a core may hold: half as many again as it is asked to (rte_mempool.h).
    const fn cached(cache: u32) -> u64 {
        let most = if cache < 512 { cache } else { 512 };
        most as u64 * 3 / 2
    }

    /// How many buffers a side needs so that it can receive and send: those in a full receive ring and in
    /// a full transmit ring cannot be had.
    pub fn least(&self) -> u64 {
        2 * u64::from(self.queue) + Self::cached(self.cache) + Self::ON_THEIR_WAY
    }

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

/// Reads the name of a profile or a file: any text. Shells complete the names that come with the program.
#[derive(Clone, Debug)]
pub struct NameParser;

impl TypedValueParser for NameParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Profile::names().map(PossibleValue::new)))
    }
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
        let text = files::read(path, files::LONGEST_TEXT).map_err(wrong)?;
        Self::parse(&text).map_err(wrong)
    }

    /// Does it want a device of the command line?
    pub fn wants_device(&self) -> bool {
        let devices = [&self.server, &self.client].map(|role| role.device.iter());
        devices.into_iter().flatten().chain(&self.eal.options).any(|text| text.contains(PLACE))
    }

    /// The profile with the device of the command line in its place.
    ///
    /// # Errors
    /// [`Failure::Arguments`]: it wants one and there is none, or the other way round, or it is not
    /// what a device is called.
    pub fn with_device(self, given: Option<&str>) -> Result<Profile, Failure> {
        let Some(device) = given else {
            if !self.wants_device() {
                return Ok(self);
            }
            let (what, list) = match self.device.kind {
                Kind::Probed => ("the PCI address, such as 0000:3b:00.0", "lspci -D"),
                Kind::Ring | Kind::Vdev => ("the name of an interface", "ip -br link"),
            };
            return Err(Failure::Arguments(format!(
                "--profile {} needs --device with {what} ({list} lists them)",
                self.name
            )));
        };
        let wrong = |why: String| Err(Failure::Arguments(format!("--device {device}: {why}")));
        if !self.wants_device() {
            return wrong(format!("profile {} takes none, leave it out", self.name));
        }
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if device.is_empty() || device.contains(blank) {
            return wrong("a name without blanks is expected".to_owned());
        }
        let vdev = self.device.kind == Kind::Vdev;
        if vdev && (device.len() > INTERFACE_NAME || device.contains([',', '/'])) {
            return wrong(format!(
                "the name of an interface is expected, of at most {INTERFACE_NAME} octets without , and /"
            ));
        }
        let device = if vdev { device.to_owned() } else { pci::full(device) };
        Ok(self.filled(&device))
    }

    fn filled(mut self, device: &str) -> Profile {
        let roles = [&mut self.server, &mut self.client].map(|role| role.device.as_mut());
        let texts = roles.into_iter().flatten();
        for text in texts.chain(&mut self.eal.options).chain(&mut self.notes) {
            *text = text.replace(PLACE, device);
        }
        self
    }

    pub(super) fn parse(text: &str) -> Result<Profile, String> {
        let profile: Profile = toml::from_str(text).map_err(|error| one_line(&error, text))?;
        for (role, side) in [("server", &profile.server), ("client", &profile.client)] {
            if profile.device.kind != Kind::Ring && side.device.is_none() {
                return Err(format!("[{role}] needs a device"));
            }
            if side.addresses.is_empty() {
                return Err(format!("[{role}] addresses: one is expected at least"));
            }
        }
        let Buffers { count, cache, queue } = profile.buffers;
        if !queue.is_power_of_two() {
            return Err(format!("[buffers] queue = {queue}: a power of two is expected"));
        }
        let least = profile.buffers.least();
        if u64::from(count) < least {
            return Err(format!(
                "[buffers] count = {count}: {least} are expected at least, as the rings hold 2 x {queue}, \
                 the cache of a core {}, and {} are on their way",
                Buffers::cached(cache),
                Buffers::ON_THEIR_WAY
            ));
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

    use std::fs;

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
            "--profile rign: no such profile or file: the profiles are ring, tap, af_packet, \
             af_xdp, memif, pci"
        );
    }

    #[test]
    fn a_device_goes_to_its_place() {
        let with = |profile: &str, device: Option<&str>| {
            Profile::load(profile).unwrap().with_device(device)
        };
        let packet = with("af_packet", Some("eth1")).unwrap();
        assert_eq!(packet.server.device.as_deref(), Some("net_af_packet0,iface=eth1"));
        assert_eq!(packet.client.device, packet.server.device);
        assert!(packet.notes[0].contains("ethtool -K eth1 gro off"), "{:?}", packet.notes);
        assert!(!packet.wants_device());
        let pci = with("pci", Some("3b:00.0,txq_inline=64")).unwrap();
        assert_eq!(pci.eal.options.last().unwrap(), "--allow=0000:3b:00.0,txq_inline=64");
        assert_eq!(pci.server.device.as_deref(), Some("0000:3b:00.0,txq_inline=64"));
        assert_eq!(with("tap", None).unwrap(), Profile::load("tap").unwrap());

        for (profile, device, line) in [
            (
                "af_xdp",
                None,
                "--profile af_xdp needs --device with the name of an interface (ip -br link lists them)",
            ),
            (
                "pci",
                None,
                "--profile pci needs --device with the PCI address, such as 0000:3b:00.0 (lspci -D \
                 lists them)",
            ),
            ("tap", Some("eth1"), "--device eth1: profile tap takes none, leave it out"),
            ("pci", Some("a b"), "--device a b: a name without blanks is expected"),
            (
                "af_packet",
                Some("eth1,qpairs=2"),
                "--device eth1,qpairs=2: the name of an interface is expected, of at most 15 octets \
                 without , and /",
            ),
        ] {
            let failure = with(profile, device).unwrap_err();
            assert_eq!((failure.status(), failure.to_string().as_str()), (2, line));
        }
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
        for (from, to, told) in [
            ("kind = \"ring\"", "kind = \"vdev\"", "[server] needs a device"),
            ("mtu = 1500", "mtu = 70000", "line 11: invalid value: integer `70000`, expected u16"),
            (
                "[\"198.18.0.1/24\", \"2001:db8::1/64\"]",
                "[]",
                "[client] addresses: one is expected at least",
            ),
            (
                "[\"198.18.0.2/24\", \"2001:db8::2/64\"]",
                "[]",
                "[server] addresses: one is expected at least",
            ),
            ("queue = 2048", "queue = 2000", "[buffers] queue = 2000: a power of two is expected"),
            (
                "count = 16383",
                "count = 4703",
                "[buffers] count = 4703: 4704 are expected at least, as the rings hold 2 x 2048, the \
                 cache of a core 384, and 224 are on their way",
            ),
        ] {
            assert!(good.contains(from), "{from}");
            let changed = good.replacen(from, to, 1);
            assert_eq!(Profile::parse(&changed).unwrap_err(), told);
        }
        let tap = BUILT_IN[1].1;
        let (servers, clients) = tap.split_at(tap.find("[client]").unwrap());
        let without = |role: &str| {
            let lines = role.lines().filter(|line| !line.starts_with("device ="));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        for (text, told) in [
            (without(servers) + clients, "[server] needs a device"),
            (servers.to_owned() + &without(clients), "[client] needs a device"),
            (String::new(), "line 1: missing field `name`"),
        ] {
            assert_eq!(Profile::parse(&text).unwrap_err(), told);
        }
    }
}
