//! Arguments of the commands that run no engine.

use super::profile::NameParser;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Files of runs: results (--json), logs of histograms (--hlog) and distributions (--hgrm). Files of
    /// one name but for the ending are of one run
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Make one run of all: of hosts that loaded at the same time. Needs their logs
    #[arg(long)]
    pub merge: bool,
    /// Draw percentiles, and rates over time if the results tell them
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// The same as PNG
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Write the table as comma-separated values
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write the percentile distribution of the run
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// What times to draw [default: latency if the first run tells it, else service]
    #[arg(long, value_enum)]
    pub kind: Option<KindArg>,
    /// Title of the picture [default: the names of the runs]
    #[arg(long)]
    pub title: Option<String>,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The profile that is to run: exit status 1 if it could not [default: all that come with the program]
    #[arg(long, value_name = "NAME|FILE", value_parser = NameParser, hide_possible_values = true)]
    pub profile: Option<String>,
    /// The device that a profile is to use, as in a run
    #[arg(long, value_name = "NAME", requires = "profile")]
    pub device: Option<String>,
    /// Open the profile's port as a server would, and say what it can do and does not do
    #[arg(long, requires = "profile")]
    pub probe: bool,
}

/// `man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write the pages of all commands into this folder [default: the program's page to the standard
    /// output]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Kinds of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
    /// From the intended start to the last octet of the response
    Latency,
    /// From the sending of the request
    Service,
    /// From the SYN until it is established
    Connect,
    /// From our FIN to the final state
    Close,
}

impl KindArg {
    /// Its name as the result spells it.
    pub const fn name(self) -> &'static str {
        match self {
            KindArg::Latency => "latency",
            KindArg::Service => "service",
            KindArg::Connect => "connect",
            KindArg::Close => "close",
        }
    }
}
