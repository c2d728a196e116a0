//! Pictures of runs: how late, on the percentile axis of HdrHistogram's plots, and how much over time.

use super::histogram::human_ns;
use super::interval::Interval;
use super::rate::human;
use super::run::{Point, Run};
use core::ops::Range;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::path::Path;

/// Size of a picture with one chart, in pixels; a second chart is as high again.
const WIDTH: u32 = 1_200;
const HEIGHT: u32 = 640;
const MARGIN: u32 = 16;
/// Sizes of letters in pixels.
const TITLE: u32 = 26;
const CAPTION: u32 = 20;
const LABEL: u32 = 15;

/// Colours that people tell apart whatever they see of colours (Okabe and Ito, 2008), without the yellow,
/// which is hard to see on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

/// What a picture is to show.
#[derive(Debug)]
pub struct Picture<'a> {
    /// Its title.
    pub title: &'a str,
    /// The kind of time: `latency`, `service`, `connect` or `close`.
    pub kind: &'a str,
    /// The runs, in the order of the legend.
    pub runs: &'a [Run],
}

impl Picture<'_> {
    /// Draws it into a file: SVG, or PNG if its name says so.
    ///
    /// # Errors
    /// One line: that there is nothing to draw, or why it cannot be drawn.
    pub fn draw(&self, file: &Path) -> Result<(), String> {
        register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
            .map_err(|_| "the font cannot be used".to_owned())?;
        let charts = u32::from(self.has_distribution()) + u32::from(self.has_rates());
        if charts == 0 {
            return Err(format!("there is no {} and no rate over time to draw", self.kind));
        }
        let size = (WIDTH, HEIGHT * charts);
        if file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
            self.draw_on(&BitMapBackend::new(file, size).into_drawing_area())
        } else {
            self.draw_on(&SVGBackend::new(file, size).into_drawing_area())
        }
    }

    fn draw_on<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>) -> Result<(), String> {
        let drawn = || -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
            root.fill(&WHITE)?;
            let area = root.titled(self.title, ("sans-serif", TITLE))?;
            match (self.has_distribution(), self.has_rates()) {
                (true, true) => {
                    let charts = area.split_evenly((2, 1));
                    self.draw_distribution(&charts[0])?;
                    self.draw_rates(&charts[1])?;
                }
                (true, false) => self.draw_distribution(&area)?,
                _ => self.draw_rates(&area)?,
            }
            root.present()
        };
        drawn().map_err(|error| error.to_string())
    }

    fn has_distribution(&self) -> bool {
        self.runs.iter().any(|run| !run.distribution(self.kind).0.is_empty())
    }

    fn has_rates(&self) -> bool {
        self.runs.iter().any(|run| rows(run).len() > 1)
    }

    fn draw_distribution<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let curves: Vec<(Vec<Point>, bool)> = self
            .runs
            .iter()
            .map(|run| {
                let (points, coarse) = run.distribution(self.kind);
                let placed = points.iter().map(|&(q, ns)| (nines(q), ns.max(1.0).log10()));
                (placed.collect(), coarse)
            })
            .collect();
        let all = || curves.iter().flat_map(|(points, _)| points);
        let most = |of: fn(&Point) -> f64| all().map(of).fold(f64::MIN, f64::max);
        let least = all().map(|point| point.1).fold(f64::MAX, f64::min);
        let (right, top) = (most(|point| point.0).max(2.0), most(|point| point.1));
        let (bottom, top) = ((least - 0.05).max(0.0), top + 0.05);
        let ticks: Vec<f64> = (0..=right as u32).map(f64::from).collect();
        let x = Marked { range: 0.0..right, marks: ticks };
        let y = Marked { range: bottom..top, marks: decades(bottom, top) };
        let mut chart = ChartBuilder::on(area)
            .caption(format!("{}: percentiles", self.kind), ("sans-serif", CAPTION))
            .margin(MARGIN)
            .x_label_area_size(48)
            .y_label_area_size(96)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc("percentile: part of all values that is not longer")
            .y_desc("time")
            .x_label_formatter(&|at| percentile(*at))
            .y_label_formatter(&|at| short(&human_ns(10_f64.powf(*at))))
            .label_style(("sans-serif", LABEL))
            .light_line_style(WHITE)
            .draw()?;
        for (at, (run, (points, coarse))) in self.runs.iter().zip(&curves).enumerate() {
            let style = COLOURS[at % COLOURS.len()].stroke_width(2);
            if points.is_empty() {
                continue;
            }
            let note = if *coarse { " (percentiles of the result only)" } else { "" };
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style))?
                .label(format!("{}{note}", run.name))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
            if *coarse {
                let marks = points.iter().map(|&at| Circle::new(at, 3, style.filled()));
                chart.draw_series(marks)?;
            }
        }
        legend(&mut chart, SeriesLabelPosition::UpperLeft)
    }

    fn draw_rates<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let of = Rate::of(self.runs);
        let curves: Vec<Vec<Point>> = self
            .runs
            .iter()
            .map(|run| rows(run).iter().map(|row| (row.end_s, of.value(row))).collect())
            .collect();
        let all = || curves.iter().flatten();
        let right = all().map(|point| point.0).fold(1.0, f64::max);
        let top = all().map(|point| point.1).fold(1.0, f64::max) * 1.25;
        let mut chart = ChartBuilder::on(area)
            .caption(format!("{} over time", of.name()), ("sans-serif", CAPTION))
            .margin(MARGIN)
            .x_label_area_size(48)
            .y_label_area_size(96)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        chart
            .configure_mesh()
            .x_desc("seconds from the beginning of the run")
            .y_desc(of.name())
            .y_label_formatter(&|value| short(&human(*value)))
            .label_style(("sans-serif", LABEL))
            .light_line_style(WHITE)
            .draw()?;
        for (at, (run, points)) in self.runs.iter().zip(&curves).enumerate() {
            let style = COLOURS[at % COLOURS.len()].stroke_width(2);
            if points.is_empty() {
                continue;
            }
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style).point_size(3))?
                .label(run.name.clone())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
        }
        legend(&mut chart, SeriesLabelPosition::UpperRight)
    }
}

/// An axis with marks at places of our choice.
struct Marked {
    range: Range<f64>,
    marks: Vec<f64>,
}

impl Ranged for Marked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let Range { start, end } = self.range;
        let part = (value - start) / (end - start).max(f64::MIN_POSITIVE);
        limit.0 + (part * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, _: H) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

fn legend<'a, B: DrawingBackend + 'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, B, C>,
    position: SeriesLabelPosition,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.4))
        .label_font(("sans-serif", LABEL))
        .draw()
}

fn rows(run: &Run) -> &[Interval] {
    run.report.as_ref().map_or(&[], |report| &report.intervals)
}

/// Where a quantile lies on the axis: at the number of its nines.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile.clamp(0.0, 1.0 - 1e-12)).log10()
}

/// The percentile at so many nines.
fn percentile(nines: f64) -> String {
    let digits = (nines.round() as usize).saturating_sub(2);
    format!("{:.digits$} %", 100.0 * (1.0 - 10_f64.powf(-nines)))
}

/// A number with its unit, without zeros that say nothing.
fn short(text: &str) -> String {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    if !number.contains('.') {
        return text.to_owned();
    }
    let number = number.trim_end_matches('0').trim_end_matches('.');
    format!("{number} {unit}").trim_end().to_owned()
}

/// Marks of a logarithmic axis between two powers of ten: 1, 2 and 5 of each decade, or all nine if there
/// is little between them.
fn decades(bottom: f64, top: f64) -> Vec<f64> {
    let fine = top - bottom < 1.0;
    let steps: &[f64] =
        if fine { &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0] } else { &[1.0, 2.0, 5.0] };
    let first = bottom.floor() as i32;
    let all = (first..=top.ceil() as i32)
        .flat_map(|decade| steps.iter().map(move |step| f64::from(decade) + step.log10()));
    all.filter(|mark| (bottom..=top).contains(mark)).collect()
}

/// What is drawn over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    Connections,
    Requests,
    Bits,
}

impl Rate {
    /// What most of what the runs do is counted in.
    fn of(runs: &[Run]) -> Self {
        let workload = runs.iter().find_map(|run| run.report.as_ref()).map(|r| r.workload.as_str());
        match workload {
            Some("stream") => Rate::Bits,
            Some("connect" | "crr") => Rate::Connections,
            _ => Rate::Requests,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Rate::Connections => "connections established in a second",
            Rate::Requests => "requests answered in a second",
            Rate::Bits => "bit/s of payload, both ways",
        }
    }

    fn value(self, row: &Interval) -> f64 {
        match self {
            Rate::Connections => row.connections_per_s,
            Rate::Requests => row.requests_per_s,
            Rate::Bits => (row.sent_per_s + row.received_per_s) * 8.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_counts_nines() {
        assert_eq!(nines(0.0), 0.0);
        assert!((nines(0.99) - 2.0).abs() < 1e-9 && nines(1.0).is_finite());
        let labels = [0.0, 1.0, 2.0, 3.0, 4.0].map(percentile);
        assert_eq!(labels, ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn labels_are_short() {
        let shortened = ["10.00 ms", "1.50 us", "500 ns", "100", "500.0 k", "0.25"].map(short);
        assert_eq!(shortened, ["10 ms", "1.5 us", "500 ns", "100", "500 k", "0.25"]);
    }

    #[test]
    fn there_are_marks_whatever_the_range() {
        for (bottom, top) in [(3.0, 3.3), (3.9, 4.4), (2.0, 9.5), (0.0, 0.2)] {
            let marks = decades(bottom, top);
            assert!((2..=30).contains(&marks.len()), "{bottom} {top}: {marks:?}");
            assert!(marks.windows(2).all(|pair| pair[0] < pair[1]), "{marks:?}");
        }
    }
}
