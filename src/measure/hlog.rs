//! Logs of interval histograms, as HdrHistogram's tools read them (log format 1.3, histograms in V2,
//! compressed).

use super::Histogram;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core::time::Duration;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Maxima stand in milliseconds in the log, histograms in nanoseconds.
const NS_PER_MS: f64 = 1e6;

/// A log that is being written.
pub struct HLog<W> {
    out: W,
    serializer: V2DeflateSerializer,
    octets: Vec<u8>,
    text: String,
}

impl<W: Write> HLog<W> {
    /// Begins a log of a run that began at `start`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn begin(mut out: W, start: SystemTime) -> io::Result<Self> {
        let seconds = start.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        writeln!(out, "#[Histogram log format version 1.3]")?;
        writeln!(out, "#[StartTime: {seconds:.3} (seconds since epoch)]")?;
        writeln!(out, "#[MaxValueDivisor: {NS_PER_MS:.1}]")?;
        writeln!(
            out,
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\""
        )?;
        let (serializer, octets, text) = (V2DeflateSerializer::new(), Vec::new(), String::new());
        Ok(HLog { out, serializer, octets, text })
    }

    /// Writes what was recorded from `start` after the beginning of the run for `length`. The tag says
    /// what it is.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(
        &mut self,
        tag: &str,
        start: Duration,
        length: Duration,
        histogram: &Histogram,
    ) -> io::Result<()> {
        self.octets.clear();
        self.text.clear();
        self.serializer
            .serialize(&histogram.0, &mut self.octets)
            .map_err(|error| io::Error::other(error.to_string()))?;
        STANDARD.encode_string(&self.octets, &mut self.text);
        writeln!(
            self.out,
            "Tag={tag},{:.3},{:.3},{:.3},{}",
            start.as_secs_f64(),
            length.as_secs_f64(),
            histogram.0.max() as f64 / NS_PER_MS,
            self.text
        )
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    /// What the library reads is what was recorded.
    #[test]
    fn a_log_is_read_back() {
        let mut log = Vec::new();
        let start = UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        let mut writer = HLog::begin(&mut log, start).unwrap();
        for second in 0..3 {
            let mut histogram = Histogram::new();
            (1..=1_000 * (second + 1)).for_each(|us| histogram.record_ns(us * 1_000));
            let at = Duration::from_secs(second);
            writer.write("latency", at, Duration::from_secs(1), &histogram).unwrap();
            writer.write("connect", at, Duration::from_secs(1), &Histogram::new()).unwrap();
        }
        writer.flush().unwrap();
        let text = String::from_utf8(log.clone()).unwrap();
        assert!(text.contains("#[StartTime: 1700000000.250 (seconds since epoch)]"));
        let mut counts = Vec::new();
        for entry in IntervalLogIterator::new(&log) {
            let LogEntry::Interval(interval) = entry.expect("the library can read it") else {
                continue;
            };
            let octets = STANDARD.decode(interval.encoded_histogram()).unwrap();
            let read: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut octets.as_slice()).unwrap();
            assert!((interval.max() - read.max() as f64 / 1e6).abs() < 1e-3);
            counts.push((interval.tag().unwrap().as_str().to_owned(), read.len()));
        }
        let expected = [1_000, 2_000, 3_000]
            .map(|count| [("latency".to_owned(), count), ("connect".to_owned(), 0)])
            .concat();
        assert_eq!(counts, expected);
    }
}
