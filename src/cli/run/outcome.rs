//! What is left of a run: files, a table, and whether it succeeded.

use super::screen::Screen;
use crate::cli::Failure;
use crate::cli::args::Common;
use crate::cli::expect::Criterion;
use crate::cli::files::{self, save};
use crate::cli::load_args::LoadArgs;
use crate::measure::report::{NoReport, RunError, SCHEMA};
use crate::measure::{Report, table};
use core::sync::atomic::{AtomicBool, Ordering};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Has this process written a result?
static PUBLISHED: AtomicBool = AtomicBool::new(false);

/// Passes on what came of a command. If it failed and wrote no result, that is written where `--json` says.
/// What is wrong with arguments is no run, and leaves files as they are.
pub fn or_error(command: &str, common: &Common, ended: Result<(), Failure>) -> Result<(), Failure> {
    let (Err(Failure::Run(_)), Some(path)) = (&ended, common.json.as_deref()) else { return ended };
    if PUBLISHED.load(Ordering::Relaxed) {
        return ended;
    }
    let failure = ended.as_ref().err().map(Failure::to_string).unwrap_or_default();
    let report = NoReport {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: command.to_owned(),
        error: RunError::new("setup", failure),
    };
    let text = serde_json::to_string_pretty(&report).map_err(Failure::run)? + "\n";
    // the failure of the run says more than that of this
    let _ = match path == Path::new("-") {
        true => files::show(text.as_bytes()),
        false => save("--json", path, |out| out.write_all(text.as_bytes())),
    };
    ended
}

/// Writes the report where it was asked for, and a table for people.
pub fn publish(report: &Report, json: Option<&Path>, screen: &Screen) -> Result<(), Failure> {
    PUBLISHED.store(true, Ordering::Relaxed);
    let text = serde_json::to_string_pretty(report).map_err(Failure::run)?;
    let to_stdout = json.is_some_and(|path| path == Path::new("-"));
    let table = table::table(report);
    let text = text + "\n";
    if to_stdout {
        screen.say(table.trim_end());
        return screen.show(&text);
    }
    // the file first: whoever reads the table may have gone
    let saved =
        json.map_or(Ok(()), |path| save("--json", path, |out| out.write_all(text.as_bytes())));
    saved.and(screen.show(&table))
}

/// Compares the report with what is expected of it, and puts down what came of that.
pub fn judge(report: &mut Report, criteria: &[Criterion]) -> Result<(), Failure> {
    let result = serde_json::to_value(&*report).map_err(Failure::run)?;
    report.expect = criteria.iter().map(|criterion| criterion.judge(&result)).collect();
    let missed: Vec<&str> = report
        .expect
        .iter()
        .filter(|judged| !judged.met)
        .map(|judged| judged.criterion.as_str())
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::Expected(format!("missed: {}", missed.join(", "))))
}

/// Are the files of the results such that they can be written when the run is over?
pub fn check_outputs(common: &Common, load: Option<&LoadArgs>) -> Result<(), Failure> {
    let json = common.json.as_deref().filter(|path| *path != Path::new("-"));
    let mut outputs = vec![("--json", json)];
    if let Some(load) = load {
        outputs.push(("--hlog", load.hlog.as_deref()));
        outputs.push(("--csv", load.csv.as_deref()));
        outputs.push(("--hgrm", load.hgrm.as_deref()));
    }
    let profile = common.profile.as_deref().map(Path::new);
    let read = [common.cmdline_file.as_deref(), common.tcp.syn_secret.as_deref(), profile];
    files::check_outputs(&outputs, &read.into_iter().flatten().collect::<Vec<_>>())
}

/// Makes a file that is asked for.
pub fn created(option: &str, path: Option<&Path>) -> Result<Option<File>, Failure> {
    let Some(path) = path else { return Ok(None) };
    File::create(path).map(Some).map_err(|error| {
        Failure::Arguments(format!("{option} {}: cannot be written: {error}", path.display()))
    })
}
