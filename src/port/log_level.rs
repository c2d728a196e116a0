//! How much DPDK says, in the words of testpmd.

use core::fmt;
use core::str::FromStr;

/// From which severity on DPDK's log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// The system is unusable.
    Emergency = 1,
    /// Something must be done at once.
    Alert,
    /// Critical conditions.
    Critical,
    /// Errors: what is written unless something else was asked for.
    Error,
    /// Warnings.
    Warning,
    /// Normal, but worth a note.
    Notice,
    /// What happens.
    Info,
    /// Everything.
    Debug,
}

impl LogLevel {
    /// All of them, from the most silent.
    pub const ALL: [LogLevel; 8] = [
        LogLevel::Emergency,
        LogLevel::Alert,
        LogLevel::Critical,
        LogLevel::Error,
        LogLevel::Warning,
        LogLevel::Notice,
        LogLevel::Info,
        LogLevel::Debug,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            LogLevel::Emergency => "emergency",
            LogLevel::Alert => "alert",
            LogLevel::Critical => "critical",
            LogLevel::Error => "error",
            LogLevel::Warning => "warning",
            LogLevel::Notice => "notice",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }

    /// Its number, 1 to 8, as DPDK and `--log-level` count.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotALogLevel;

impl fmt::Display for NotALogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a level is expected: ")?;
        let names = LogLevel::ALL.map(LogLevel::name);
        write!(f, "{}, or its number from 1 to 8", names.join(", "))
    }
}

impl core::error::Error for NotALogLevel {}

impl FromStr for LogLevel {
    type Err = NotALogLevel;

    /// Reads a name or a number, as EAL does.
    fn from_str(text: &str) -> Result<Self, NotALogLevel> {
        let is = |level: &LogLevel| level.name() == text || level.number().to_string() == text;
        LogLevel::ALL.into_iter().find(is).ok_or(NotALogLevel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        for (level, number) in LogLevel::ALL.into_iter().zip(1..) {
            assert_eq!(level.number(), number);
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(number.to_string().parse(), Ok(level));
        }
        assert_eq!("critical".parse(), Ok(LogLevel::Critical));
        assert!(LogLevel::Error < LogLevel::Debug);
        for wrong in ["", "0", "9", "04", "loud", "Debug", "err"] {
            assert_eq!(wrong.parse::<LogLevel>(), Err(NotALogLevel), "{wrong}");
        }
        let text = NotALogLevel.to_string();
        assert!(
            text.contains("emergency, alert") && text.ends_with("debug, or its number from 1 to 8")
        );
    }
}
