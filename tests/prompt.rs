//! The prompt as somebody at a terminal meets it, and runs that lines of a pipe or a file begin and end.

#[path = "prompt/talk.rs"]
mod talk;

use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use talk::Talk;

/// One run at a time: each of them polls on all cores.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn program(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastack"));
    command.args(["--file-prefix=lastack-test", "--"]).args(arguments.split_whitespace());
    command
}

/// Starts the program at a terminal and waits for its prompt.
fn terminal(arguments: &str) -> PtySession {
    let mut command = program(arguments);
    command.env("TERM", "xterm");
    let mut session = spawn_command(command, Some(20_000)).expect("the program starts");
    session.exp_string("lastack> ").expect("a prompt");
    session
}

/// Lets the program end, which it has been told to, and returns its exit status.
fn status(session: &mut PtySession) -> i32 {
    let _ = session.exp_eof();
    match session.process().wait() {
        Ok(WaitStatus::Exited(_, status)) => status,
        other => panic!("{other:?}"),
    }
}

/// Runs the program and says something to it.
fn told(arguments: &str, lines: &str) -> Output {
    let mut program = program(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    program.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    program.wait_with_output().unwrap()
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("lastack-{name}-{}", std::process::id()))
}

#[test]
fn a_run_is_started_stopped_by_ctrl_c_and_started_again() {
    let _turn = turn();
    let mut at = terminal("loopback --workload rr --connections 4 -i");
    at.send_line("stop").unwrap();
    at.exp_string("lastack: stop: nothing runs; start begins a run").unwrap();
    at.send_line("start").unwrap();
    at.send_line("wait 1s").unwrap();
    at.send_line("show connections limit 1").unwrap();
    at.exp_string("client: 1 connections, and there are more").unwrap();
    at.exp_string("lastack> ").unwrap();
    at.send_control('c').unwrap();
    at.exp_string("loopback rr: profile ring").unwrap();
    at.exp_string("completed ").unwrap();
    at.exp_string("lastack> ").unwrap(); // before that Ctrl-C is a signal, to the run
    at.send_control('c').unwrap();
    at.exp_string("nothing runs; quit or Ctrl-D ends the program").unwrap();
    at.send_line("start").unwrap();
    at.send_line("wait 100ms").unwrap();
    at.send_line("quit").unwrap();
    at.exp_string("loopback rr: profile ring").unwrap();
    assert_eq!(status(&mut at), 0);
}

/// Somebody types while a run ends by itself: the result comes above the line, which stays.
#[test]
fn what_is_being_typed_survives_the_end_of_a_run() {
    let _turn = turn();
    let mut at = terminal("loopback --workload rr --connections 4 -i --duration 500ms");
    at.send_line("start").unwrap();
    at.exp_string("lastack> ").unwrap();
    at.send("show conf").unwrap();
    at.flush().unwrap();
    at.exp_string("loopback rr: profile ring").unwrap();
    at.send_line("ig rxtx").unwrap();
    at.exp_string("bursts of 32 frames").unwrap();
    at.send_control('d').unwrap();
    assert_eq!(status(&mut at), 0);
}

#[test]
fn tab_completes_and_history_comes_back() {
    let _turn = turn();
    let mut at = terminal("loopback --workload rr -i");
    at.send("show conf\tc\t\n").unwrap();
    at.flush().unwrap();
    at.exp_string("engine 0").unwrap();
    at.exp_string("lastack> ").unwrap();
    at.send("\x1b[A\n").unwrap(); // the key up
    at.flush().unwrap();
    at.exp_string("engine 0").unwrap();
    at.send("set msl-\t7s\n").unwrap();
    at.send_line("show config tcp").unwrap();
    at.exp_string("7.00 s").unwrap();
    at.send_line("help latency").unwrap();
    at.exp_string("clear latency").unwrap();
    at.send_line("quit").unwrap();
    assert_eq!(status(&mut at), 0);
}

/// Each result is of its own run, whatever the engines have counted before.
#[test]
fn results_are_of_their_runs() {
    let _turn = turn();
    let json = file("runs");
    let lines = "start 400ms\nwait\nset rate 4k\nstart 400ms\nwait\nshow time-wait\nquit\n";
    let run = "loopback --workload rr --rate 1k --connections 5 -i --close client --json";
    let began = Instant::now();
    let output = told(&format!("{run} {}", json.display()), lines);
    let whole = began.elapsed().as_secs_f64();
    let last: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    std::fs::remove_file(&json).unwrap();
    let (text, messages) = (String::from_utf8_lossy(&output.stdout), output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&messages));
    let completed: Vec<u64> = text.lines().filter_map(|line| number(line, "completed")).collect();
    assert_eq!(completed.len(), 2, "{text}");
    // however long a stall has made them: what was due while they were measured, and no more than was due
    // while the program ran
    for ((run, completed), rate) in
        text.split("loopback rr:").skip(1).zip(&completed).zip([1e3, 4e3])
    {
        let measured = run.lines().next().and_then(|line| line.strip_suffix(" s measured"));
        let measured: f64 =
            measured.and_then(|line| line.rsplit(' ').next()).unwrap().parse().unwrap();
        let waited = run
            .split_once("NOT STARTED ")
            .map_or(0, |(_, rest)| rest.split(':').next().unwrap().parse().unwrap());
        let due = (completed + waited) as f64;
        assert!((rate * (measured - 0.02)..rate * whole).contains(&due), "{due} of {rate}: {run}");
    }
    let count = |path: &str| last.pointer(path).and_then(Value::as_u64).expect(path);
    assert_eq!(count("/requests/completed"), completed[1], "the file is of the last run");
    for path in ["/latency/count", "/service/count", "/server/requests/completed"] {
        assert_eq!(count(path), completed[1], "{path}");
    }
    for path in ["/connections/opened", "/connections/closed", "/client/tcp/ActiveOpens"] {
        assert_eq!(count(path), 5, "{path}");
    }
    assert_eq!(count("/client/time_wait/entered"), 5);
    assert_eq!(count("/client/time_wait/current"), 10, "those of both runs are still there");
    assert_eq!(count("/client/packets/tx"), count("/server/packets/rx"));
}

#[test]
fn every_workload_can_be_started_again() {
    let _turn = turn();
    for workload in ["connect", "crr", "rr", "http", "stream --direction both"] {
        let lines = "start 200ms\nwait\nstart 200ms\nwait\nstart\nwait 200ms\nstop\n";
        let run = format!("loopback --workload {workload} --connections 8 -i");
        let output = told(&run, lines);
        let text = String::from_utf8_lossy(&output.stdout);
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{workload}: {messages}");
        let of_clients = text.lines().filter(|line| line.starts_with("connections "));
        let counts: Vec<Vec<u64>> = of_clients
            .map(|line| line.split_whitespace().filter_map(|word| word.parse().ok()).collect())
            .collect();
        assert_eq!(counts.len(), 3, "{text}");
        for count in &counts {
            // opened, established, closed, failed, reset, peak
            let [.., opened, established, closed, failed, reset, peak] = count[..] else {
                panic!("{text}")
            };
            assert_eq!((opened, established, failed, reset), (closed, closed, 0, 0), "{text}");
            assert_eq!(peak, 8, "{text}");
        }
    }
}

/// A file may end the run that began with the program, and begin another; the first failure is told.
#[test]
fn a_file_begins_and_ends_runs_and_what_they_missed_is_told() {
    let _turn = turn();
    let commands = file("commands");
    std::fs::write(&commands, "wait 200ms\nstop\nset rate 3k\nstart 2s\nwait\n").unwrap();
    let run = "loopback --workload rr --rate 500 --connections 4 --expect duration_s>1.5 \
               --stats-period 0 --cmdline-file";
    let output = told(&format!("{run} {}", commands.display()), "");
    std::fs::remove_file(&commands).unwrap();
    let (text, messages) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{messages}");
    assert_eq!(text.matches("loopback rr:").count(), 2, "{text}");
    let told: Vec<&str> = messages.lines().filter(|line| line.contains("missed")).collect();
    let missed = "missed: duration_s>1.5";
    assert_eq!(told, [format!("lastack: {missed}"), format!("lastack: an earlier run: {missed}")]);
}

/// A run that ends by itself does not end the file; and one that is the last is told once.
#[test]
fn a_file_is_carried_out_to_its_end() {
    let _turn = turn();
    let commands = file("to-its-end");
    std::fs::write(&commands, "wait\nset rate 2k\nstart 3s\nwait 2s\nstop\n").unwrap();
    let run = "loopback --workload rr --rate 500 --connections 4 --duration 300ms --stats-period 0 \
               --expect duration_s<1.5 --cmdline-strict --cmdline-file";
    let output = told(&format!("{run} {}", commands.display()), "");
    std::fs::remove_file(&commands).unwrap();
    let (text, messages) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{messages}");
    assert_eq!(text.matches("loopback rr:").count(), 2, "{text}");
    assert_eq!(messages.matches("missed: ").count(), 1, "{messages}");
}

/// Files are written though nobody reads the table any more.
#[test]
fn a_closed_output_takes_no_file_with_it() {
    let _turn = turn();
    let (json, csv) = (file("closed.json"), file("closed.csv"));
    let run = format!(
        "loopback --workload rr --connections 4 --duration 300ms --stats-period 0 --json {} --csv {}",
        json.display(),
        csv.display()
    );
    let mut running = program(&run).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(running.stdout.take());
    assert_eq!(running.wait().unwrap().code(), Some(1), "the table could not be shown");
    for path in [json, csv] {
        assert!(std::fs::metadata(&path).unwrap().len() > 100, "{}", path.display());
        std::fs::remove_file(path).unwrap();
    }
}

/// Lines that are told while others are typed hold nobody up: frames by the thousand, and lines of the
/// run.
#[test]
fn many_lines_beside_the_prompt_hold_nobody_up() {
    let _turn = turn();
    let mut at = terminal("loopback --workload rr --connections 4 -i --stats-period 0.02");
    for _ in 0..3 {
        for line in ["set verbose 3", "start", "wait 100ms", "set verbose 0", "stop"] {
            at.send_line(line).unwrap();
        }
        at.exp_string("loopback rr: profile ring").unwrap();
    }
    at.send_line("quit").unwrap();
    assert_eq!(status(&mut at), 0);
}

/// Whoever is at the terminal finds it as it was, also when the program is ended from elsewhere.
#[test]
fn a_terminal_is_left_as_it_was() {
    let _turn = turn();
    let mut shell = Command::new("bash");
    let modes = "stty -a | grep -oE -- ' -?(icanon|echo)\\b'";
    let script = format!("echo shell $$ has; \"$0\" \"$@\"; {modes}; echo that was it");
    shell.env("TERM", "xterm").args(["-c", &script, env!("CARGO_BIN_EXE_lastack")]);
    shell.args(
        "--file-prefix=lastack-test -- loopback --workload rr --connections 4 -i -a".split(' '),
    );
    let mut at = spawn_command(shell, Some(20_000)).unwrap();
    at.exp_string("shell ").unwrap();
    let parent = at.exp_string(" has").unwrap();
    at.exp_string("lastack> ").unwrap();
    let found = Command::new("pgrep").args(["-P", &parent, "lastack"]).output().unwrap();
    let pid = String::from_utf8(found.stdout).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap().success());
    at.exp_string("loopback rr: profile ring").unwrap();
    let rest = at.exp_string("that was it").unwrap();
    assert!(rest.contains("icanon") && !rest.contains("-icanon"), "{rest}");
    assert!(!rest.contains("-echo "), "{rest}");
}

#[test]
fn an_interrupt_ends_a_session_that_nobody_types_in() {
    let _turn = turn();
    let mut command = program("loopback --workload rr --connections 4 -i -a --stats-period 0.1");
    let mut running = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(running.stderr.take().unwrap()).lines();
    let begun = messages.by_ref().any(|line| line.unwrap().contains(" s client "));
    assert!(begun, "a line of the run, which signals are caught in");
    let rest = std::thread::spawn(move || messages.count());
    let killed = Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let input = running.stdin.take(); // open to the end
    let output = running.wait_with_output().unwrap();
    drop(input);
    rest.join().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("loopback rr: profile ring"));
}

#[test]
fn a_start_is_longer_than_the_warm_up() {
    let _turn = turn();
    let output = told("loopback --workload rr --warmup 1s -i", "start 1s\nquit\n");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.is_empty(), "{messages}");
    assert!(messages.contains("lastack: start 1s: a time longer than --warmup 1s is expected"));
}

/// On a terminal a bar shows how far the run is; where messages are piped there is none.
#[test]
fn a_bar_is_for_terminals() {
    let _turn = turn();
    let mut command = program("loopback --workload rr --duration 1500ms --stats-period 500ms");
    command.env("TERM", "xterm");
    let mut at = spawn_command(command, Some(20_000)).unwrap();
    at.exp_string("of 2 s").expect("the bar tells the time");
    at.exp_string("req/s  p50").expect("and what is done");
    at.exp_string("loopback rr: profile ring").unwrap();
    assert_eq!(status(&mut at), 0);
    let piped = told("loopback --workload rr --duration 500ms --stats-period 200ms", "");
    let messages = String::from_utf8_lossy(&piped.stderr);
    assert!(!messages.contains('\r') && !messages.contains('\x1b'), "{messages}");
}

/// A line for each frame, while it is wanted; and what DPDK says.
#[test]
fn frames_are_shown_while_they_are_wanted() {
    let _turn = turn();
    let lines = "set verbose 3\nset log debug\nset log error\nstart 300ms\nwait\nset verbose 0\n\
                 start 300ms\nwait\nquit\n";
    let run = "loopback --workload crr --rate 20 --connections 1 -i";
    let output = told(run, lines);
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    for (side, way, frame) in [
        ("client", "tx", "198.18.0.2.9000: Flags [S], "),
        ("server", "rx", "198.18.0.2.9000: Flags [S], "),
        ("server", "tx", "198.18.0.2.9000 > "),
        ("client", "rx", "Flags [S.], "),
        ("client", "tx", "ARP who-has 198.18.0.2"),
    ] {
        let shown = |line: &&str| line.contains(&format!(" {side} {way} ")) && line.contains(frame);
        assert!(messages.lines().any(|line| shown(&line)), "{side} {way} {frame} in {messages}");
    }
    let syns = messages.matches("198.18.0.2.9000: Flags [S], ").count();
    let text = String::from_utf8_lossy(&output.stdout);
    let opened: Vec<u64> = text.lines().filter_map(|line| number(line, "opened")).collect();
    let [first, second] = opened[..] else { panic!("{text}") };
    // at both ends, of the first run alone; after a stall a SYN may have been sent again
    assert!((2 * first..2 * (first + second)).contains(&(syns as u64)), "{syns} of {opened:?}");
}

/// The last line that begins with `name` of all that was shown of `side`.
#[track_caller]
fn shown(text: &str, side: &str, name: &str) -> String {
    let (mut of_side, mut found) = (false, None);
    for line in text.lines() {
        match line.strip_prefix("  ") {
            Some(row) if of_side && row.starts_with(name) => found = Some(row),
            Some(_) => {}
            None => of_side = line == side,
        }
    }
    found.unwrap_or_else(|| panic!("no {name} of the {side} in {text}")).to_owned()
}

#[test]
fn the_prompt_shows_and_sets_while_the_run_goes_on() {
    let lines = "show config tcp\nwait 300ms\nset msl 100ms\nset time-wait strict\nset msl never\n\
                 wait 2s\nshow time-wait\nshow tcp stats\nshow config tcp\nquit\nshow time-wait\n";
    let output = told("loopback --workload crr -i -a --max-time-wait 1M", lines);
    let text = String::from_utf8(output.stdout).unwrap();
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{messages}");
    assert!(messages.contains("lastack: set msl never: a time with its unit is expected"));
    let (prompt, result) = text.split_once("loopback crr:").expect("the result comes at the end");
    let (before, after) = prompt.split_once("  entries ").unwrap();
    assert_eq!(shown(before, "server", "msl "), format!("{:<18} 30.00 s", "msl"));
    assert_eq!(shown(after, "server", "msl "), format!("{:<18} 100.00 ms", "msl"));
    assert_eq!(shown(after, "client", "time-wait"), format!("{:<18} strict", "time-wait"));
    let expired = shown(after, "server", "TW ");
    assert!(expired.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() > 0, "{expired}");
    assert_eq!(prompt.matches("  entries ").count(), 2, "nothing is read after quit");
    assert!(result.contains("expired"));
}

/// The number that follows `name` in a list of counters.
fn number(text: &str, name: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}

#[test]
fn the_prompt_lists_connections_and_sets_the_rate() {
    let _turn = turn();
    let file = std::env::temp_dir().join(format!("lastack-load-{}", std::process::id()));
    std::fs::write(&file, "show neighbours\nshow nothing\nshow routes\n").unwrap();
    let run =
        "loopback --workload rr --rate 100 --connections 5 --rto-min 5s -ia --stats-period 0.2";
    let mut at = Talk::begin(program(run));
    // the rate of an interval: after a stall it is that of what waited, and then of the schedule again
    let rate = |answer: &str| -> Option<f64> {
        let last = answer.lines().find(|line| line.starts_with("last "))?;
        last.split("  ").last()?.trim_end_matches(" requests/s").parse().ok()
    };
    let is_rate = |answer: &str, about: f64| {
        rate(answer).is_some_and(|rate| (about * 0.6..about * 1.6).contains(&rate))
    };
    at.ask_until("show latency", |answer| is_rate(answer, 100.0));
    let ports = at.ask("show port summary all");
    assert!(
        ports.contains("(client)  02:00:00:00:00:00  driver net_ring  link up  MTU 1500"),
        "{ports}"
    );
    let segments = |answer: &str| number(answer, "tcp");
    let shown = at
        .ask_until("show port stats 1", |answer| segments(answer).is_some_and(|count| count > 100));
    assert!(number(&shown, "RX-packets").unwrap() > 100, "{shown}");
    assert!(number(&shown, "RX-bytes").unwrap() > 5_000, "net_ring counts none: {shown}");
    assert!(shown.contains("  handled "), "{shown}");
    at.ask("clear port stats 1");
    at.ask("show port stats 9");

    let list = "2 connections, and there are more";
    let listed = at.ask_until("show connections limit 2", |answer| {
        answer.contains(&format!("client: {list}"))
            && answer.contains(&format!("server: {list}"))
            && answer.lines().filter(|line| line.starts_with("  established ")).count() == 4
    });
    assert!(listed.contains("198.18.0.2:9000\n      ts sack wscale:"), "{listed}");
    let closing = at.ask("show connections state fin-wait-1");
    assert!(closing.contains("client: 0 connections\n"), "none closes yet: {closing}");
    let loaded = at.ask(&format!("load {}", file.display()));
    assert!(
        loaded.contains("reachable\n") && !loaded.contains("on the link"),
        "up to the wrong line"
    );

    at.ask("set rate 600");
    at.ask_until("show latency", |answer| is_rate(answer, 600.0));
    let sent = |answer: &str| number(answer, "OutSegs").unwrap_or(0);
    at.ask("stop"); // so that nothing is counted any more
    let before = at.ask("show tcp stats");
    assert!(sent(&before) > 200, "{before}");
    at.ask("clear tcp stats");
    let after = at.ask("show tcp stats");
    assert!(
        after.starts_with("client\n") && sent(&after) < 100,
        "since they were cleared: {after}"
    );

    let (_, messages) = at.quit();
    std::fs::remove_file(&file).unwrap();
    assert!(messages.contains("no port 9: 0, 1 or all is expected"), "{messages}");
    let named = format!("{} line 2: show nothing: ", file.display());
    assert!(messages.contains(&named), "{messages}");
    let closed = told("loopback --workload rr --connections 5 -ia", "set rate 5\nquit\n");
    let messages = String::from_utf8(closed.stderr).unwrap();
    assert!(messages.contains("set rate: a closed loop has no rate; start it with --rate"));
}

#[test]
fn a_file_of_commands_is_carried_out_first_and_can_be_strict() {
    let file = std::env::temp_dir().join(format!("lastack-commands-{}", std::process::id()));
    std::fs::write(&file, "# habits\nset msl 1s\nshow confg tcp\nshow config tcp\n").unwrap();
    let name = file.display();
    let run = format!("loopback --workload crr --duration 500ms --cmdline-file {name}");
    let output = told(&run, "");
    let strict = told(&format!("{run} --cmdline-strict"), "");
    std::fs::remove_file(&file).unwrap();
    let gone = told(&run, "");
    let wrong = "show confg tcp: show latency, show connections, show time-wait, show syn, show tcp stats, \
                 show neighbours, show routes, show port, show config cores, show config rxtx or show config \
                 tcp is expected";
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && messages.contains(&format!("{name} line 3: {wrong}")));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown(&text, "server", "msl "), format!("{:<18} 1.00 s", "msl"));
    let messages = String::from_utf8(strict.stderr).unwrap();
    assert_eq!(messages.trim_end(), format!("lastack: {name} line 3: {wrong}"));
    assert_eq!((strict.status.code(), strict.stdout.len()), (Some(2), 0), "nothing has begun");
    let gone = (gone.status.code(), String::from_utf8(gone.stderr).unwrap());
    let why = "cannot be read: No such file or directory (os error 2)";
    assert_eq!(gone, (Some(2), format!("lastack: --cmdline-file {name}: {why}\n")));
}
