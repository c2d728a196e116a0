//! Where a run tells people what happens: to a terminal on which somebody may be typing, to one with a
//! bar that shows how far it is, or to wherever the streams lead.
//!
//! What is told while somebody types goes through a queue to a thread that prints it above the line. That
//! may wait for the line to be drawn again, and whoever tells something must not wait for that.

use crate::cli::Failure;
use crate::cli::files;
use core::time::Duration;
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use rustyline::ExternalPrinter;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How long what is queued may take to be printed above the line, when the program ends.
const LAST_LINES: Duration = Duration::from_millis(300);

/// Shared by all who tell something.
#[derive(Clone, Default)]
pub struct Screen(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inside: Mutex<Inside>,
    /// Something was queued or printed.
    changed: Condvar,
}

#[derive(Default)]
struct Inside {
    /// Somebody types, so what is told waits here to be printed above the line. The first stays until it
    /// is printed.
    queue: Option<VecDeque<String>>,
    /// How the terminal was before anybody typed.
    before: Option<Termios>,
    /// How far the run is.
    bar: Option<ProgressBar>,
}

impl Screen {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody types on the terminal, and this prints above the line.
    pub fn type_below(&self, mut printer: impl ExternalPrinter + Send + 'static) {
        let mut inside = self.inside();
        inside.queue = Some(VecDeque::new());
        inside.before = tcgetattr(io::stdin()).ok();
        drop(inside);
        let shared = self.0.clone();
        std::thread::spawn(move || {
            while let Some(text) = shared.next() {
                let printed = printer.print(text.clone()).is_ok();
                shared.printed(&text, printed);
            }
        });
    }

    /// Nobody types any more: what waits is printed, and the terminal is as it was.
    pub fn type_no_more(&self) {
        let inside = self.inside();
        let waits =
            |inside: &mut Inside| inside.queue.as_ref().is_some_and(|queue| !queue.is_empty());
        let waited = self.0.changed.wait_timeout_while(inside, LAST_LINES, waits);
        let (mut inside, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let queue = inside.queue.take();
        if let Some(before) = inside.before.take() {
            // what was printed last is drawn before the line is left
            std::thread::sleep(Duration::from_millis(20));
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &before);
            let _ = io::stdout().write_all(b"\x1b[?2004l\r\n"); // no bracketed paste any more
        }
        queue.into_iter().flatten().for_each(|text| write(&mut io::stdout(), &text));
        drop(inside);
        self.0.changed.notify_all();
    }

    /// Queues a text to be printed above the line; false if nobody types.
    fn queued(&self, text: &str) -> bool {
        let mut inside = self.inside();
        let Some(queue) = &mut inside.queue else { return false };
        queue.push_back(text.to_owned());
        self.0.changed.notify_all();
        true
    }

    /// A message: to the standard error.
    pub fn say(&self, line: &str) {
        let line = format!("{line}\n");
        if !self.queued(&line) {
            self.beside_the_bar(|| write(&mut io::stderr(), &line));
        }
    }

    /// A result: to the standard output.
    pub fn show(&self, text: &str) -> Result<(), Failure> {
        if self.queued(text) {
            return Ok(());
        }
        let mut shown = Ok(());
        self.beside_the_bar(|| shown = files::show(text.as_bytes()));
        shown
    }

    /// The answer to a command, whose line is finished.
    pub fn answer(&self, text: &str) {
        self.beside_the_bar(|| write(&mut io::stdout(), text));
    }

    fn beside_the_bar(&self, print: impl FnOnce()) {
        let bar = self.inside().bar.clone();
        match bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// A run of this length begins, of which a bar is shown if the messages go to a terminal.
    pub fn begin(&self, length: Option<Duration>) {
        let style = match length {
            Some(_) => "{spinner} [{bar:40}] {msg}",
            None => "{spinner} {msg}",
        };
        // a terminal only: everywhere else indicatif draws nothing
        let bar = ProgressBar::new(length.map_or(0, |length| length.as_millis() as u64));
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        self.inside().bar = Some(bar);
    }

    /// The run is `at` this time from its beginning.
    pub fn progress(&self, at: Duration, length: Option<Duration>, now: &str) {
        let Some(bar) = self.inside().bar.clone() else { return };
        if bar.is_hidden() {
            return;
        }
        let of = length.map_or_else(String::new, |all| format!(" of {:.0} s", all.as_secs_f64()));
        bar.set_message(format!("{:.1} s{of}{now}", at.as_secs_f64()));
        bar.set_position(at.as_millis() as u64);
    }

    /// The run has ended, and the bar goes.
    pub fn end(&self) {
        if let Some(bar) = self.inside().bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Shared {
    /// The first text of the queue, once there is one; `None` when nobody types any more.
    fn next(&self) -> Option<String> {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = |inside: &mut Inside| inside.queue.as_ref().is_some_and(VecDeque::is_empty);
        let waited = self.changed.wait_while(inside, empty);
        let inside = waited.unwrap_or_else(PoisonError::into_inner);
        inside.queue.as_ref()?.front().cloned()
    }

    /// The first text has been printed above the line, or could not be.
    fn printed(&self, text: &str, is: bool) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        // if nobody types any more whoever ended that has written it
        if inside.queue.as_mut().and_then(VecDeque::pop_front).is_some() && !is {
            write(&mut io::stdout(), text);
        }
        self.changed.notify_all();
    }
}

/// Writes to a stream whose reader may have gone, which is no reason to end a run.
fn write(to: &mut impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
