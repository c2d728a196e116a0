//! Runs beside one another, in a table and as values.

use super::histogram::human_ns;
use super::rate::human;
use super::report::{BEHIND, KINDS};
use super::run::Run;
use core::fmt::Write as _;
use std::io::{self, Write};

/// How a figure is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Number,
    Nanos,
    Bits,
}

/// One figure of all runs.
#[derive(Debug)]
struct Figure {
    name: String,
    unit: Unit,
    values: Vec<Option<f64>>,
}

/// The figures that at least one of the runs tells.
fn figures(runs: &[Run]) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: &str, unit, of: &dyn Fn(&Run) -> Option<f64>| {
        let values: Vec<Option<f64>> = runs.iter().map(of).collect();
        if values.iter().any(Option::is_some) {
            figures.push(Figure { name: name.to_owned(), unit, values });
        }
    };
    let report = |of: fn(&super::Report) -> f64| move |run: &Run| run.report.as_ref().map(of);
    add("seconds measured", Unit::Number, &report(|r| r.duration_s));
    add("connections /s", Unit::Number, &report(|r| r.connections.per_s));
    add("connections held", Unit::Number, &report(|r| r.connections.peak as f64));
    add("requests /s", Unit::Number, &report(|r| r.requests.per_s));
    add("sent", Unit::Bits, &report(|r| r.bytes.sent_per_s * 8.0));
    add("received", Unit::Bits, &report(|r| r.bytes.received_per_s * 8.0));
    add("errors", Unit::Number, &report(|r| r.errors as f64));
    add("not started", Unit::Number, &report(|r| r.requests.not_started as f64));
    for kind in KINDS.into_iter().chain([BEHIND]) {
        let of = |pick: fn(&super::Summary) -> f64| {
            move |run: &Run| run.summary(kind).filter(|s| s.count > 0).as_ref().map(pick)
        };
        add(&format!("{kind} count"), Unit::Number, &of(|s| s.count as f64));
        add(&format!("{kind} p50"), Unit::Nanos, &of(|s| s.p50 as f64));
        add(&format!("{kind} p90"), Unit::Nanos, &of(|s| s.p90 as f64));
        add(&format!("{kind} p99"), Unit::Nanos, &of(|s| s.p99 as f64));
        add(&format!("{kind} p99.9"), Unit::Nanos, &of(|s| s.p99_9 as f64));
        add(&format!("{kind} p99.99"), Unit::Nanos, &of(|s| s.p99_99 as f64));
        add(&format!("{kind} max"), Unit::Nanos, &of(|s| s.max as f64));
    }
    figures
}

/// A table with a column for each run; from the second on also as a multiple of the first.
pub fn table(runs: &[Run]) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    rows.push(core::iter::once(String::new()).chain(runs.iter().map(|r| r.name.clone())).collect());
    let told = |of: fn(&super::Report) -> String| {
        runs.iter().map(move |run| run.report.as_ref().map_or_else(|| "-".to_owned(), of))
    };
    if runs.iter().any(|run| run.report.is_some()) {
        let named = |name: &str| core::iter::once(name.to_owned());
        rows.push(named("workload").chain(told(|r| r.workload.clone())).collect());
        let pacing = |r: &super::Report| format!("{:?}", r.pacing).to_lowercase();
        rows.push(named("loop").chain(told(pacing)).collect());
    }
    for Figure { name, unit, values } in figures(runs) {
        let shown = values.iter().enumerate().map(|(at, value)| match (value, values[0]) {
            (None, _) => "-".to_owned(),
            (Some(value), Some(first)) if at > 0 && first != 0.0 => {
                format!("{} (x{:.2})", show(*value, unit), value / first)
            }
            (Some(value), _) => show(*value, unit),
        });
        rows.push(core::iter::once(name.clone()).chain(shown).collect());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..=runs.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        let _ = write!(out, "{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(out, "  {cell:>width$}");
        }
        out.push('\n');
    }
    out
}

fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Number => human(value),
        Unit::Nanos => human_ns(value),
        Unit::Bits => format!("{}bit/s", human(value)),
    }
}

/// The same figures as comma-separated values: a line for each, times in nanoseconds.
///
/// # Errors
/// Those of the writer.
pub fn write_csv(runs: &[Run], out: &mut impl Write) -> io::Result<()> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let names: Vec<String> = runs.iter().map(|run| quoted(&run.name)).collect();
    writeln!(out, "figure,unit,{}", names.join(","))?;
    for Figure { name, unit, values } in figures(runs) {
        let unit = match unit {
            Unit::Number => "",
            Unit::Nanos => "ns",
            Unit::Bits => "bit/s",
        };
        let values: Vec<String> = values
            .iter()
            .map(|value| value.map_or_else(String::new, |value| value.to_string()))
            .collect();
        writeln!(out, "{name},{unit},{}", values.join(","))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Report, Summary};

    fn run(name: &str, per_s: f64, p99: u64) -> Run {
        let mut report = Report::blank();
        report.requests.per_s = per_s;
        report.service = Some(Summary { count: 5, p99, ..Summary::default() });
        let mut run = Run::default();
        (run.name, run.report) = (name.to_owned(), Some(report));
        run
    }

    #[test]
    fn the_second_run_is_told_as_a_multiple_of_the_first() {
        let runs = [run("before", 1_000.0, 200_000), run("after, and later", 2_500.0, 100_000)];
        let text = table(&runs);
        let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(row("requests /s").ends_with("1000       2500 (x2.50)"), "{text}");
        assert!(row("service p99 ").contains("200.00 us"), "{text}");
        assert!(row("service p99 ").ends_with("100.00 us (x0.50)"), "{text}");
        assert!(!text.contains("connect p50"), "nothing was recorded of it");
        let lengths: Vec<usize> = text.lines().map(str::len).collect();
        assert!(lengths.iter().all(|&length| length == lengths[0]), "{text}");
        let mut csv = Vec::new();
        write_csv(&runs, &mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        assert!(csv.starts_with("figure,unit,\"before\",\"after, and later\"\n"), "{csv}");
        assert!(csv.contains("\nservice p99,ns,200000,100000\n"), "{csv}");
    }
}
