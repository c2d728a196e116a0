//! Numbers with units as options take them: `64k`, `1G`, `200us`, `1h30m`, `10k/s`.
//!
//! Each parser's error says what is allowed, for a line that begins with the option and what was
//! given.

use core::time::Duration;

/// A size in octets; `k`, `M`, `G` are powers of 1024, as in iperf.
///
/// # Errors
/// What is allowed, if this is not.
pub fn size(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let units = [("k", 1 << 10), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("", 1)];
    whole(text, &units).filter(|octets| (least..=most).contains(octets)).ok_or_else(|| {
        format!("a size from {least} to {} is expected, as in 64, 4k or 1M", human_size(most))
    })
}

/// A number of things; `k`, `M` are powers of 1000.
///
/// # Errors
/// What is allowed, if this is not.
pub fn count(text: &str, least: u64, most: u64) -> Result<u64, String> {
    whole(text, &[("k", 1_000), ("M", 1_000_000), ("", 1)])
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            let example = if most >= 10_000 { ", as in 100 or 10k" } else { "" };
            format!("a number from {least} to {most} is expected{example}")
        })
}

/// Units of time in nanoseconds, the longest first: a sum has them in this order.
const TIMES: [(&str, f64); 6] =
    [("h", 3.6e12), ("m", 6e10), ("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0)];

/// A time: a number with `h`, `m`, `s`, `ms`, `us` or `ns`, a sum of them such as `1h30m`, or 0.
///
/// # Errors
/// What is allowed, if this is not.
pub fn time(text: &str) -> Result<Duration, String> {
    let nanos = if text == "0" { Some(0.0) } else { sum(text) };
    nanos
        .filter(|&nanos| nanos <= u64::MAX as f64 / 2.0)
        .map(|nanos| Duration::from_nanos(nanos.round() as u64))
        .ok_or_else(|| {
            "a time with its unit is expected, as in 1h30m, 30s, 200ms or 50us".to_owned()
        })
}

/// The nanoseconds of one time or of a sum of them, each of a shorter unit than the one before.
fn sum(mut text: &str) -> Option<f64> {
    let (mut nanos, mut units) = (0.0, &TIMES[..]);
    while !text.is_empty() {
        let number = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = &text[number..];
        let length = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        let (part, rest) = text.split_at(number + length);
        let at = units.iter().position(|(name, _)| *name == &unit[..length])?;
        nanos += fraction(part, &units[at..=at])?;
        (text, units) = (rest, &units[at + 1..]);
    }
    (units.len() < TIMES.len()).then_some(nanos)
}

/// A time without end, for an option that takes one.
pub const FOREVER: Duration = Duration::MAX;

/// The length of a run: a time, or `0` or `forever` for one [without end](FOREVER).
///
/// # Errors
/// What is allowed, if this is not.
pub fn length(text: &str) -> Result<Duration, String> {
    match text {
        "forever" => Ok(FOREVER),
        text => match time(text).map_err(|error| format!("{error}, or forever"))? {
            Duration::ZERO => Ok(FOREVER),
            time => Ok(time),
        },
    }
}

/// A time in seconds; the unit may be left out.
///
/// # Errors
/// What is allowed, if this is not.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let plain = text.ends_with(|c: char| c.is_ascii_digit());
    let with_unit = if plain { format!("{text}s") } else { text.to_owned() };
    time(&with_unit).map_err(|_| "seconds are expected, as in 1, 0.5 or 200ms".to_owned())
}

/// A rate for a second, with `k` or `M` (powers of 1000) and, if one likes, `/s`.
///
/// # Errors
/// What is allowed, if this is not.
pub fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    fraction(number, &[("k", 1e3), ("M", 1e6), ("", 1.0)])
        .filter(|&rate| (1e-3..=1e9).contains(&rate))
        .ok_or_else(|| "a positive rate is expected, as in 500, 10k or 1.5M/s".to_owned())
}

/// A whole number of a unit; the unit with the empty name goes last.
fn whole(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, scale) = split(text, units)?;
    let digits = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| number.parse::<u64>().ok()?.checked_mul(scale)).flatten()
}

/// A number of a unit that may have a fraction.
pub(super) fn fraction(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, scale) = split(text, units)?;
    let digits = number.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
    digits.then(|| number.parse::<f64>().ok()).flatten().map(|value| value * scale)
}

fn split<'a, T: Copy>(text: &'a str, units: &[(&str, T)]) -> Option<(&'a str, T)> {
    units.iter().find_map(|&(unit, scale)| Some((text.strip_suffix(unit)?, scale)))
}

/// An amount of memory for people to read: 1.5 GB, powers of 1000.
pub fn human_bytes(octets: u64) -> String {
    let of = |unit: f64, name| format!("{:.1} {name}", octets as f64 / unit);
    match octets {
        u64::MAX => "any amount".to_owned(),
        0..1_000_000_000 => of(1e6, "MB"),
        1_000_000_000..1_000_000_000_000 => of(1e9, "GB"),
        _ => of(1e12, "TB"),
    }
}

/// A size as [`size`] reads it.
pub fn human_size(octets: u64) -> String {
    for (shift, unit) in [(30, "G"), (20, "M"), (10, "k")] {
        if octets > 0 && octets.trailing_zeros() >= shift {
            return format!("{}{unit}", octets >> shift);
        }
    }
    octets.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        let any = |text| size(text, 0, u64::MAX).ok();
        assert_eq!(any("0"), Some(0));
        assert_eq!(any("64k"), Some(65_536));
        assert_eq!(any("3M"), Some(3 << 20));
        assert_eq!(any("2G"), Some(2 << 30));
        for bad in ["", "k", "1.5k", "-1", "+1", "1kk", "1 k", "1T", "99999999999G"] {
            assert_eq!(any(bad), None, "{bad}");
        }
        assert_eq!(
            size("2M", 1, 1 << 20).unwrap_err(),
            "a size from 1 to 1M is expected, as in 64, 4k or 1M"
        );
    }

    #[test]
    fn counts() {
        assert_eq!(count("10k", 1, 100_000), Ok(10_000));
        assert!(count("0", 1, 9).unwrap_err().contains("from 1 to 9"));
        assert!(count("1M", 1, 9).is_err());
    }

    #[test]
    fn times() {
        assert_eq!(time("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(time("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(time("200us"), Ok(Duration::from_micros(200)));
        assert_eq!(time("800ns"), Ok(Duration::from_nanos(800)));
        for (text, seconds) in [
            ("0", 0),
            ("90m", 5_400),
            ("2h", 7_200),
            ("1h30m", 5_400),
            ("1m30s", 90),
            ("1.5h", 5_400),
        ] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(time("1h2m3s4ms5us6ns"), Ok(Duration::new(3_723, 4_005_006)));
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1e3s",
            "1..2s",
            ".5s",
            "5min",
            "99999999999999999999s",
            "infs",
            "1m1h",
            "1s1s",
            "1h30",
            "1h 30m",
            "00",
            "1hm",
            "99999999999h",
            "forever",
            "1d",
            "1\u{b5}s",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
        for endless in ["0", "0s", "0h", "forever"] {
            assert_eq!(length(endless), Ok(FOREVER), "{endless}");
        }
        assert_eq!(length("1h30m"), Ok(Duration::from_secs(5_400)));
        assert!(length("ever").unwrap_err().ends_with(", or forever"));
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("250ms"), Ok(Duration::from_millis(250)));
        assert!(seconds("x").is_err());
    }

    #[test]
    fn rates() {
        assert_eq!(rate("10k"), Ok(10_000.0));
        assert_eq!(rate("1.5M/s"), Ok(1_500_000.0));
        assert_eq!(rate("7/s"), Ok(7.0));
        for bad in ["0", "/s", "k", "-1", "1/m", "inf", "NaN"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_size_is_read_as_it_was_written(octets in any::<u64>()) {
            prop_assert_eq!(size(&human_size(octets), 0, u64::MAX), Ok(octets));
        }

        #[test]
        fn a_time_is_read_as_it_was_written(number in 0_u32..1_000_000, unit in 0_usize..6) {
            let (name, scale) = [
                ("ns", 1),
                ("us", 1_000),
                ("ms", 1_000_000),
                ("s", 1_000_000_000),
                ("m", 60_000_000_000),
                ("h", 3_600_000_000_000),
            ][unit];
            let expected = Duration::from_nanos(u64::from(number) * scale);
            prop_assert_eq!(time(&format!("{number}{name}")), Ok(expected));
        }

        #[test]
        fn any_text_is_an_answer_not_a_panic(text in "\\PC{0,12}") {
            let _ = (size(&text, 0, 9), count(&text, 0, 9), seconds(&text), length(&text), rate(&text));
        }
    }
}
