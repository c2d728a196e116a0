//! What the kernel can be told about its TCP, and what it then says of a connection.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

/// Settings of a namespace that a SYN, or the answer to one, depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// RFC 7323 §3.
    pub timestamps: bool,
    /// RFC 2018.
    pub sack: bool,
    /// RFC 7323 §2.
    pub window_scaling: bool,
    /// RFC 3168: asked for by a client, granted by a server.
    pub ecn: bool,
    /// Name of the congestion control.
    pub congestion: String,
}

impl Settings {
    /// All sixteen, with the congestion controls in turn.
    pub fn all(congestion: &[String]) -> Vec<Self> {
        let of = |(row, congestion): (usize, &String)| Settings {
            timestamps: row & 1 != 0,
            sack: row & 2 != 0,
            window_scaling: row & 4 != 0,
            ecn: row & 8 != 0,
            congestion: congestion.clone(),
        };
        (0..16).zip(congestion.iter().cycle()).map(of).collect()
    }

    /// Everything on but ECN, as the kernel's own defaults are.
    pub fn usual(congestion: &str) -> Self {
        let congestion = congestion.to_owned();
        Settings { timestamps: true, sack: true, window_scaling: true, ecn: false, congestion }
    }

    /// Makes them those of the namespace that this process is in.
    pub fn apply(&self) {
        let Settings { timestamps, sack, window_scaling, ecn, congestion } = self;
        let digit = |on: &bool| if *on { "1" } else { "0" };
        for (name, value) in [
            ("timestamps", digit(timestamps)),
            ("sack", digit(sack)),
            ("window_scaling", digit(window_scaling)),
            ("ecn", digit(ecn)),
            ("congestion_control", congestion),
            ("no_metrics_save", "1"), // one connection teaches the next one nothing
        ] {
            let path = format!("/proc/sys/net/ipv4/tcp_{name}");
            fs::write(&path, value).unwrap_or_else(|error| panic!("{path} = {value}: {error}"));
        }
    }
}

/// The congestion controls that namespaces may choose, more of them for as long as the value lives.
pub struct Congestion {
    /// Those of the wanted ones that there are.
    pub names: Vec<String>,
    before: Option<String>,
}

const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

impl Congestion {
    /// Allows those of `wanted` that the kernel has, and says which it has not.
    pub fn allow(wanted: &[&str]) -> Self {
        let read = |path| fs::read_to_string(path).expect("a kernel with TCP");
        let available = read("/proc/sys/net/ipv4/tcp_available_congestion_control");
        let before = read(ALLOWED);
        let is_in = |list: &str, name: &str| list.split_whitespace().any(|one| one == name);
        let (mut names, mut allowed) = (Vec::new(), before.trim().to_owned());
        for &name in wanted {
            if !is_in(&available, name) {
                eprintln!("skipped: congestion control {name}, which the kernel has not");
                continue;
            }
            if !is_in(&allowed, name) {
                allowed = format!("{allowed} {name}");
            }
            names.push(name.to_owned());
        }
        let changed = allowed != before.trim();
        if changed {
            fs::write(ALLOWED, allowed).expect("the list of congestion controls");
        }
        Congestion { names, before: changed.then_some(before) }
    }
}

impl Drop for Congestion {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The test may be failing already, and another failure would hide why.
            let _ = fs::write(ALLOWED, before);
        }
    }
}

/// What `ss` says of a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Info(pub String);

impl Info {
    /// Of this end of a connection, in the namespace of this process.
    pub fn of(stream: &TcpStream) -> Self {
        let port = |address: std::io::Result<SocketAddr>| address.expect("a connection").port();
        let (local, peer) = (port(stream.local_addr()), port(stream.peer_addr()));
        let filter = format!("sport = :{local} and dport = :{peer}");
        let output = Command::new("ss").args(["-tinoHO", &filter]).output().expect("ss starts");
        Info(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Is the word there?
    pub fn has(&self, word: &str) -> bool {
        self.0.split_whitespace().any(|one| one == word)
    }

    /// What stands after `name:`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.split_whitespace().find_map(|one| one.strip_prefix(name)?.strip_prefix(':'))
    }

    /// The number after `name:`, or none, which is how `ss` says zero. Of `retrans:0/7` it is the
    /// last one, which counts over the whole life of the connection.
    pub fn number(&self, name: &str) -> u64 {
        let last = |value: &str| value.rsplit('/').next().and_then(|digits| digits.parse().ok());
        self.value(name).and_then(last).unwrap_or(0)
    }

    /// Are the options that the connection has those of `settings`? Ours are all on.
    #[track_caller]
    pub fn check(&self, settings: &Settings) {
        let Settings { timestamps, sack, window_scaling, ecn, congestion } = settings;
        let has: HashMap<&str, bool> = [
            ("ts", self.has("ts")),
            ("sack", self.has("sack")),
            ("wscale", self.value("wscale").is_some()),
            ("ecn", self.has("ecn")),
        ]
        .into();
        let wanted: HashMap<&str, bool> =
            [("ts", *timestamps), ("sack", *sack), ("wscale", *window_scaling), ("ecn", *ecn)]
                .into();
        assert_eq!(has, wanted, "{settings:?}: {}", self.0);
        assert!(self.has(congestion), "{settings:?}: {}", self.0);
    }
}
