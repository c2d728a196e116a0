//! The prompt beside runs: lines from a file and from whoever sits there, read by a thread of its own,
//! which asks the session for runs, reads counters, and talks to engines through their mailboxes.

use super::desk::Desk;
use super::listing;
use super::ports;
use super::readings::Board;
use super::screen::Screen;
use super::show;
use super::side::SideGauges;
use super::verbose::Verbose;
use super::watch::wait_until;
use crate::app::workload::Control;
use crate::cli::Failure;
use crate::cli::args::Common;
use crate::cli::lines::{self, Line, Lines};
use crate::cli::prompt::{self, Order};
use crate::engine::{Question, Request};
use crate::port::dpdk::set_log_level;
use core::time::Duration;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// What is said before somebody answers.
const SIGN: &str = "lastack> ";

/// What is typed by hand takes longer than what is pasted: more than this from one line to the next.
const PASTED: Duration = Duration::from_millis(100);

/// In this time an engine that runs has looked into its mailbox.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);

/// What is to be said to a run, as the options say it.
#[derive(Debug)]
pub struct Script {
    file: PathBuf,
    lines: Vec<Line>,
    strict: bool,
    interactive: bool,
    /// A run is longer than this.
    warmup: Duration,
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
            warmup: common.warmup,
            file,
        };
        if common.cmdline_file.is_some() {
            let name = script.file.display();
            script.lines = lines::of_file(&script.file).map_err(|error| {
                Failure::Arguments(format!("--cmdline-file {name}: cannot be read: {error}"))
            })?;
        }
        if script.strict {
            for (number, line) in (1..).zip(&script.lines) {
                let parsed = line.as_deref().map_err(Clone::clone).and_then(prompt::parse);
                parsed.map_err(|error| {
                    Failure::Arguments(format!("{} line {number}: {error}", script.file.display()))
                })?;
            }
        }
        Ok(script)
    }
}

/// The thread that reads lines.
pub struct Prompt {
    desk: Arc<Desk>,
    /// Until it begins to read.
    waiting: Option<(Script, Talker)>,
    thread: Option<JoinHandle<()>>,
    typed: bool,
}

impl Prompt {
    /// A prompt that will read what there is to be read, of these engines.
    pub fn new(
        script: Script,
        desk: Arc<Desk>,
        screen: Screen,
        sides: &[SideGauges],
        clients: Option<Steered>,
    ) -> Self {
        let talks = script.interactive || !script.lines.is_empty();
        let typed = script.interactive && is_typed();
        let waiting = talks.then(|| {
            let now = Instant::now();
            let sides = sides.iter().map(|side| (side.clone(), show::Last::of(side, now)));
            let talker = Talker {
                desk: desk.clone(),
                screen,
                sides: sides.collect(),
                clients,
                cleared: Vec::new(),
                cleared_ports: ports::Cleared::new(),
                warmup: script.warmup,
                verbose: None,
            };
            (script, talker)
        });
        Prompt { desk, waiting, thread: None, typed }
    }

    /// Begins to read, if it has not yet.
    pub fn open(&mut self) {
        if let Some((script, mut talker)) = self.waiting.take() {
            self.thread = Some(std::thread::spawn(move || talker.run(&script)));
        }
    }

    /// Are there lines to come?
    pub fn is_open(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Does somebody type?
    pub fn is_typed(&self) -> bool {
        self.typed
    }

    /// The session has ended.
    ///
    /// # Errors
    /// The line of the file that could not be carried out, with `--cmdline-strict`.
    pub fn end(mut self) -> Result<(), Failure> {
        let told = self.desk.ends();
        // one that waits for somebody to say something cannot be waited for
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            thread.join().map_err(|_| Failure::Run("the prompt panicked".to_owned()))?;
        }
        told
    }
}

/// The clients of a run, as far as the prompt steers them.
pub struct Steered {
    /// Their switches.
    pub controls: Vec<Arc<Control>>,
    /// Do they follow a schedule?
    pub open_loop: bool,
    /// How late their requests were.
    pub board: Arc<Mutex<Board>>,
}

/// Shall the next line be read?
#[derive(PartialEq, Eq)]
enum Next {
    Line,
    Nothing,
}

struct Talker {
    desk: Arc<Desk>,
    screen: Screen,
    sides: Vec<(SideGauges, show::Last)>,
    clients: Option<Steered>,
    /// What TCP had counted when that was cleared, for each side.
    cleared: Vec<BTreeMap<String, u64>>,
    cleared_ports: ports::Cleared,
    warmup: Duration,
    verbose: Option<Verbose>,
}

/// How deep files of commands may load others.
const DEEPEST: usize = 8;

impl Talker {
    fn run(&mut self, script: &Script) {
        for (number, line) in (1..).zip(&script.lines) {
            let done = line.as_deref().map_err(Clone::clone);
            match done.and_then(|line| self.carry_out(line, 0)) {
                Ok(Next::Line) => {}
                Ok(Next::Nothing) => return,
                Err(error) => {
                    let line = format!("{} line {number}: {error}", script.file.display());
                    if script.strict {
                        return self.desk.fail(Failure::Run(line));
                    }
                    self.screen.say(&format!("lastack: {line}"));
                }
            }
        }
        if script.interactive {
            if is_typed() {
                self.converse()
            } else {
                self.listen()
            }
            self.desk.quit();
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
                let line = format!("lastack: no line editing on this terminal ({error})");
                self.screen.say(&line);
                return self.listen();
            }
        };
        editor.set_helper(Some(Completion));
        if let Ok(printer) = editor.create_external_printer() {
            self.screen.type_below(printer);
        }
        let mut broken: Option<Instant> = None;
        loop {
            match editor.readline(SIGN) {
                // the rest of a line that was none, pasted or sent by a program
                Ok(_) if broken.take().is_some_and(|since| since.elapsed() < PASTED) => {}
                Ok(line) => {
                    let next = lines::check(&line).map(|()| self.carry_out_and_tell(&line));
                    match next {
                        Ok(Next::Line) => {}
                        Ok(Next::Nothing) => return,
                        Err(error) => self.screen.say(&format!("lastack: {error}")),
                    }
                }
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                    // one line for all that is wrong with one
                    if broken.replace(Instant::now()).is_none_or(|last| last.elapsed() >= PASTED) {
                        self.screen.say("lastack: the line is not UTF-8; it is left out");
                    }
                }
                Err(ReadlineError::Interrupted) => {
                    let stopped = if self.desk.runs() {
                        self.desk.stop()
                    } else {
                        Err("nothing runs; quit or Ctrl-D ends the program".to_owned())
                    };
                    if let Err(error) = stopped {
                        self.screen.say(&format!("lastack: {error}"));
                    }
                }
                Err(ReadlineError::Eof) => return,
                Err(error) => {
                    self.screen.say(&format!("lastack: the terminal cannot be read: {error}"));
                    return;
                }
            }
        }
    }

    /// Lines of a pipe or a file.
    fn listen(&mut self) {
        for line in Lines::of(io::stdin().lock()) {
            match line {
                Ok(Ok(line)) if self.carry_out_and_tell(&line) == Next::Nothing => return,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => self.screen.say(&format!("lastack: {error}")),
                Err(error) => {
                    let line = format!("lastack: the standard input cannot be read: {error}");
                    return self.screen.say(&line);
                }
            }
        }
    }

    fn carry_out_and_tell(&mut self, line: &str) -> Next {
        self.carry_out(line, 0).unwrap_or_else(|error| {
            self.screen.say(&format!("lastack: {error}"));
            Next::Line
        })
    }

    fn carry_out(&mut self, line: &str, depth: usize) -> Result<Next, String> {
        let Some(order) = prompt::parse(line)? else { return Ok(Next::Line) };
        let text = match order {
            Order::Quit => {
                self.desk.quit();
                return Ok(Next::Nothing);
            }
            Order::Start(Some(length)) if length <= self.warmup => {
                let warmup = self.warmup;
                return Err(format!(
                    "start {length:?}: a time longer than --warmup {warmup:?} is expected"
                ));
            }
            Order::Start(length) => {
                self.desk.start(length)?;
                String::new()
            }
            Order::Stop => {
                self.desk.stop()?;
                String::new()
            }
            Order::Wait(time) => {
                self.desk.wait(time)?;
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
                let cleared = self.cleared.iter().map(Some).chain(core::iter::repeat(None));
                let sides = self.sides.iter().zip(cleared);
                sides.map(|((side, _), cleared)| show::tcp_stats(side, cleared)).collect()
            }
            Order::ClearTcpStats => {
                self.cleared = self.sides.iter().map(|(side, _)| side.tcp()).collect();
                String::new()
            }
            Order::ShowLatency => show::latency(&*self.board("show latency")?),
            Order::ClearLatency => {
                self.board("clear latency")?.clear();
                String::new()
            }
            Order::SetBurst(frames) => {
                self.set_burst(frames)?;
                String::new()
            }
            Order::SetRate(rate) => {
                self.set_rate(rate)?;
                String::new()
            }
            Order::Show(question) => self.question(question)?,
            Order::ShowPort(part, of) => {
                let sides = self.sides.iter().map(|(side, _)| side);
                ports::show(sides, part, of, &self.cleared_ports)?
            }
            Order::ClearPort(of) => {
                let sides = self.sides.iter().map(|(side, _)| side);
                ports::clear(sides, of, &mut self.cleared_ports)?;
                String::new()
            }
            Order::Load(file) => return self.load(&file, depth),
            Order::SetVerbose(level) => {
                self.verbose().set(level)?;
                String::new()
            }
            Order::SetLog(level) => {
                set_log_level(level);
                String::new()
            }
            Order::ShowConfigCores => {
                self.sides.iter().map(|(side, _)| show::config_cores(side)).collect()
            }
            Order::ShowConfigRxtx => {
                self.sides.iter().map(|(side, _)| ports::config_rxtx(side)).collect()
            }
            Order::ShowConfigTcp => {
                self.sides.iter().map(|(side, _)| show::config_tcp(side)).collect()
            }
            Order::Ask(request) => {
                self.ask(request)?;
                String::new()
            }
        };
        self.screen.answer(&text);
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

    /// Asks all engines to tell something.
    fn question(&self, question: Question) -> Result<String, String> {
        let mut text = String::new();
        for (side, _) in &self.sides {
            for engine in &side.engines {
                while engine.mailbox.answer().is_some() {} // of a question that was given up
                let sent = engine.mailbox.send(Request::Tell(question));
                sent.map_err(|error| error.to_string())?;
                let mut told = None;
                wait_until(TAKEN_WITHIN, || {
                    told = engine.mailbox.answer();
                    told.is_some()
                });
                let told = told.ok_or("an engine does not answer")?;
                text += &listing::show(side.name, &told);
            }
        }
        Ok(text)
    }

    /// How late requests were.
    fn board(&self, asked: &str) -> Result<MutexGuard<'_, Board>, String> {
        let clients = self.clients.as_ref();
        let clients =
            clients.ok_or_else(|| format!("{asked}: a server records none, its client does"))?;
        Ok(clients.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What shows frames; made when it is first wanted.
    fn verbose(&mut self) -> &mut Verbose {
        let (sides, screen) = (&self.sides, &self.screen);
        self.verbose.get_or_insert_with(|| {
            let devices = sides.iter().map(|(side, _)| (side.name, side.device.clone()));
            let clock = sides[0].0.engines[0].clock;
            let screen = screen.clone();
            Verbose::new(devices, clock, Box::new(move |line| screen.say(line)))
        })
    }

    fn set_burst(&self, frames: u16) -> Result<(), String> {
        // all are asked, whatever one of them says
        let switches = || self.sides.iter().flat_map(|(side, _)| &side.switches);
        let taken = || switches().fold(true, |all, switch| all & switch.has_burst(frames));
        match wait_until(TAKEN_WITHIN, taken) {
            true => Ok(()),
            false => Err("an engine does not answer".to_owned()),
        }
    }

    fn set_rate(&self, rate: f64) -> Result<(), String> {
        match &self.clients {
            Some(clients) if clients.open_loop => {
                let each = rate / clients.controls.len() as f64;
                clients.controls.iter().for_each(|control| control.set_rate(each));
                Ok(())
            }
            Some(_) => Err("set rate: a closed loop has no rate; start it with --rate".to_owned()),
            None => Err("set rate: a server begins nothing; say it to the client".to_owned()),
        }
    }

    /// Carries out the commands of a file, up to the first that is wrong.
    fn load(&mut self, file: &str, depth: usize) -> Result<Next, String> {
        if depth == DEEPEST {
            return Err(format!("load {file}: files load one another {DEEPEST} deep"));
        }
        let lines = lines::of_file(Path::new(file))
            .map_err(|error| format!("load {file}: cannot be read: {error}"))?;
        for (number, line) in (1..).zip(lines) {
            let next = line.and_then(|line| self.carry_out(&line, depth + 1));
            match next.map_err(|error| format!("{file} line {number}: {error}"))? {
                Next::Line => {}
                Next::Nothing => return Ok(Next::Nothing),
            }
        }
        Ok(Next::Line)
    }
}

/// Does somebody sit at a terminal, and see what is said?
fn is_typed() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
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
