//! Where a run tells people what happens: to a terminal on which somebody may be typing, to one with a
//! bar that shows how far it is, or to wherever the streams lead.

use crate::cli::Failure;
use crate::cli::files;
use core::time::Duration;
use indicatif::{ProgressBar, ProgressStyle};
use rustyline::ExternalPrinter;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by all who tell something.
#[derive(Clone, Default)]
pub struct Screen(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    /// Prints above the line that is being typed.
    printer: Option<Box<dyn ExternalPrinter + Send>>,
    /// How far the run is.
    bar: Option<ProgressBar>,
}

impl Screen {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody types on the terminal, and this prints above it.
    pub fn type_below(&self, printer: Box<dyn ExternalPrinter + Send>) {
        if io::stdout().is_terminal() && io::stderr().is_terminal() {
            self.inside().printer = Some(printer);
        }
    }

    /// A message: to the standard error.
    pub fn say(&self, line: &str) {
        let Inside { printer, bar } = &mut *self.inside();
        if let Some(printer) = printer
            && printer.print(format!("{line}\n")).is_ok()
        {
            return;
        }
        match bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// A result: to the standard output.
    pub fn show(&self, text: &str) -> Result<(), Failure> {
        if let Some(printer) = &mut self.inside().printer
            && printer.print(text.to_owned()).is_ok()
        {
            return Ok(());
        }
        files::show(text.as_bytes())
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
