//! What a saved file is, told by what stands in it: results, logs of histograms and distributions, of this
//! program and of others, with or without their first lines.

use super::report::KINDS;
use super::run::Point;

/// What a file is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A result, as text.
    Result(String),
    /// A log of histograms: lines that end with LF alone.
    Log(String),
    /// A distribution, and what kind of time it is of, if the file says that.
    Distribution(Vec<Point>, Option<&'static str>),
    /// None of these.
    Unknown,
}

/// Nanoseconds of the unit of a distribution: microseconds, as this program writes them, or milliseconds,
/// as wrk2 does.
const NS_PER_US: f64 = 1e3;
const NS_PER_MS: f64 = 1e6;
/// What wrk2 writes before its table.
const WRK2: &str = "Detailed Percentile spectrum";
/// How an encoded histogram begins: the cookie of HdrHistogram's compressed form in base64.
const ENCODED: &str = "HIST";

/// The line in which a distribution tells its kind.
pub fn kind_line(kind: &str) -> String {
    format!("#[Kind    = {kind:>12}]")
}

/// Tells what these octets are. Comments may be in any encoding.
pub fn content(octets: &[u8]) -> Content {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets); // a byte-order mark
    let text = String::from_utf8_lossy(octets).replace("\r\n", "\n");
    if text.trim_start().starts_with('{') {
        return Content::Result(text);
    }
    let is_entry = |line: &str| {
        let last = line.rsplit(',').next().unwrap_or_default();
        line.starts_with("Tag=") || line.contains(',') && last.starts_with(ENCODED)
    };
    let begins_a_log = |line: &str| {
        line.starts_with("#[Histogram log format") || line.starts_with("\"StartTimestamp\"")
    };
    if text.lines().any(|line| is_entry(line) || begins_a_log(line)) {
        return Content::Log(text.trim_start().to_owned());
    }
    distribution(&text)
}

/// The points of a distribution: rows of a value, a part of all from 0 to 1, and a count.
fn distribution(text: &str) -> Content {
    let (head, table) = match text.split_once(WRK2) {
        Some((_, table)) => (NS_PER_MS, table),
        None => (NS_PER_US, text),
    };
    let mut points = Vec::new();
    // without a head it is one if there is nothing else in it
    let (mut is_one, mut is_pure, mut kind) = (false, true, None);
    for line in table.lines().map(str::trim) {
        if let Some(remark) = line.strip_prefix("#[") {
            let (name, value) = remark.trim_end_matches(']').split_once('=').unwrap_or_default();
            if name.trim() == "Kind" {
                kind = KINDS.into_iter().find(|known| *known == value.trim());
            }
            is_one |= name.trim() == "Buckets" || name.trim() == "Max";
            continue;
        }
        let fields: Vec<&str> =
            line.split([',', ' ', '\t']).filter(|word| !word.is_empty()).collect();
        if fields.first().is_some_and(|first| first.trim_matches('"') == "Value") {
            is_one = true;
            continue;
        }
        let numbers: Option<Vec<f64>> =
            fields.iter().take(3).map(|field| field.parse().ok()).collect();
        if let Some([value, quantile, count]) = numbers.as_deref()
            && (0.0..=1.0).contains(quantile)
            && *value >= 0.0
            && *count >= 0.0
        {
            points.push((*quantile, value * head));
        } else {
            is_pure &= line.is_empty() || line.starts_with('#');
        }
    }
    let whole = points.iter().any(|(quantile, _)| *quantile == 1.0);
    points.retain(|(quantile, _)| *quantile < 1.0);
    // a table of its own, or rows alone that are one
    match points.is_empty() {
        true if is_one && (whole || table.contains("Total count")) => {
            Content::Distribution(points, kind)
        }
        true => Content::Unknown,
        false if is_one || is_pure && whole && is_rising(&points) => {
            Content::Distribution(points, kind)
        }
        false => Content::Unknown,
    }
}

fn is_rising(points: &[Point]) -> bool {
    points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(octets: &[u8]) -> Vec<Point> {
        match content(octets) {
            Content::Distribution(points, _) => points,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn distributions_of_several_writers_are_read() {
        let rows = "       1.000 0.000000000000          1           1.00\n       \
                    2.500 0.500000000000          5           2.00\n       \
                    9.000 0.900000000000          9          10.00\n       \
                    9.500 1.000000000000         10          inf\n";
        let head = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n";
        let foot = "#[Mean    =        3.000, StdDeviation   =        1.000]\n\
                    #[Max     =        9.500, Total count    =           10]\n\
                    #[Buckets =           27, SubBuckets     =         2048]\n";
        let us = [(0.0, 1e3), (0.5, 2.5e3), (0.9, 9e3)];
        let crlf = format!("{head}{rows}{foot}").replace('\n', "\r\n");
        for file in [
            format!("{head}{rows}{foot}"),
            rows.to_owned(),
            format!("\u{feff}{head}{rows}"),
            format!("# a remark before it\n{head}{rows}"),
            crlf,
            "\"Value\",\"Percentile\",\"TotalCount\",\"1/(1-Percentile)\"\n1.000,0.0,1,1.00\n\
             2.500,0.5,5,2.00\n9.000,0.9,9,10.00\n9.500,1.0,10,Infinity\n"
                .to_owned(),
        ] {
            assert_eq!(points(file.as_bytes()), us, "{file}");
        }
        let latin = [b"# gemessen f\xfcr M\xfcller\n".as_slice(), head.as_bytes(), rows.as_bytes()];
        assert_eq!(points(&latin.concat()), us);
        let wrk2 = format!(
            "Running 10s test @ http://198.18.0.2/\n  2 threads and 16 connections\n  Thread Stats   Avg      \
             Stdev     99%   +/- Stdev\n    Latency     3.00ms    1.00ms   9.00ms   66.00%\n  Latency \
             Distribution (HdrHistogram - Recorded Latency)\n 50.000%    2.50ms\n\n  {WRK2}:\n{head}{rows}{foot}\
             ----------------------------------------------------------\n  100 requests in 10.00s, 1.00MB \
             read\nRequests/sec:     10.00\n"
        );
        assert_eq!(points(wrk2.as_bytes()), us.map(|(quantile, value)| (quantile, value * 1e3)));
    }

    #[test]
    fn a_distribution_says_what_it_is_of_and_may_be_empty() {
        let empty = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n\
                     #[Mean    =        0.000, StdDeviation   =        0.000]\n\
                     #[Max     =        0.000, Total count    =            0]\n";
        assert_eq!(content(empty.as_bytes()), Content::Distribution(Vec::new(), None));
        let text = format!("{empty}{}\n", kind_line("service"));
        assert_eq!(content(text.as_bytes()), Content::Distribution(Vec::new(), Some("service")));
        for none in [
            "",
            "hello",
            "Value\n1 x\n",
            "1 2 3\n",
            "0.5,0.9\n",
            "\u{feff}",
            "a,b,c\n",
            "end_s,span_s\n0.2,0.2,64\n0.4,0.2,64\n",
            "0.2,0.2,64\n",
        ] {
            assert_eq!(content(none.as_bytes()), Content::Unknown, "{none}");
        }
    }

    #[test]
    fn logs_are_known_by_their_lines() {
        let entry = "0.127,1.007,2.769,HISTFAAAAEV42pNpmSz";
        for log in [
            format!("#[Histogram log format version 1.3]\n{entry}\n"),
            format!("{entry}\n"),
            format!("#a\n#b\nTag=get,{entry}\n"),
            format!("\u{feff}#[Histogram log format version 1.2]\r\n{entry}\r\n"),
            "\"StartTimestamp\",\"Interval_Length\"\n".to_owned(),
        ] {
            match content(log.as_bytes()) {
                Content::Log(text) => assert!(!text.contains('\r') && !text.contains('\u{feff}')),
                other => panic!("{log}: {other:?}"),
            }
        }
    }
}
