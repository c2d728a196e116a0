//! Tests that need a process of their own: the test binary runs itself again with one test chosen,
//! and the test sees from the environment which side it is.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Set in a child, to the part that it plays.
const PART: &str = "LASTACK_TEST_PART";
/// A child that takes longer is ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// The part that this process plays; `None` in the test run itself.
pub fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// The command that runs `test` as `part`, behind `prefix` (a program that changes the surroundings).
pub fn command(prefix: &[&str], test: &str, part: &str) -> Command {
    let this = std::env::current_exe().expect("the test binary");
    let mut command = match prefix {
        [] => Command::new(this),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(this);
            command
        }
    };
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(PART, part);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for a child, at most [`PATIENCE`], and returns what it wrote.
pub fn finish(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("a child")
}

/// Runs `test` as `part` to its end, which must be a good one. Returns what it wrote.
pub fn run(prefix: &[&str], test: &str, part: &str) -> String {
    let output = finish(command(prefix, test, part).spawn().expect("the test binary runs"));
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let text = text.concat();
    assert!(output.status.success(), "{test} as {part}: {}\n{text}", output.status);
    text
}

/// May this process make network namespaces? Prints why not.
pub fn is_root() -> bool {
    let uid = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let root = uid.lines().any(|line| line.starts_with("Uid:\t0\t"));
    if !root {
        eprintln!("skipped: network namespaces and TAP ports need root");
    }
    root
}
