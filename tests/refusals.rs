//! The program itself, told what it cannot do: one line, exit status 2, and no file is lost by it. What is
//! seen while arguments are read has its tests in `src/cli`; these are the mistakes that come after that.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lastack");

/// A folder that goes when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lastack-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn output(program: &str, arguments: &str) -> Output {
    Command::new(program).args(arguments.split_whitespace()).output().expect("it starts")
}

#[track_caller]
fn refused(arguments: &str, line: &str) {
    is_refusal(&output(PROGRAM, arguments), arguments, line);
}

#[track_caller]
fn is_refusal(output: &Output, arguments: &str, line: &str) {
    let messages = String::from_utf8_lossy(&output.stderr);
    assert_eq!(messages, format!("lastack: {line}\n"), "{arguments}");
    assert_eq!(output.status.code(), Some(2), "{arguments}");
    assert!(output.stdout.is_empty(), "{arguments}");
}

#[test]
fn what_cannot_be_run_is_refused_in_one_line() {
    let profiles = "ring, tap, af_packet, af_xdp, memif, pci";
    let rope = format!("--profile rope: no such profile or file: the profiles are {profiles}");
    for (arguments, line) in [
        ("loopback --profile rope", rope.as_str()),
        ("doctor --profile rope", &rope),
        (
            "loopback --profile memif",
            "--profile memif: loopback runs over rings; use --profile ring, or server and client",
        ),
        (
            "server --cores 2 --profile tap",
            "--cores 2: 1 is expected; a port of profile tap is polled by one engine",
        ),
        (
            "server --profile ring",
            "--profile ring: rings are for loopback; server and client want another profile",
        ),
        ("server", "--profile is needed: tap, af_packet, af_xdp, memif, pci, or a file"),
        (
            "client --profile af_packet",
            "--profile af_packet needs --device with the name of an interface (ip -br link lists them)",
        ),
        (
            "doctor --probe --profile pci",
            "--profile pci needs --device with the PCI address, such as 0000:3b:00.0 (lspci -D lists \
             them)",
        ),
        ("server --profile tap --device x", "--device x: profile tap takes none, leave it out"),
        ("loopback --device x", "--device x: profile ring takes none, leave it out"),
        ("doctor --profile memif --device x", "--device x: profile memif takes none, leave it out"),
        (
            "loopback --address 198.18.0.9/24",
            "--address: loopback takes them in pairs, the client's and then the server's",
        ),
        (
            "loopback --address 198.18.0.9/24 --address 198.18.0.9/24",
            "--address 198.18.0.9/24: another for each side is expected, client and server have it",
        ),
        (
            "loopback --connect 198.18.9.9:1",
            "--connect 198.18.9.9:1: an address of the server's side is expected, as 198.18.0.2:9000",
        ),
        (
            "loopback --connections 10 --max-connections 5",
            "--connections 10: --max-connections is 5, at least as many are expected",
        ),
        (
            "loopback --address 198.18.0.1/24 --address 198.18.1.2/24 --client-addresses 198.19.0.0/24",
            "--client-addresses 198.19.0.0/24: at the server gateway 198.18.0.1 is not a neighbour: it is \
             to be another address on one of the configured networks",
        ),
        (
            "-l 0 -- loopback --address 198.18.0.0/24 --address 198.18.0.2/24",
            "--address: address 198.18.0.0/24 cannot be an interface's: a unicast address is needed, \
             neither the network's own nor its broadcast address",
        ),
        (
            "loopback --syn-secret /nowhere/at/all",
            "--syn-secret /nowhere/at/all: cannot be read: No such file or directory (os error 2)",
        ),
        (
            "loopback --msl 5",
            "--msl 5: a time with its unit is expected, as in 1h30m, 30s, 200ms or 50us",
        ),
    ] {
        refused(arguments, line);
    }
    let alone = format!("-c 0 {PROGRAM} loopback --cores 2");
    let line = "--cores 2: both sides need 4 processors, 1 may be used";
    is_refusal(&output("taskset", &alone), &alone, line);
}

#[test]
fn a_profile_with_a_mistake_is_told_with_its_line() {
    let folder = Folder::new("profiles");
    let ring = fs::read_to_string("dpdk-config/ring.toml").unwrap();
    for (from, to, why) in [
        ("queue = 2048", "queue = 2000", "[buffers] queue = 2000: a power of two is expected"),
        (
            "mtu = 1500",
            "mtu = yes",
            "line 11: string values must be quoted, expected literal string",
        ),
        ("mtu = 1500", "mtu = 1000", "MTU 1000 is below 1280 octets"),
    ] {
        let file = folder.file("ring.toml", &ring.replace(from, to));
        let name = if why.starts_with("MTU") { "ring" } else { &file };
        refused(&format!("loopback --profile {file}"), &format!("--profile {name}: {why}"));
    }
}

/// Whatever a run is refused for, the results of an earlier one are still there, and no empty file is.
#[test]
fn a_run_that_is_refused_leaves_files_as_they_are() {
    let folder = Folder::new("outputs");
    let [json, hlog, csv] = ["json", "hlog", "csv"].map(|name| folder.file(name, "of a week ago"));
    let fresh = folder.path("hgrm");
    let commands = folder.file("commands", "set msl never\n");
    let outputs = format!("--json {json} --hlog {hlog} --csv {csv} --hgrm {fresh}");
    let time = "a time with its unit is expected, as in 1h30m, 30s, 200ms or 50us";
    for (eal, more, line) in [
        ("", "--connections 0", "--connections 0: a number from 1 to 10000000 is expected, as in 100 or 10k".to_owned()),
        (
            "",
            "--cmdline-file /nowhere",
            "--cmdline-file /nowhere: cannot be read: No such file or directory (os error 2)".to_owned(),
        ),
        (
            "",
            &format!("--cmdline-strict --cmdline-file {commands}"),
            format!("{commands} line 1: set msl never: {time}"),
        ),
        (
            "",
            "--connect 198.18.9.9:1",
            "--connect 198.18.9.9:1: an address of the server's side is expected, as 198.18.0.2:9000".to_owned(),
        ),
        // EAL has been started before this is known
        (
            "--no-huge --no-shconf -m 64 -l 0 --file-prefix=lastack-refused --",
            "",
            "-l: 2 engines need as many lcores, EAL has 1: name more".to_owned(),
        ),
    ] {
        let arguments = format!("{eal} loopback {outputs} {more}");
        refused(&arguments, &line);
        for file in [&json, &hlog, &csv] {
            assert_eq!(fs::read_to_string(file).unwrap(), "of a week ago", "{arguments}");
        }
        assert!(!Path::new(&fresh).exists(), "{arguments}");
    }
}

#[test]
fn files_that_no_result_can_go_to() {
    let folder = Folder::new("wrong-outputs");
    let (file, absent) = (folder.file("x", "commands"), folder.path("none/x"));
    let same = folder.path("./x");
    let gone = "cannot be written: No such file or directory (os error 2)";
    for (options, line) in [
        (format!("--json {absent}"), format!("--json {absent}: {gone}")),
        (format!("--hlog {absent}"), format!("--hlog {absent}: {gone}")),
        (format!("--csv {absent}"), format!("--csv {absent}: {gone}")),
        (format!("--hgrm {absent}"), format!("--hgrm {absent}: {gone}")),
        (
            format!("--csv {file} --json {same}"),
            format!("--csv {file}: --json names the same file, another is expected"),
        ),
        (
            format!("--hgrm {file} --hlog {file}"),
            format!("--hgrm {file}: --hlog names the same file, another is expected"),
        ),
        (
            format!("--json {file} --cmdline-file {same}"),
            format!("--json {file}: this file is read, another is expected"),
        ),
        ("--csv -".to_owned(), "--csv -: the name of a file is expected".to_owned()),
        ("--hgrm -".to_owned(), "--hgrm -: the name of a file is expected".to_owned()),
    ] {
        refused(&format!("loopback {options}"), &line);
    }
    refused(
        &format!("server --profile memif --json {absent}"),
        &format!("--json {absent}: {gone}"),
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "commands");
}

/// What the prompt of a server cannot do, and files of commands that cannot be carried out. The port is
/// one that swallows everything.
#[test]
fn what_a_server_is_asked_for_in_vain() {
    let folder = Folder::new("asked");
    let role = "device = \"net_null0\"\naddresses = [\"198.18.0.2/24\"]\n";
    let profile = format!(
        "name = \"null\"\n[eal]\noptions = [\"--no-pci\", \"--no-telemetry\", \
         \"--file-prefix=lastack-asked\"]\nhugepages = \"no\"\n[device]\nkind = \"vdev\"\n\
         checksum_offload = false\n[buffers]\ncount = 2047\nqueue = 256\n[server]\n{role}[client]\n{role}"
    );
    let profile = folder.file("null.toml", &profile);
    let (own, gone) = (folder.path("own"), folder.path("gone"));
    folder.file("own", &format!("# itself\nload {own}\n"));
    let lines = format!(
        "set rate 5\nshow latency\nclear latency\nstart\nstart 1s\nshow port stats 9\nload {gone}\nload {own}\n\
         stop\nstop\nquit\n"
    );
    let mut server = Command::new(PROGRAM)
        .args([
            "server",
            "--app",
            "echo",
            "-i",
            "--warmup",
            "1s",
            "--max-time-wait",
            "1k",
            "--profile",
            &profile,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    server.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = server.wait_with_output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    let told: Vec<&str> =
        messages.lines().filter_map(|line| line.strip_prefix("lastack: ")).collect();
    let deep =
        format!("{}load {own}: files load one another 8 deep", format!("{own} line 2: ").repeat(8));
    let gone = format!("load {gone}: cannot be read: No such file or directory (os error 2)");
    assert_eq!(
        told,
        [
            "echo at port 7 of 198.18.0.2",
            "set rate: a server begins nothing; say it to the client",
            "show latency: a server records none, its client does",
            "clear latency: a server records none, its client does",
            "start: a run goes on; stop ends it",
            "start 1s: a time longer than --warmup 1s is expected",
            "no port 9: 0 or all is expected",
            &gone,
            &deep,
            "stop: nothing runs; start begins a run",
        ],
        "{messages}"
    );
}

/// A run is refused by one line and status 1 if it asks for memory that there is not.
#[track_caller]
fn has_no_memory(output: &Output, begins: &str) {
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(messages.starts_with(&format!("lastack: {begins}")), "{messages}");
    assert_eq!(messages.lines().count(), 1, "{messages}");
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(output.stdout.is_empty());
}

#[test]
fn memory_that_there_is_not_is_told_with_its_option() {
    for (arguments, begins) in [
        ("loopback --max-connections 100M", "--max-connections 100000000: "),
        ("loopback --buffer-memory 4096G", "--buffer-memory 4096G: "),
        ("server --profile memif --max-connections 100M", "--max-connections 100000000: "),
        (
            "loopback --max-time-wait 100M --buffer-memory 1M --address 198.18.0.1/24 --address 198.18.0.2/24 --connections 9",
            "--max-time-wait 100000000: ",
        ),
    ] {
        let limited = output("prlimit", &format!("--as=16000000000 {PROGRAM} {arguments}"));
        has_no_memory(&limited, begins);
    }
    // what is more than the address space has room for is found out without asking for it
    let limited = output("prlimit", &format!("--as=1500000000 {PROGRAM} loopback"));
    has_no_memory(&limited, "--buffer-memory 1G: ");
}

#[test]
fn a_profile_with_more_buffers_than_memory_ends_at_once() {
    let folder = Folder::new("buffers");
    let ring = include_str!("../dpdk-config/ring.toml");
    for (from, to, status, begins) in [
        (
            "count = 16383",
            "count = 4000000000",
            1,
            "--profile ring: [buffers] count = 4000000000: ",
        ),
        (
            "count = 16383",
            "count = 1024",
            2,
            "--profile PROFILE: [buffers] count = 1024: 4704 are expected at least, as the rings hold",
        ),
    ] {
        let profile = folder.file("ring.toml", &ring.replace(from, to));
        let told = output(PROGRAM, &format!("loopback --duration 1s --profile {profile}"));
        let messages = String::from_utf8_lossy(&told.stderr);
        let begins = format!("lastack: {}", begins.replace("PROFILE", &profile));
        assert!(messages.starts_with(&begins), "{messages}");
        assert_eq!((messages.lines().count(), told.status.code()), (1, Some(status)), "{messages}");
    }
}

/// A file that an option names may be a device or a pipe without end.
#[test]
fn a_file_without_end_is_not_read_for_ever() {
    let long = |most: u64| format!("it is longer than {most} octets, a shorter file is expected");
    let text = long(1 << 20);
    for (arguments, begins) in [
        ("loopback --profile /dev/zero", format!("--profile /dev/zero: {text}")),
        ("doctor --profile /dev/zero", format!("--profile /dev/zero: {text}")),
        (
            "loopback --cmdline-file /dev/zero",
            "--cmdline-file /dev/zero: cannot be read: it is larger than 16 MB".to_owned(),
        ),
        ("loopback --syn-secret /dev/zero", format!("--syn-secret /dev/zero: {}", long(4_096))),
        ("report /dev/zero", format!("/dev/zero: {}", long(1 << 28))),
    ] {
        let told = output(PROGRAM, arguments);
        let messages = String::from_utf8_lossy(&told.stderr);
        assert_eq!(messages, format!("lastack: {begins}\n"), "{arguments}");
        assert_ne!(told.status.code(), Some(0), "{arguments}");
    }
}
