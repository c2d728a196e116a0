//! Results on their way out: into files that options name, and to the standard output.

use super::Failure;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Lets `write` fill the file that an option names.
pub fn save(
    option: &str,
    file: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Failure> {
    let written = File::create(file).and_then(|made| {
        let mut out = BufWriter::new(made);
        write(&mut out)?;
        out.flush()
    });
    written.map_err(|error| {
        Failure::Run(format!("{option} {}: cannot be written: {error}", file.display()))
    })
}

/// Writes to the standard output, which may have been closed.
pub fn show(octets: &[u8]) -> Result<(), Failure> {
    io::stdout()
        .write_all(octets)
        .map_err(|error| Failure::Run(format!("the standard output is closed: {error}")))
}
