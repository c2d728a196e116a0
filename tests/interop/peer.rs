//! The kernel's side of a test. It has to be in the namespace, so it is a process: this test program,
//! started once more with a role. It looks at every octet and prints a line for each thing that the
//! test waits for or wants to know.

use super::namespace::Namespace;
use super::settings::{Info, Settings};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What the process does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Role {
    /// Gets `/bytes/length` of a server of ours, once for each of the settings.
    Get { servers: Vec<SocketAddr>, length: usize, settings: Vec<Settings> },
    /// Sends `length` octets to an echo server of ours and reads them back while sending, once for
    /// each of the settings.
    Echo { servers: Vec<SocketAddr>, length: usize, settings: Vec<Settings> },
    /// Answers requests of our workload crr, both of `length`, on [`PORT`]: once for each of the
    /// settings, then for as long as it is let.
    Serve { length: usize, settings: Vec<Settings> },
    /// Gets `/bytes/length`, but begins to read after `pause`, and then rests for `rest` before
    /// each read.
    Sip { server: SocketAddr, length: usize, pause: Duration, rest: Duration },
    /// Sends to an echo server until nothing more goes for `pause`, and then reads.
    Stall { server: SocketAddr, length: usize, pause: Duration },
    /// Sends `length` octets after our server has closed its direction.
    SendAfterEnd { server: SocketAddr, length: usize },
    /// Reads what comes, for as long as it is let.
    Drain { server: SocketAddr },
    /// Goes away without reading what it was sent, which the kernel answers by a RST.
    Abandon { server: SocketAddr },
}

/// The port of [`Role::Serve`].
pub const PORT: u16 = 9_001;

/// In the environment: the role.
const ROLE: &str = "LASTACK_INTEROP_ROLE";

/// What begins a line that is for the test.
const MARK: &str = "peer> ";

/// How long a peer waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process with a role. It ends with the value.
pub struct Peer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// All that it printed, for messages.
    printed: String,
}

impl Peer {
    /// Starts it.
    pub fn start(namespace: &Namespace, role: &Role) -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let program = program.to_str().expect("a path in UTF-8");
        let role = serde_json::to_string(role).expect("a role");
        let mut process = namespace
            .command(program, &["--ignored", "--exact", "--nocapture", "peer::peer"])
            .env(ROLE, role)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the process starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Peer { process, lines, printed: String::new() }
    }

    /// The next thing that it tells, if it tells anything more.
    pub fn next(&mut self) -> Option<Info> {
        for line in self.lines.by_ref() {
            let line = line.expect("what a peer prints");
            self.printed += &line;
            self.printed.push('\n');
            if let Some((_, told)) = line.split_once(MARK) {
                return Some(Info(told.to_owned()));
            }
        }
        None
    }

    /// The next thing that it tells.
    #[track_caller]
    pub fn tells(&mut self) -> Info {
        self.next().unwrap_or_else(|| panic!("the peer has ended: {}", self.printed))
    }

    /// The rest of what it tells. It must end well.
    #[track_caller]
    pub fn end(mut self) -> Vec<Info> {
        let told = std::iter::from_fn(|| self.next()).collect();
        let status = self.process.wait().expect("the peer ends");
        assert!(status.success(), "{status}: {}", self.printed);
        told
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both are about a process that may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Tells the test something.
fn tell(what: &str) {
    println!("{MARK}{what}");
}

#[test]
#[ignore = "the other process of a test, not a test"]
fn peer() {
    let Ok(role) = std::env::var(ROLE) else { return };
    match serde_json::from_str(&role).expect("a role") {
        Role::Get { servers, length, settings } => {
            for (settings, &server) in settings.iter().zip(servers.iter().cycle()) {
                settings.apply();
                let mut stream = connect(server);
                request(&mut stream, length);
                read_body(&mut stream, length, Duration::ZERO);
                tell(&Info::of(&stream).0);
            }
        }
        Role::Echo { servers, length, settings } => {
            for (settings, &server) in settings.iter().zip(servers.iter().cycle()) {
                settings.apply();
                echo(connect(server), length);
            }
        }
        Role::Serve { length, settings } => serve(length, &settings),
        Role::Sip { server, length, pause, rest } => {
            let mut stream = connect(server);
            request(&mut stream, length);
            thread::sleep(pause);
            tell(&Info::of(&stream).0);
            read_body(&mut stream, length, rest);
        }
        Role::Stall { server, length, pause } => stall(connect(server), length, pause),
        Role::SendAfterEnd { server, length } => send_after_end(connect(server), length),
        Role::Drain { server } => {
            let mut stream = connect(server);
            stream.read_exact(&mut [0; 100_000]).expect("the server sends without end");
            tell("reads");
            // That it ends is no concern of this side.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        Role::Abandon { server } => {
            let mut stream = connect(server);
            stream.read_exact(&mut [0; 1_000]).expect("the server sends without end");
        }
    }
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&server, PATIENCE).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}

/// Octet `at` of what is sent to an echo server: no period that a power of two divides.
fn octet(at: usize) -> u8 {
    (at % 251) as u8 ^ (at / 65_521) as u8
}

/// Reads `length` octets, each of which must be what `expected` says, with a rest before each read.
fn check(stream: &mut impl Read, length: usize, rest: Duration, expected: impl Fn(usize) -> u8) {
    let mut buffer = vec![0; 1 << 16];
    let mut seen = 0;
    while seen < length {
        thread::sleep(rest);
        let room = buffer.len().min(length - seen);
        let count = stream.read(&mut buffer[..room]).expect("more octets");
        assert_ne!(count, 0, "{length} octets were to come, the end came after {seen}");
        for (at, &got) in (seen..).zip(&buffer[..count]) {
            assert_eq!(got, expected(at), "octet {at}");
        }
        seen += count;
    }
}

/// Nothing more comes.
fn check_end(stream: &mut TcpStream) {
    let count = stream.read(&mut [0]).expect("an orderly end");
    assert_eq!(count, 0, "more than was to come");
}

fn request(stream: &mut TcpStream, length: usize) {
    let request = format!("GET /bytes/{length} HTTP/1.1\r\nHost: lastack\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the request goes");
}

/// Reads up to the empty line after the fields. Returns the line of the status.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut one = [0];
        stream.read_exact(&mut one).expect("a head");
        head.push(one[0]);
    }
    let head = String::from_utf8(head).expect("a head in ASCII");
    head.lines().next().expect("a line").to_owned()
}

fn read_body(stream: &mut TcpStream, length: usize, rest: Duration) {
    let status = read_head(stream);
    assert!(status.contains(" 200"), "{status}");
    check(stream, length, rest, |at| (at % 251) as u8);
}

/// Writes the octets of an echo from another thread.
fn send(stream: &TcpStream, length: usize) -> thread::JoinHandle<()> {
    let mut stream = stream.try_clone().expect("another handle");
    thread::spawn(move || {
        let octets: Vec<u8> = (0..length).map(octet).collect();
        stream.write_all(&octets).expect("all of it goes");
    })
}

fn echo(mut stream: TcpStream, length: usize) {
    let writer = send(&stream, length);
    check(&mut stream, length, Duration::ZERO, octet);
    writer.join().expect("the writer");
    tell(&Info::of(&stream).0);
    stream.shutdown(Shutdown::Write).expect("a half-close");
    check_end(&mut stream);
}

/// What requests and responses of the workload are made of; the last octet of a request asks the
/// server to close.
const FILLER: u8 = b'x';

fn serve(length: usize, settings: &[Settings]) {
    let mut left = settings.iter();
    let first = left.next().expect("settings");
    first.apply();
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).expect("a free port");
    tell("listens");
    let response = vec![FILLER; length];
    let mut tells = true;
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        check(&mut stream, length - 1, Duration::ZERO, |_| FILLER);
        check(&mut stream, 1, Duration::ZERO, |_| b'.');
        stream.write_all(&response).expect("the response goes");
        if tells {
            tell(&Info::of(&stream).0);
        }
        // The client comes again as soon as this connection has ended, and not before.
        match left.next() {
            Some(next) => next.apply(),
            None => tells = false,
        }
        stream.shutdown(Shutdown::Write).expect("the end");
        check_end(&mut stream);
    }
}

fn stall(mut stream: TcpStream, length: usize, pause: Duration) {
    let writer = send(&stream, length);
    // Nothing goes either way when the kernel has asked more than once, and nothing has moved
    // meanwhile: a server that is slow to begin is given its time.
    let moved = |info: &Info| (info.number("bytes_acked"), info.number("bytes_received"));
    let deadline = Instant::now() + PATIENCE;
    let mut last = Info::of(&stream);
    let stalled = loop {
        thread::sleep(pause);
        assert!(!writer.is_finished(), "{length} octets found room");
        let info = Info::of(&stream);
        let asks = info.0.contains("timer:(persist,") && info.number("backoff") > 0;
        if (asks && moved(&info) == moved(&last)) || Instant::now() > deadline {
            break info;
        }
        last = info;
    };
    tell(&stalled.0);
    check(&mut stream, length, Duration::ZERO, octet);
    writer.join().expect("the writer");
    stream.shutdown(Shutdown::Write).expect("a half-close");
    check_end(&mut stream);
}

fn send_after_end(mut stream: TcpStream, length: usize) {
    // The server refuses the body, and closes its direction at once.
    let head = format!(
        "PUT / HTTP/1.1\r\nHost: lastack\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the request goes");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("an answer and its end");
    assert!(response.contains(" 405"), "{response}");
    tell(&Info::of(&stream).0);
    stream.write_all(&vec![FILLER; length]).expect("the other direction is open");
}
