//! A network namespace of a test, and the processes in it. All of it goes when the value goes, also
//! when the test fails.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The kernel's end of the TAP.
pub const KERNEL_V4: &str = "198.18.0.1";

/// How long anything may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever polls wants a core for itself, so there is one test at a time. `None`, and a line that
/// says why, if these tests cannot run here.
pub fn turn() -> Option<MutexGuard<'static, ()>> {
    turn_with(&[])
}

/// The same for a test that wants these programs too.
pub fn turn_with(programs: &[&str]) -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    if let Some(reason) = obstacle(programs) {
        eprintln!("skipped: {reason}");
        return None;
    }
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What these tests lack.
fn obstacle(programs: &[&str]) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() != 0) {
        return Some("a TAP and a network namespace need root".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |tool: &str| std::env::split_paths(&path).any(|at| at.join(tool).is_file());
    let mut tools = ["ip", "ss", "curl", "wrk", "nc"].iter().chain(programs);
    tools.find(|tool| !there(tool)).map(|tool| format!("{tool} is not installed"))
}

/// A process that ends with the value.
pub struct Running(Child);

impl Running {
    /// Starts it, without input and output.
    pub fn spawn(command: &mut Command) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        Running(quiet.spawn().expect("the process starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both are about a process that may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace and a directory.
pub struct Namespace {
    name: String,
    directory: PathBuf,
}

impl Namespace {
    /// Makes both.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lastack-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(&name);
        fs::create_dir_all(&directory).expect("a directory for reports");
        let namespace = Namespace { name, directory };
        namespace.ip(&["netns", "add", &namespace.name]);
        namespace.ip_inside(&["link", "set", "lo", "up"]);
        namespace
    }

    /// A directory that goes with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    #[track_caller]
    fn ip(&self, arguments: &[&str]) {
        let output = Command::new("ip").args(arguments).output().expect("ip starts");
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments:?}: {messages}");
    }

    /// A program in the namespace. `ip` becomes it, so its process id is that of the child.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).args(arguments);
        command
    }

    /// What a program in the namespace writes.
    pub fn output(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program, arguments).output().expect("the program starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What the kernel's TCP has counted, such as `OutRsts`.
    pub fn tcp_counter(&self, name: &str) -> u64 {
        let snmp = self.output("cat", &["/proc/net/snmp"]);
        let mut tcp = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let (names, values) = (tcp.next().expect("names"), tcp.next().expect("values"));
        let mut pairs = names.split(' ').zip(values.split(' '));
        let (_, count) = pairs.find(|(known, _)| *known == name).expect("a counter of TCP");
        count.parse().expect("a number")
    }

    /// Waits until `done`, or fails.
    #[track_caller]
    pub fn wait_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < until, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `lastack server` on a TAP, ready to be talked to.
    pub fn server(&self, app: &str) -> Lastack {
        let server = self.lastack("server", &["--app", app]);
        self.wait_for("the server", || server.messages().contains(&format!("{app} at port ")));
        server
    }

    /// `lastack` on a TAP, with the kernel's end of it set up.
    pub fn lastack(&self, command: &str, arguments: &[&str]) -> Lastack {
        let lastack = self.start(command, &[&["--profile", "tap"], arguments].concat());
        self.wait_for("the TAP", || {
            let show = ["-n", &self.name, "link", "show", "lastack0"];
            let made = Command::new("ip").args(show).output().is_ok_and(|o| o.status.success());
            assert!(made || !lastack.messages().contains("lastack: --"), "{}", lastack.messages());
            made
        });
        self.set_up("lastack0", KERNEL_V4, "2001:db8::1");
        lastack
    }

    /// The option by which EAL takes a folder that goes with the namespace.
    pub fn file_prefix(&self) -> String {
        format!("--file-prefix={}", self.name)
    }

    /// `lastack` in the namespace, with a report.
    pub fn start(&self, command: &str, arguments: &[&str]) -> Lastack {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed); // there may be two at a time
        let json = self.directory.join(format!("report-{number}.json"));
        let messages = self.directory.join(format!("stderr-{number}"));
        let errors = fs::File::create(&messages).expect("a file for messages");
        let prefix = self.file_prefix();
        let json_path = json.to_str().expect("a path in UTF-8").to_owned();
        let options = [prefix.as_str(), "--", command, "--json", &json_path];
        let mut program = self.command(env!("CARGO_BIN_EXE_lastack"), &options);
        program.args(["--stats-period", "100ms"]).args(arguments).stderr(errors);
        Lastack { process: Running::spawn(&mut program), json, messages }
    }

    /// A veth pair: `veth0` for us, up and without an address, so that the kernel answers nothing
    /// there, and `veth1`, which the kernel has. Its checksums have to be in the frames: it leaves
    /// them out if it may.
    pub fn veth(&self) {
        self.ip_inside(&["link", "add", "veth0", "type", "veth", "peer", "name", "veth1"]);
        self.ip_inside(&["link", "set", "veth0", "addrgenmode", "none", "up"]);
        self.fill_in_checksums("veth1");
    }

    /// A bridge `br0` of the kernel with two ports: the other end of `veth0`, which is for us as in
    /// [`veth`](Self::veth), and the other end of `host0`, which is given to the kernel of
    /// `other`. All are up; the kernel has no address yet. False, and a line, if the kernel has no
    /// bridges.
    pub fn bridge(&self, other: &Namespace) -> bool {
        for kernel in [self, other] {
            // link-local addresses are there at once
            kernel.output("sysctl", &["-w", "net.ipv6.conf.default.accept_dad=0"]);
        }
        self.output("ip", &["link", "add", "br0", "type", "bridge"]);
        if self.output("ip", &["link", "show", "br0"]).is_empty() {
            eprintln!("skipped: this kernel has no bridges");
            return false;
        }
        for (name, port) in [("veth0", "port0"), ("host0", "port1")] {
            self.ip_inside(&["link", "add", name, "type", "veth", "peer", "name", port]);
            self.ip_inside(&["link", "set", port, "master", "br0", "addrgenmode", "none", "up"]);
        }
        self.ip_inside(&["link", "set", "veth0", "addrgenmode", "none", "up"]);
        self.ip_inside(&["link", "set", "host0", "netns", &other.name]);
        self.fill_in_checksums("br0");
        other.fill_in_checksums("host0");
        self.ip_inside(&["link", "set", "br0", "up"]);
        other.ip_inside(&["link", "set", "host0", "up"]);
        true
    }

    /// Has the kernel send whole checksums from one of its interfaces.
    fn fill_in_checksums(&self, interface: &str) {
        let ethtool = self.command("ethtool", &["-K", interface, "tx", "off"]).output();
        assert!(ethtool.expect("ethtool starts").status.success());
    }

    /// `ip` for what is in the namespace.
    #[track_caller]
    pub fn ip_inside(&self, arguments: &[&str]) {
        self.ip(&[&["-n", &self.name], arguments].concat());
    }

    /// The MAC address of one of its interfaces.
    pub fn mac(&self, interface: &str) -> String {
        let shown = self.output("ip", &["-o", "link", "show", "dev", interface]);
        let (_, mac) = shown.split_once("link/ether ").expect("an Ethernet address");
        mac.split_whitespace().next().expect("an Ethernet address").to_owned()
    }

    /// The MAC address of a neighbour, as the kernel of the namespace knows it.
    pub fn neighbour(&self, ip: &str, interface: &str) -> Option<String> {
        let shown = self.output("ip", &["neigh", "show", ip, "dev", interface]);
        let (_, mac) = shown.split_once("lladdr ")?;
        mac.split_whitespace().next().map(str::to_owned)
    }

    /// Gives one of its interfaces to the kernel, with these addresses.
    pub fn set_up(&self, interface: &str, ipv4: &str, ipv6: &str) {
        self.ip_inside(&["addr", "add", &format!("{ipv4}/24"), "dev", interface]);
        self.ip_inside(&["addr", "add", &format!("{ipv6}/64"), "dev", interface, "nodad"]);
        self.ip_inside(&["link", "set", interface, "up"]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Processes were started later and are gone already; what fails here fails no test.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = fs::remove_dir_all(&self.directory);
        let _ = fs::remove_dir_all(format!("/var/run/dpdk/{}", self.name)); // EAL leaves it, empty
    }
}

/// The program under test.
pub struct Lastack {
    process: Running,
    json: PathBuf,
    messages: PathBuf,
}

impl Lastack {
    /// Waits for it to end by itself without a report, and returns its exit status and what it told.
    pub fn refusal(mut self) -> (Option<i32>, String) {
        let status = self.wait();
        (status.code(), self.messages())
    }

    /// Has it ended by SIGSEGV? When the peer of a memif leaves, net_memif unmaps the rings on its own
    /// thread; an lcore that is preempted in the middle of a burst then reads unmapped memory. This is a
    /// fault of the driver, so a test that meets it starts again.
    pub fn has_crashed(&self) -> bool {
        const SIGSEGV: i32 = 11;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.0.id()));
        let stat = stat.unwrap_or_default();
        let is_over = stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z"));
        let status = stat.split_whitespace().next_back().and_then(|status| status.parse().ok());
        is_over && status.is_some_and(|status: i32| status & 0x7f == SIGSEGV)
    }

    /// Ends it by SIGKILL: it has no time to tell anybody.
    pub fn kill(self) {
        drop(self.process);
    }

    /// How often it has told this line so far.
    pub fn told(&self, line: &str) -> usize {
        self.messages().lines().filter(|told| *told == line).count()
    }

    /// What it has told so far.
    pub fn messages(&self) -> String {
        fs::read_to_string(&self.messages).unwrap_or_default()
    }

    /// Waits until no connection is open, which may need a last ACK that is still on its way or has
    /// been lost, ends it by SIGINT and reads its report.
    #[track_caller]
    pub fn stop_when_idle(self, namespace: &Namespace) -> Value {
        let told = self.messages().lines().count();
        namespace.wait_for("the last connection to end", || {
            let messages = self.messages();
            // A line has the number of open connections after this word.
            let mut open = messages.lines().skip(told).filter_map(|line| {
                line.split_once(" open ")?.1.split_whitespace().next()?.parse::<u64>().ok()
            });
            open.any(|number| number == 0)
        });
        self.stop()
    }

    /// Ends it by SIGINT and reads its report.
    pub fn stop(self) -> Value {
        let id = self.process.0.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().expect("kill starts");
        assert!(sent.success(), "it had ended before: {}", self.messages());
        self.end()
    }

    /// Waits for its end and reads its report.
    pub fn end(self) -> Value {
        let (status, report, messages) = self.outcome();
        assert!(status.success(), "{status}: {messages}");
        report
    }

    /// Waits for its end, which must be that the run has failed, and reads its report and what it
    /// told.
    pub fn fails(self) -> (Value, String) {
        let (status, report, messages) = self.outcome();
        assert_eq!(status.code(), Some(1), "{status}: {messages}");
        (report, messages)
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.0.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(Instant::now() < until, "it does not end: {}", self.messages());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn outcome(mut self) -> (ExitStatus, Value, String) {
        let status = self.wait();
        let messages = self.messages();
        let text = fs::read(&self.json).unwrap_or_else(|error| panic!("{error}: {messages}"));
        let report = serde_json::from_slice(&text)
            .unwrap_or_else(|error| panic!("the report is JSON: {error}: {messages}"));
        (status, report, messages)
    }
}
