//! Why connections and requests fail, in the words that a user reads.

use crate::engine::Error;
use core::fmt;
use core::time::Duration;

/// Why a connection of a client failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// TCP, or this side, says so.
    Connection(Error),
    /// What came is no valid response; what is wrong with it.
    NoResponse(&'static str),
    /// The connection ended within a head, of which so many octets had come.
    CutInHead(u64),
    /// The connection ended within a body: how many octets of it had come, and of how many, if that was said.
    CutShort(u64, Option<u64>),
    /// The server closed a connection on which it had answered nothing.
    NoAnswer,
    /// The request was sent a second time, and again the server closed without an answer.
    NoAnswerAgain,
    /// Nobody answered for so long.
    Silence(Duration),
}

impl Trouble {
    /// A name for scripts.
    pub const fn kind(&self) -> &'static str {
        match self {
            Trouble::Connection(Error::Refused) => "refused",
            Trouble::Connection(Error::Reset) => "reset",
            Trouble::Connection(Error::TimedOut) => "timed_out",
            Trouble::Connection(Error::Unreachable) => "unreachable",
            Trouble::Connection(Error::AddressNotAvailable) => "no_free_port",
            Trouble::Connection(Error::NoBuffers) => "limit_reached",
            Trouble::Connection(Error::Aborted) => "aborted",
            Trouble::Connection(_) => "connection",
            Trouble::NoResponse(_) => "no_valid_response",
            Trouble::CutInHead(_) | Trouble::CutShort(..) => "cut_short",
            Trouble::NoAnswer | Trouble::NoAnswerAgain => "closed_without_answer",
            Trouble::Silence(_) => "no_answer",
        }
    }

    /// Is the other one of the same row: of the same kind, and the same in all but its figures?
    fn is_alike(&self, other: &Trouble) -> bool {
        match (self, other) {
            (Trouble::NoResponse(fault), Trouble::NoResponse(other)) => fault == other,
            _ => self.kind() == other.kind(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Connection(error) => error.fmt(f),
            Trouble::NoResponse(fault) => write!(f, "no valid response: {fault}"),
            Trouble::CutInHead(octets) => {
                write!(f, "response cut short in its head, after {octets} bytes")
            }
            Trouble::CutShort(octets, Some(of)) => {
                write!(f, "response cut short at {octets} of {of} bytes")
            }
            Trouble::CutShort(octets, None) => {
                write!(f, "response cut short after {octets} bytes of a body in chunks")
            }
            Trouble::NoAnswer => f.write_str("the server closed the connection without an answer"),
            Trouble::NoAnswerAgain => {
                f.write_str("the server closed the connection without an answer, twice")
            }
            // two digits behind the point at most, and no more than there are
            Trouble::Silence(time) if *time >= Duration::from_secs(1) => {
                write!(f, "no answer for {} s", (time.as_secs_f64() * 100.0).round() / 100.0)
            }
            Trouble::Silence(time) => {
                write!(f, "no answer for {} ms", (time.as_secs_f64() * 1e5).round() / 100.0)
            }
        }
    }
}

/// Failures of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAlike {
    /// How many there were.
    pub count: u64,
    /// The first of them.
    pub first: Trouble,
}

/// Failures by their causes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    rows: Vec<FailedAlike>,
}

impl Failures {
    /// Counts a failure.
    pub fn note(&mut self, trouble: Trouble) {
        self.add(FailedAlike { count: 1, first: trouble });
    }

    /// Counts the failures of another engine.
    pub fn merge(&mut self, other: &Failures) {
        other.rows.iter().for_each(|row| self.add(*row));
    }

    fn add(&mut self, row: FailedAlike) {
        match self.rows.iter_mut().find(|known| known.first.is_alike(&row.first)) {
            Some(known) => known.count += row.count,
            None => self.rows.push(row),
        }
    }

    /// Each cause, the first that was met before the others.
    pub fn rows(&self) -> &[FailedAlike] {
        &self.rows
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_in_words() {
        let ms = Duration::from_millis;
        for (trouble, told) in [
            (Trouble::NoResponse("field name"), "no valid response: field name"),
            (Trouble::CutShort(5, Some(100)), "response cut short at 5 of 100 bytes"),
            (Trouble::CutInHead(17), "response cut short in its head, after 17 bytes"),
            (Trouble::Silence(ms(12_000)), "no answer for 12 s"),
            (Trouble::Silence(ms(1_504)), "no answer for 1.5 s"),
            (Trouble::Silence(ms(30)), "no answer for 30 ms"),
            (Trouble::Connection(Error::Reset), "connection reset by the peer"),
        ] {
            assert_eq!(trouble.to_string(), told);
        }
    }

    #[test]
    fn failures_are_counted_by_their_causes() {
        let mut failures = Failures::default();
        failures.note(Trouble::CutShort(5, Some(100)));
        failures.note(Trouble::NoResponse("field name"));
        let mut other = failures.clone();
        other.note(Trouble::CutShort(7, Some(200)));
        other.note(Trouble::NoResponse("status line"));
        failures.merge(&other);
        let told: Vec<_> =
            failures.rows().iter().map(|row| (row.count, row.first.to_string())).collect();
        let expected = [
            (3, "response cut short at 5 of 100 bytes"),
            (2, "no valid response: field name"),
            (1, "no valid response: status line"),
        ];
        assert_eq!(told, expected.map(|(count, text)| (count, text.to_owned())));
    }
}
