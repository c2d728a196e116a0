//! One thing that was looked at on a machine.

use core::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Good,
    /// Figures suffer.
    Note,
    /// The profile cannot run.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was seen.
    pub what: String,
    /// The command, or the sentence, that mends it.
    pub remedy: Option<String>,
}

#[cfg(feature = "dpdk")]
impl Finding {
    /// What was seen and what mends it, in one line.
    pub fn line(&self) -> String {
        match &self.remedy {
            Some(remedy) => format!("{}: {remedy}", self.what),
            None => self.what.clone(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Good => "ok",
            Level::Note => "note",
            Level::Missing => "MISSING",
        };
        write!(f, "{level:<8}{}", self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n{:<8}-> {remedy}", ""),
            None => Ok(()),
        }
    }
}

/// A finding that is as it should be.
pub fn good(what: impl Into<String>) -> Finding {
    Finding { level: Level::Good, what: what.into(), remedy: None }
}

/// A finding that figures suffer from.
pub fn note(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { level: Level::Note, what: what.into(), remedy: Some(remedy.into()) }
}

/// A finding without which the profile cannot run.
pub fn missing(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { level: Level::Missing, what: what.into(), remedy: Some(remedy.into()) }
}
