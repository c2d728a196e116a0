//! A bulk transfer each way between the kernel and the servers that need no protocol: nc into discard,
//! and a reader of chargen. What either end counts agrees to the octet.

use super::count;
use super::namespace::{Namespace, turn};
use lastack::app::chargen;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

/// Octets of a transfer.
const LENGTH: usize = 50_000_000;
/// Both addresses of the server.
const SERVERS: [&str; 2] = ["198.18.0.2", "2001:db8::2"];
/// Tells the program that it is to read, and from where.
const ROLE: &str = "LASTACK_KERNEL_READER";
/// What begins the line with the number of octets.
const MARK: &str = "octets taken: ";

#[test]
fn nc_sends_into_discard() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = namespace.server("discard");
    for address in SERVERS {
        // -N: a FIN when the input has ended; then nc waits for ours
        let mut nc = namespace
            .command("nc", &["-N", "-w", "20", address, "9"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("nc starts");
        let mut input = nc.stdin.take().expect("a pipe");
        input.write_all(&vec![b'x'; LENGTH]).expect("nc reads its input");
        drop(input);
        let output = nc.wait_with_output().expect("nc ends");
        assert!(output.status.success(), "{address}");
        assert_eq!(output.stdout.len(), 0, "discard says nothing");
    }
    let report = server.stop_when_idle(&namespace);
    assert_eq!(count(&report, "/bytes/received"), (SERVERS.len() * LENGTH) as u64);
    assert_eq!(count(&report, "/bytes/sent"), 0);
    assert_eq!(count(&report, "/connections/closed"), SERVERS.len() as u64);
    assert_eq!(count(&report, "/connections/reset"), 0);
}

/// The generator has no end of its own: the reader closes its direction when it has had enough, and
/// then takes what was under way.
#[test]
fn a_reader_takes_from_chargen() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = namespace.server("chargen");
    let taken: u64 = SERVERS.iter().map(|address| take(&namespace, address)).sum();
    assert!(taken >= (SERVERS.len() * LENGTH) as u64, "{taken}");
    let report = server.stop_when_idle(&namespace);
    assert_eq!(count(&report, "/bytes/sent"), taken);
    assert_eq!(count(&report, "/bytes/received"), 0);
    assert_eq!(count(&report, "/connections/closed"), SERVERS.len() as u64);
    assert_eq!(count(&report, "/connections/reset"), 0);
}

/// Has a process read, and returns how many octets it has got.
#[track_caller]
fn take(namespace: &Namespace, address: &str) -> u64 {
    let program = std::env::current_exe().expect("the path of this program");
    let program = program.to_str().expect("a path in UTF-8");
    let arguments = ["--ignored", "--exact", "--nocapture", "stream::reader"];
    let output = namespace.command(program, &arguments).env(ROLE, address).output();
    let output = output.expect("the reader starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let octets = told.lines().find_map(|line| line.split_once(MARK)?.1.parse().ok());
    octets.unwrap_or_else(|| panic!("no number in {told}"))
}

#[test]
#[ignore = "the other process of a test, not a test"]
fn reader() {
    let Ok(address) = std::env::var(ROLE) else { return };
    let server = SocketAddr::new(address.parse().expect("an address"), 19);
    let mut stream = TcpStream::connect(server).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    let mut buffer = vec![0; 1 << 16];
    let (mut taken, mut enough) = (0, false);
    loop {
        let got = stream.read(&mut buffer).expect("more, or the end");
        if got == 0 {
            break;
        }
        for (at, &octet) in (taken..).zip(&buffer[..got]) {
            assert_eq!(octet, chargen::octet(at), "octet {at}");
        }
        taken += got;
        if taken >= LENGTH && !enough {
            stream.shutdown(Shutdown::Write).expect("a half-close");
            enough = true;
        }
    }
    assert!(enough, "the server has ended after {taken}");
    println!("{MARK}{taken}");
}
