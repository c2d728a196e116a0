//! The prompt beside a run: lines from a file and from whoever sits there, read by a thread of its
//! own, which reads counters and talks to engines through their mailboxes.

use super::show;
use super::side::SideGauges;
use super::watch::wait_until;
use crate::cli::Failure;
use crate::cli::args::Common;
use crate::cli::prompt::{self, Order};
use crate::engine::Request;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

/// What is said before somebody answers.
const SIGN: &str = "lastack> ";

/// In this time an engine that runs has looked into its mailbox.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);

/// What is to be said to a run, as the options say it.
#[derive(Debug)]
pub struct Script {
    file: PathBuf,
    lines: Vec<String>,
    strict: bool,
    interactive: bool,
}

impl Script {
    /// Reads the file, if there is one; with `--cmdline-strict` a line of it that is wrong is told
    /// before anything has begun.
    pub fn of(common: &Common) -> Result<Self, Failure> {
        let file = common.cmdline_file.clone().unwrap_or_default();
        let mut script = Script {
            lines: Vec::new(),
            strict: common.cmdline_strict,
            interactive: common.interactive,
            file,
        };
        if common.cmdline_file.is_some() {
            let name = script.file.display();
            let text = std::fs::read_to_string(&script.file).map_err(|error| {
                Failure::Arguments(format!("--cmdline-file {name}: cannot be read: {error}"))
            })?;
            script.lines = text.lines().map(str::to_owned).collect();
        }
        if script.strict {
            for (number, line) in (1..).zip(&script.lines) {
                prompt::parse(line).map_err(|error| {
                    Failure::Arguments(format!("{} line {number}: {error}", script.file.display()))
                })?;
            }
        }
        Ok(script)
    }
}

/// The thread that reads lines.
pub struct Prompt {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The prompt wants the run to end.
    over: AtomicBool,
    /// The run has ended.
    ended: AtomicBool,
    failure: OnceLock<Failure>,
}

impl Prompt {
    /// Begins to read, if there is anything to be read.
    pub fn start(script: Script, sides: &[&SideGauges]) -> Self {
        let shared = Arc::<Shared>::default();
        let talk = script.interactive || !script.lines.is_empty();
        let thread = talk.then(|| {
            let now = Instant::now();
            let sides = sides.iter().map(|&side| (side.clone(), show::Last::of(side, now)));
            let mut talker = Talker { shared: shared.clone(), sides: sides.collect() };
            std::thread::spawn(move || talker.run(&script))
        });
        Prompt { shared, thread }
    }

    /// Shall the run end?
    pub fn wants_to_end(&self) -> bool {
        self.shared.over.load(Ordering::Relaxed)
    }

    /// The run has ended, and what it printed comes after all that was asked for.
    ///
    /// # Errors
    /// The line of the file that could not be carried out, with `--cmdline-strict`.
    pub fn end(mut self) -> Result<(), Failure> {
        self.shared.ended.store(true, Ordering::Relaxed);
        // one that waits for somebody to say something cannot be waited for
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            thread.join().map_err(|_| Failure::Run("the prompt panicked".to_owned()))?;
        }
        self.shared.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }
}

/// Shall the next line be read?
#[derive(PartialEq, Eq)]
enum Next {
    Line,
    Nothing,
}

struct Talker {
    shared: Arc<Shared>,
    sides: Vec<(SideGauges, show::Last)>,
}

impl Talker {
    fn run(&mut self, script: &Script) {
        for (number, line) in (1..).zip(&script.lines) {
            match self.carry_out(line) {
                Ok(Next::Line) => {}
                Ok(Next::Nothing) => return,
                Err(error) => {
                    let line = format!("{} line {number}: {error}", script.file.display());
                    if script.strict {
                        let _ = self.shared.failure.set(Failure::Run(line)); // the first and last
                        self.shared.over.store(true, Ordering::Relaxed);
                        return;
                    }
                    eprintln!("lastack: {line}");
                }
            }
        }
        if script.interactive {
            if io::stdin().is_terminal() {
                self.converse()
            } else {
                self.listen()
            }
            self.shared.over.store(true, Ordering::Relaxed);
        }
    }

    /// Lines of a terminal, with editing, completion and history.
    fn converse(&mut self) {
        let mut editor = match Editor::<Completion, MemHistory>::with_history(
            Config::builder().auto_add_history(true).completion_type(CompletionType::List).build(),
            MemHistory::new(),
        ) {
            Ok(editor) => editor,
            Err(error) => {
                eprintln!("lastack: no line editing on this terminal ({error})");
                return self.listen();
            }
        };
        editor.set_helper(Some(Completion));
        loop {
            match editor.readline(SIGN) {
                Ok(line) => {
                    if self.carry_out_and_tell(&line) == Next::Nothing {
                        return;
                    }
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return,
                Err(error) => {
                    eprintln!("lastack: the terminal cannot be read: {error}");
                    return;
                }
            }
        }
    }

    /// Lines of a pipe or a file.
    fn listen(&mut self) {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if self.carry_out_and_tell(&line) == Next::Nothing {
                return;
            }
        }
    }

    fn carry_out_and_tell(&mut self, line: &str) -> Next {
        self.carry_out(line).unwrap_or_else(|error| {
            eprintln!("lastack: {error}");
            Next::Line
        })
    }

    fn carry_out(&mut self, line: &str) -> Result<Next, String> {
        let Some(order) = prompt::parse(line)? else { return Ok(Next::Line) };
        let text = match order {
            Order::Quit => {
                self.shared.over.store(true, Ordering::Relaxed);
                return Ok(Next::Nothing);
            }
            Order::Wait(time) => {
                self.wait(time);
                String::new()
            }
            Order::Help(word) => prompt::help(word.as_deref())?,
            Order::ShowTimeWait => {
                let now = Instant::now();
                let sides = self.sides.iter_mut();
                sides.map(|(side, last)| show::time_wait(side, last, now)).collect()
            }
            Order::ShowSyn => self.sides.iter().map(|(side, _)| show::syn(side)).collect(),
            Order::ShowTcpStats => {
                self.sides.iter().map(|(side, _)| show::tcp_stats(side)).collect()
            }
            Order::ShowConfigTcp => {
                self.sides.iter().map(|(side, _)| show::config_tcp(side)).collect()
            }
            Order::Ask(request) => {
                self.ask(request)?;
                String::new()
            }
        };
        let mut out = io::stdout().lock();
        // whoever reads it may have gone, which is no reason to end a run
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        Ok(Next::Line)
    }

    /// Asks something of all engines, and waits until they have taken it, so that the next line finds
    /// it done.
    fn ask(&self, request: Request) -> Result<(), String> {
        let engines = || self.sides.iter().flat_map(|(side, _)| &side.engines);
        for engine in engines() {
            engine.mailbox.send(request).map_err(|error| error.to_string())?;
        }
        if wait_until(TAKEN_WITHIN, || engines().all(|engine| engine.mailbox.is_empty())) {
            Ok(())
        } else {
            Err("an engine does not answer; it will do it when it runs again".to_owned())
        }
    }

    fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.shared.ended.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(5)));
        }
    }
}

/// Completes commands.
struct Completion;

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((0, prompt::completions(&line[..position])))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}
