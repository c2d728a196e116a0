//! `report`: saved results as tables, values and pictures.

use super::Failure;
use super::files::{check_outputs, save, say, show};
use super::offline_args::ReportArgs;
use crate::measure::plot::Picture;
use crate::measure::report::Pacing;
use crate::measure::run::Run;
use crate::measure::{Histogram, compare};
use std::path::{Path, PathBuf};

/// Runs the command: the table goes to the standard output. Nothing is written if anything is wrong.
pub fn run(arguments: &ReportArgs) -> Result<(), Failure> {
    let ReportArgs { svg, png, csv, hgrm, .. } = arguments;
    let pictures = [("--svg", svg.as_deref()), ("--png", png.as_deref())];
    for (option, file) in pictures {
        file.map_or(Ok(()), |file| check_ending(option, file))?;
    }
    let values = [("--csv", csv.as_deref()), ("--hgrm", hgrm.as_deref())];
    let inputs: Vec<&Path> = arguments.files.iter().map(PathBuf::as_path).collect();
    check_outputs(&[pictures, values].concat(), &inputs)?;
    let (mut runs, wrong) = Run::read(&arguments.files).map_err(Failure::Arguments)?;
    if let (true, Some(first)) = (arguments.merge, wrong.first()) {
        return Err(Failure::Arguments(first.clone())); // the sum would lack something
    }
    if arguments.merge {
        runs = vec![Run::merge(&runs).map_err(Failure::Arguments)?];
    }
    let telling = runs.iter().find(|run| !run.is_empty()).unwrap_or(&runs[0]);
    let kind = arguments.kind.map_or_else(|| telling.kind(), |kind| kind.name());
    let distribution = match hgrm {
        Some(file) => Some((file, histogram(file, &runs, kind)?)),
        None => None,
    };
    let drawn = svg.is_some() || png.is_some();
    wrong.iter().for_each(|line| say(&format!("lastack: {line}; it is left out")));
    for run in &runs {
        if run.is_empty() {
            say(&format!("lastack: {}: nothing was recorded", run.name));
        }
        if let Some(error) = run.report.as_ref().and_then(|report| report.error.as_ref()) {
            say(&format!("lastack: {}: this run failed: {}", run.name, error.message));
        }
    }
    for run in runs.iter().filter(|run| drawn && run.distribution(kind).0.is_empty()) {
        let why = match run.report.as_ref().map(|report| report.pacing) {
            Some(Pacing::Closed) if kind == "latency" => {
                ": a closed loop has service times only; --kind service compares them"
            }
            _ => "",
        };
        say(&format!("lastack: {} tells no {kind}{why}", run.name));
    }
    for (option, file) in pictures {
        let Some(file) = file else { continue };
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        let title = arguments.title.clone().unwrap_or_else(|| names.join(", "));
        let picture = Picture { title: &title, kind, runs: &runs };
        picture
            .draw(file)
            .map_err(|error| Failure::Run(format!("{option} {}: {error}", file.display())))?;
    }
    if let Some(file) = csv {
        save("--csv", file, |out| compare::write_csv(&runs, out))?;
    }
    if let Some((file, histogram)) = distribution {
        save("--hgrm", file, |out| histogram.write_hgrm(kind, out))?;
    }
    show(compare::table(&runs).as_bytes())?;
    let given = arguments.files.len();
    if !wrong.is_empty() {
        let count = wrong.len();
        return Err(Failure::Run(format!("{count} of {given} files are left out, see above")));
    }
    match runs.iter().all(Run::is_empty) {
        true => Err(Failure::Run("these files tell of no time and no rate".to_owned())),
        false => Ok(()),
    }
}

/// What `--hgrm` is to write into its file.
fn histogram<'a>(file: &Path, runs: &'a [Run], kind: &str) -> Result<&'a Histogram, Failure> {
    let wrong = |why: String| Failure::Arguments(format!("--hgrm {}: {why}", file.display()));
    let [run] = runs else {
        return Err(wrong("one run is expected; --merge makes one of several".to_owned()));
    };
    run.histogram(kind)
        .ok_or_else(|| wrong(format!("{} has no log (--hlog) of its {kind}", run.name)))
}

/// Does the ending of a file say what it is to be?
fn check_ending(option: &str, file: &Path) -> Result<(), Failure> {
    let ending = &option[2..];
    let has = |ending: &str| file.extension().is_some_and(|own| own.eq_ignore_ascii_case(ending));
    if has(ending) || !has("svg") && !has("png") && ending == "svg" {
        return Ok(());
    }
    Err(Failure::Arguments(format!(
        "{option} {}: a name that ends with .{ending} is expected",
        file.display()
    )))
}
