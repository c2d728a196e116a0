//! `report`: saved results as tables, values and pictures.

use super::Failure;
use super::files::{save, show};
use super::offline_args::ReportArgs;
use crate::measure::compare;
use crate::measure::plot::Picture;
use crate::measure::report::Pacing;
use crate::measure::run::Run;
use std::path::Path;

/// Runs the command: the table goes to the standard output.
pub fn run(arguments: &ReportArgs) -> Result<(), Failure> {
    let mut runs = Run::read(&arguments.files).map_err(Failure::Arguments)?;
    if arguments.merge {
        runs = vec![Run::merge(&runs).map_err(Failure::Arguments)?];
    }
    let kind = arguments.kind.map_or_else(|| runs[0].kind(), |kind| kind.name());
    let drawn = arguments.svg.is_some() || arguments.png.is_some();
    for run in runs.iter().filter(|run| drawn && run.distribution(kind).0.is_empty()) {
        let why = match run.report.as_ref().map(|report| report.pacing) {
            Some(Pacing::Closed) if kind == "latency" => {
                ": a closed loop has service times only; --kind service compares them"
            }
            _ => "",
        };
        eprintln!("lastack: {} tells no {kind}{why}", run.name);
    }
    let pictures = [("--svg", &arguments.svg), ("--png", &arguments.png)];
    for (option, file) in pictures {
        let Some(file) = file else { continue };
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        let title = arguments.title.clone().unwrap_or_else(|| names.join(", "));
        let picture = Picture { title: &title, kind, runs: &runs };
        picture
            .draw(&with_ending(option, file)?)
            .map_err(|error| Failure::Run(format!("{option} {}: {error}", file.display())))?;
    }
    if let Some(file) = &arguments.csv {
        save("--csv", file, |out| compare::write_csv(&runs, out))?;
    }
    if let Some(file) = &arguments.hgrm {
        let [run] = &runs[..] else {
            return Err(Failure::Arguments(
                "--hgrm: one run is expected; --merge makes one of several".to_owned(),
            ));
        };
        let histogram = run.histogram(kind).ok_or_else(|| {
            Failure::Arguments(format!("--hgrm: {} has no log (--hlog) of its {kind}", run.name))
        })?;
        save("--hgrm", file, |out| histogram.write_hgrm(out))?;
    }
    show(compare::table(&runs).as_bytes())
}

/// A file whose ending says what it is.
fn with_ending(option: &str, file: &Path) -> Result<std::path::PathBuf, Failure> {
    let ending = &option[2..];
    let has = |ending: &str| file.extension().is_some_and(|own| own.eq_ignore_ascii_case(ending));
    if has(ending) || !has("svg") && !has("png") && ending == "svg" {
        return Ok(file.to_owned());
    }
    Err(Failure::Arguments(format!(
        "{option} {}: a name that ends with .{ending} is expected",
        file.display()
    )))
}
