//! Runs that fail, and runs whose streams or terminals go away: exit statuses, what is told, and what is
//! kept.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lastack");

/// One run at a time: each of them polls on all cores.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder that goes when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lastack-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn result(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.0.join(name)).expect(name)).expect("JSON")
    }

    /// A profile with this device on both sides.
    fn profile(&self, device: &str) -> String {
        let role =
            |address| format!("device = \"{device}\"\naddresses = [\"198.18.0.{address}/24\"]\n");
        let (server, client) = (role(2), role(1));
        let text = format!(
            "name = \"test\"\n[eal]\noptions = [\"--no-pci\", \"--no-telemetry\", \
             \"--file-prefix=lastack-failed\"]\nhugepages = \"no\"\n[device]\nkind = \"vdev\"\n\
             checksum_offload = false\n[buffers]\ncount = 2047\nqueue = 256\n[server]\n{server}\
             [client]\n{client}"
        );
        let path = self.path("test.toml");
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn lastack(arguments: &str) -> Output {
    Command::new(PROGRAM).args(arguments.split_whitespace()).output().expect("it starts")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// The port swallows everything and gives nothing: a server that does not answer.
#[test]
fn a_server_that_does_not_answer_is_a_failed_run_and_soon_over() {
    let _turn = turn();
    let folder = Folder::new("silent");
    let profile = folder.profile("net_null0,no-rx=1");
    let json = folder.path("run.json");
    let base = format!(
        "client --profile {profile} --neighbour 198.18.0.2=02:00:00:00:00:02 --stats-period 0 --json {json}"
    );
    for (load, kind) in [
        ("--workload rr --rate 1k --connections 5", "no_answer"),
        ("--workload connect --connections 3", "no_answer"),
    ] {
        let began = Instant::now();
        let output = lastack(&format!("{base} {load} --duration 3500ms --drain 1h"));
        let (shown, told) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(began.elapsed().as_secs() < 600, "an hour of drain is not waited for");
        assert!(told.contains("lastack: no answer for "), "{told}");
        assert!(told.contains(" connections under way, given up\n"), "{told}");
        let result = folder.result("run.json");
        assert_eq!(result["error"]["kind"], kind);
        assert!(result["no_answer_s"].as_f64().unwrap() >= 3.0);
        let message = result["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("no answer from 198.18.0.2:9000 to "), "{message}");
        assert_eq!(told.lines().last(), Some(format!("lastack: {message}").as_str()));
        if load.contains("rate") {
            assert!(shown.contains(": the server had not answered for "), "{shown}");
            assert!(!shown.contains("more than the connections carry"), "{shown}");
        }
    }
    // what is waited for is told, and for how long
    let output = lastack(&format!("{base} --workload rr --duration 300ms --drain 600ms"));
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let waiting =
        "lastack: waiting for 64 connections under way to end, 600.00 ms at most (--drain)\n";
    assert!(told.contains(waiting), "{told}");
    let given_up =
        "lastack: 64 connections under way did not end in 600.00 ms (--drain): given up\n";
    assert!(told.contains(given_up), "{told}");
}

/// No neighbour answers for the server: no SYN is sent at all.
#[test]
fn a_server_that_is_not_on_the_link_is_a_failed_run() {
    let _turn = turn();
    let folder = Folder::new("absent");
    let profile = folder.profile("net_null0,no-rx=1");
    let output = lastack(&format!(
        "client --profile {profile} --workload crr --connections 2 --duration 300ms --stats-period 0 --json -"
    ));
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let result: Value = serde_json::from_slice(&output.stdout).expect("a result");
    assert_eq!(result["error"]["kind"], "no_connection");
    let last = told.lines().last().unwrap();
    // the neighbour is given up at about the time at which the connections are
    let why = last.strip_prefix("lastack: no connection to 198.18.0.2:9000 was established: ");
    assert!(why.is_some_and(|why| why.contains("neighbour")), "{told}");
}

/// What fails before it begins tells that where the result was to go; wrong arguments touch no file.
#[test]
fn a_run_that_does_not_begin_writes_why() {
    let _turn = turn();
    let folder = Folder::new("begin");
    let json = folder.path("run.json");
    let profile = folder.profile("net_nothing0");
    let output = lastack(&format!("server --profile {profile} --json {json}"));
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let result = folder.result("run.json");
    assert_eq!((&result["schema"], &result["command"]), (&1.into(), &"server".into()));
    assert_eq!(result["error"]["kind"], "setup");
    let message = result["error"]["message"].as_str().unwrap();
    assert_eq!(told.lines().last(), Some(format!("lastack: {message}").as_str()));
    let report = lastack(&format!("report {json}"));
    let line = format!("lastack: {json}: this run failed: {message}\n");
    assert_eq!((report.status.code(), text(&report.stderr)), (Some(2), line));
    std::fs::remove_file(&json).unwrap();
    let output = lastack(&format!("server --profile rope --json {json}"));
    assert_eq!(output.status.code(), Some(2));
    assert!(!std::path::Path::new(&json).exists());
}

/// Starts a run that ends by a signal alone, and waits until it is under way. `hang_up` is the option of
/// env(1) that says what SIGHUP does.
fn endless(hang_up: &str, options: &str) -> Child {
    // whatever the test itself was started with
    let script = format!("exec env {hang_up}=HUP \"$0\" \"$@\"");
    let run = format!("loopback --workload rr --duration forever --stats-period 0.1 {options}");
    let mut running = Command::new("bash")
        .args(["-c", &script, PROGRAM, "--file-prefix=lastack-failed", "--"])
        .args(run.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(running.stderr.take().unwrap()).lines();
    assert!(messages.by_ref().any(|line| line.unwrap().contains(" s client ")));
    std::thread::spawn(move || messages.count());
    running
}

fn signal(name: &str, to: &Child) {
    let sent = Command::new("kill").args([&format!("-{name}"), &to.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_run_whose_terminal_hangs_up_keeps_its_result() {
    let _turn = turn();
    let folder = Folder::new("hangup");
    for name in ["HUP", "TERM", "INT"] {
        let json = folder.path(name);
        let running = endless("--default-signal", &format!("--json {json}"));
        signal(name, &running);
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}: {:?}", output.status);
        let result = folder.result(name);
        assert!(result["requests"]["completed"].as_u64().unwrap() > 0, "{name}");
        assert!(result["error"].is_null(), "{name}");
    }
    // as nohup has it
    let json = folder.path("ignored");
    let mut running = endless("--ignore-signal", &format!("--json {json}"));
    signal("HUP", &running);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(running.try_wait().unwrap().is_none(), "it goes on");
    signal("TERM", &running);
    assert!(running.wait().unwrap().success());
    assert!(folder.result("ignored")["error"].is_null());
}

/// `timeout` signals the program and then its whole group: both are one request to end.
#[test]
fn a_signal_that_comes_twice_at_once_keeps_the_result() {
    let _turn = turn();
    let folder = Folder::new("twice");
    let json = folder.path("timeout");
    let run = "--file-prefix=lastack-failed -- loopback --workload rr --duration forever";
    let (_, messages, status) = shell(&format!("timeout 6 \"$0\" {run} --json {json}"));
    assert_eq!(status, Some(124), "as timeout has it: {messages}");
    assert!(folder.result("timeout")["requests"]["completed"].as_u64().unwrap() > 0);
    for name in ["TERM", "INT"] {
        let json = folder.path(name);
        let running = endless("--default-signal", &format!("--json {json}"));
        let id = running.id();
        let (.., sent) = shell(&format!("for n in 1 2 3; do kill -{name} {id}; done"));
        assert_eq!(sent, Some(0));
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}: {:?}", output.status);
        assert!(folder.result(name)["error"].is_null(), "{name}");
    }
}

/// Runs a command line of a shell with the program as `$0`: the status of the program.
fn shell(script: &str) -> (String, String, Option<i32>) {
    let output = Command::new("bash").args(["-c", script, PROGRAM]).output().unwrap();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn streams_that_nobody_reads_end_nothing_in_a_panic() {
    let _turn = turn();
    let run = "\"$0\" --file-prefix=lastack-failed -- loopback --workload rr --duration 300ms --stats-period 0";
    let closed = "lastack: the standard output is closed";
    for (script, status, last) in [
        (format!("{run} --json - >&-"), 1, Some(closed.to_owned())),
        (format!("{run} >&-"), 1, Some(closed.to_owned())),
        (
            format!("{run} --json - >/dev/full"),
            1,
            Some("lastack: the standard output cannot be written: No space left on device (os error 28)".to_owned()),
        ),
        (format!("{run} --json - >/dev/null"), 0, None),
        // as Python's DEVNULL has it
        (format!("{run} --json - 1<>/dev/null"), 0, None),
        (format!("{run} --json - | true; exit ${{PIPESTATUS[0]}}"), 1, Some(format!("{closed}: Broken pipe (os error 32)"))),
        (format!("{run} 2>&1 | true; exit ${{PIPESTATUS[0]}}"), 1, None),
        (format!("{run} 2>/dev/full >/dev/null"), 0, None),
        (format!("{run} 2>&- >/dev/null"), 0, None),
        ("\"$0\" loopback --bogus 2>&1 | true; exit ${PIPESTATUS[0]}".to_owned(), 2, None),
        ("\"$0\" loopback --bogus 2>/dev/full".to_owned(), 2, None),
        ("\"$0\" doctor 2>&1 | true; s=${PIPESTATUS[0]}; ((s < 2)); exit $?".to_owned(), 0, None),
        ("\"$0\" man >/dev/full".to_owned(), 1, Some("lastack: the standard output cannot be written: No space left on device (os error 28)".to_owned())),
    ] {
        let (_, told, code) = shell(&script);
        assert_eq!(code, Some(status), "{script}: {told}");
        assert!(!told.contains("panicked"), "{script}: {told}");
        if let Some(last) = last {
            let found = told.lines().last().unwrap_or_default();
            assert!(found.starts_with(&last), "{script}: {told}");
        }
    }
}

/// Lines that are none are told, and the next one is carried out.
#[test]
fn a_line_that_is_no_text_does_not_end_the_session() {
    let _turn = turn();
    let folder = Folder::new("lines");
    let commands = folder.path("commands");
    let mut lines = b"show \xff tcp\nst\0op\n".to_vec();
    lines.extend(vec![b'x'; 100_000]);
    lines.extend(b"\nset msl 7s\nshow config tcp\n");
    std::fs::write(&commands, &lines).unwrap();
    let wrong = [
        "the line is not UTF-8: its octet 6 is 0xff; it is left out",
        "octet 3 of the line is the control character 0x00; the line is left out",
        "the line has 100000 octets, at most 4096 are expected; it is left out",
    ];
    let run = "--file-prefix=lastack-failed -- loopback --workload rr";
    let mut piped = Command::new(PROGRAM)
        .args(format!("{run} -i").split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = piped.stdin.take().unwrap();
    input.write_all(&lines).unwrap();
    input.write_all(format!("load {commands}\nquit\n").as_bytes()).unwrap();
    drop(input);
    let output = piped.wait_with_output().unwrap();
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{told}");
    assert!(shown.contains("7.00 s"), "the lines after them are carried out: {shown}");
    let mut expected: Vec<String> = wrong.iter().map(|why| format!("lastack: {why}")).collect();
    // `load` ends at the first line that is wrong
    expected.push(format!("lastack: {commands} line 1: {}", wrong[0]));
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);

    let output =
        lastack(&format!("{run} --duration 300ms --stats-period 0 --cmdline-file {commands}"));
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && shown.contains("7.00 s"), "{told}");
    for (number, why) in (1..).zip(wrong) {
        assert!(told.contains(&format!("lastack: {commands} line {number}: {why}\n")), "{told}");
    }
    let output = lastack(&format!("{run} --cmdline-strict --cmdline-file {commands}"));
    let line = format!("lastack: {commands} line 1: {}\n", wrong[0]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), line));
    let output = lastack(&format!("{run} --cmdline-file /dev/zero"));
    let line = "lastack: --cmdline-file /dev/zero: cannot be read: it is larger than 16 MB\n";
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), line.to_owned()));
}

#[test]
fn at_a_terminal_a_line_that_is_no_text_is_left_out() {
    let _turn = turn();
    let mut command = Command::new(PROGRAM);
    command.args("--file-prefix=lastack-failed -- loopback --workload rr -i".split(' '));
    command.env("TERM", "xterm");
    let mut at = rexpect::session::spawn_command(command, Some(20_000)).unwrap();
    at.exp_string("lastack> ").unwrap();
    // as pasted: what follows in the line is no command
    let mut typed = at.process().get_file_handle().unwrap();
    typed.write_all(b"set \xff msl 5s\n").unwrap();
    at.exp_string("lastack: the line is not UTF-8; it is left out").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    at.send_line("set msl 7s").unwrap();
    at.send_line("show config tcp").unwrap();
    at.exp_string("7.00 s").unwrap();
    at.send_line("quit").unwrap();
    at.exp_eof().unwrap();
    let ended = at.process().wait().unwrap();
    assert!(matches!(ended, rexpect::process::WaitStatus::Exited(_, 0)), "{ended:?}");
}

/// What two processes cannot share is refused to the second, in one line.
#[test]
fn a_second_server_of_a_memif_socket_is_refused() {
    let _turn = turn();
    let folder = Folder::new("second");
    let socket = format!("lastack-second-{}", std::process::id());
    let device = format!("net_memif0,role=server,id=0,socket={socket},socket-abstract=yes,rsize=8");
    let profile = folder.profile(&device);
    let run = format!("server --profile {profile} --app echo --stats-period 0.1");
    let mut first = Command::new(PROGRAM)
        .args(run.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(first.stderr.take().unwrap()).lines();
    assert!(messages.by_ref().any(|line| line.unwrap().contains(" s server ")));
    let second = lastack(&run);
    signal("TERM", &first);
    assert!(first.wait().unwrap().success());
    let line = format!(
        "lastack: --profile test: another lastack uses the memif socket {socket} as its server: end it, or \
         name another in a profile of your own\n"
    );
    assert_eq!((second.status.code(), text(&second.stderr)), (Some(1), line));
}
