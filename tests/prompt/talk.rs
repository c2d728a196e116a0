//! A session by pipes, one answer after the other.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Somebody who waits for each answer before the next command.
pub struct Talk {
    program: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Talk {
    /// Starts the program with pipes for its streams.
    pub fn begin(mut program: Command) -> Self {
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = program.spawn().expect("the program starts");
        let commands = program.stdin.take().unwrap();
        let answers = BufReader::new(program.stdout.take().unwrap()).lines();
        Talk { program, commands, answers }
    }

    /// The answer to a command. What `help` says after it shows where it ends.
    pub fn ask(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}\nhelp wait").unwrap();
        let mut answer = String::new();
        for line in &mut self.answers {
            let line = line.expect("text");
            if line.starts_with("  wait [TIME]") {
                return answer;
            }
            answer = answer + &line + "\n";
        }
        panic!("{command}: the program has ended after {answer}");
    }

    /// Asks until the answer is as wanted, for at most 30 s: whatever stalls the machine is waited for.
    #[track_caller]
    pub fn ask_until(&mut self, command: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let answer = self.ask(command);
            if wanted(&answer) {
                return answer;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{command}: {answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the program: what it still shows, and its messages.
    pub fn quit(mut self) -> (String, String) {
        writeln!(self.commands, "quit").unwrap();
        let rest = self.answers.map(|line| line.unwrap() + "\n").collect();
        let output = self.program.wait_with_output().unwrap();
        let messages = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{messages}");
        (rest, messages)
    }
}
