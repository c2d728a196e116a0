//! What is left of a run: files, a table, and whether it succeeded.

use crate::cli::Failure;
use crate::cli::expect::Criterion;
use crate::measure::{Histogram, Interval, Report, interval, table};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes the report where it was asked for, and a table for people.
pub fn publish(report: &Report, json: Option<&Path>) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report).map_err(Failure::run)?;
    let to_stdout = json.is_some_and(|path| path == Path::new("-"));
    let table = table::table(report);
    let shown = if to_stdout {
        eprint!("{table}");
        writeln!(std::io::stdout(), "{text}")
    } else {
        write!(std::io::stdout(), "{table}")
    };
    shown.map_err(|error| Failure::Run(format!("the standard output is closed: {error}")))?;
    match json {
        Some(path) if !to_stdout => std::fs::write(path, text + "\n").map_err(|error| {
            Failure::Run(format!("--json {}: cannot be written: {error}", path.display()))
        }),
        _ => Ok(()),
    }
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

/// Opens a file that will be written at the end, so that a path that cannot be is an error before
/// the run.
pub fn check_writable(option: &str, path: Option<&Path>) -> Result<(), Failure> {
    created(option, path.filter(|path| *path != Path::new("-"))).map(drop)
}

/// Makes a file that is asked for.
pub fn created(option: &str, path: Option<&Path>) -> Result<Option<File>, Failure> {
    let Some(path) = path else { return Ok(None) };
    File::create(path).map(Some).map_err(|error| {
        Failure::Arguments(format!("{option} {}: cannot be written: {error}", path.display()))
    })
}

/// Writes the rates of each interval.
pub fn write_csv(path: &Path, rows: &[Interval]) -> Result<(), Failure> {
    let written = File::create(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        interval::write_csv(rows, &mut file)?;
        file.flush()
    });
    written.map_err(|error| {
        Failure::Run(format!("--csv {}: cannot be written: {error}", path.display()))
    })
}

/// Writes a percentile distribution.
pub fn write_hgrm(path: &Path, histogram: &Histogram) -> Result<(), Failure> {
    let written = File::create(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        histogram.write_hgrm(&mut file)?;
        file.flush()
    });
    written.map_err(|error| {
        Failure::Run(format!("--hgrm {}: cannot be written: {error}", path.display()))
    })
}
