//! Results on their way out: into files that options name, and to the standard output.

use super::Failure;
use crate::measure::run::read_bounded;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Are these files, each with the option that names it, such that results can be written to them?
/// Those that are there already stay as they are, so that what is refused for another reason destroys
/// nothing. `read` are the files that the command reads.
///
/// # Errors
/// [`Failure::Arguments`]: no file, one that cannot be written, or one that is used twice.
pub fn check_outputs(outputs: &[(&str, Option<&Path>)], read: &[&Path]) -> Result<(), Failure> {
    let read: Vec<PathBuf> = read.iter().map(|file| place(file)).collect();
    let mut known: Vec<(&str, PathBuf)> = Vec::new();
    for (option, file) in outputs {
        let Some(file) = file else { continue };
        let wrong =
            |why: String| Err(Failure::Arguments(format!("{option} {}: {why}", file.display())));
        if *file == Path::new("-") {
            return wrong("the name of a file is expected".to_owned());
        }
        // pipes and devices lose nothing, and opening a pipe would wait for its reader
        if fs::metadata(file).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            continue;
        }
        let place = place(file);
        if let Some((other, _)) = known.iter().find(|(_, known)| *known == place) {
            return wrong(format!("{other} names the same file, another is expected"));
        }
        if read.contains(&place) {
            return wrong("this file is read, another is expected".to_owned());
        }
        if let Err(error) = can_be_written(file) {
            return wrong(format!("cannot be written: {error}"));
        }
        known.push((option, place));
    }
    Ok(())
}

/// The longest profile, and the longest list of commands, octets.
pub const LONGEST_TEXT: u64 = 1 << 20;

/// The text of a file that an option names, at most `most` octets of it: a device or a pipe may have no
/// end.
///
/// # Errors
/// What is wrong with it, to stand behind its name.
pub fn read(file: &Path, most: u64) -> Result<String, String> {
    let octets = read_bounded(file, most)?;
    String::from_utf8(octets)
        .map_err(|_| "cannot be read: stream did not contain valid UTF-8".to_owned())
}

/// One path for all those of a file.
fn place(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    let in_folder = || {
        let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
        Some(folder.join(file.file_name()?))
    };
    fs::canonicalize(file).ok().or_else(in_folder).unwrap_or_else(|| file.to_owned())
}

fn can_be_written(file: &Path) -> io::Result<()> {
    match File::options().write(true).create_new(true).open(file) {
        Ok(_) => fs::remove_file(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            File::options().write(true).create(true).truncate(false).open(file).map(drop)
        }
        Err(error) => Err(error),
    }
}

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
///
/// # Errors
/// [`Failure::Run`]: not all of it was written.
pub fn show(octets: &[u8]) -> Result<(), Failure> {
    if is_closed_stdout() {
        return Err(Failure::Run("the standard output is closed".to_owned()));
    }
    let mut out = io::stdout().lock();
    out.write_all(octets).and_then(|()| out.flush()).map_err(|error| {
        Failure::Run(match error.kind() {
            io::ErrorKind::BrokenPipe => format!("the standard output is closed: {error}"),
            _ => format!("the standard output cannot be written: {error}"),
        })
    })
}

/// Was there no standard output when the program began? What is written goes to /dev/null then.
#[cfg(feature = "dpdk")]
fn is_closed_stdout() -> bool {
    crate::port::dpdk::stdout_was_closed()
}

#[cfg(not(feature = "dpdk"))]
fn is_closed_stdout() -> bool {
    false
}

/// Writes a line for people to the standard error. Nobody may be reading it any more, which is no reason
/// to end.
pub fn say(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_results_are_looked_at_and_left_as_they_are() {
        let folder = std::env::temp_dir().join(format!("lastack-files-{}", std::process::id()));
        fs::create_dir_all(folder.join("inner")).unwrap();
        let at = |name: &str| folder.join(name);
        let (old, new, same) = (at("old.json"), at("new.json"), at("inner/../new.json"));
        fs::write(&old, "a result").unwrap();
        std::os::unix::fs::symlink("old.json", at("link.json")).unwrap();
        let (link, absent, null) = (at("link.json"), at("no/file"), Path::new("/dev/null"));
        let check = |json: &Path, csv: Option<&Path>| {
            let outputs = [("--json", Some(json)), ("--csv", csv)];
            check_outputs(&outputs, &[]).map_err(|failure| {
                assert_eq!(failure.status(), 2);
                failure.to_string()
            })
        };
        assert_eq!(check(&old, None), Ok(()));
        assert_eq!(check(&new, Some(&old)), Ok(()));
        assert_eq!(check(null, Some(null)), Ok(()), "a device loses nothing");
        let told = |option: &str, file: &Path, why: &str| {
            Err(format!("{option} {}: {why}", file.display()))
        };
        let twice = "--json names the same file, another is expected";
        assert_eq!(check(&new, Some(&same)), told("--csv", &same, twice));
        assert_eq!(check(&old, Some(&link)), told("--csv", &link, twice));
        let gone = "cannot be written: No such file or directory (os error 2)";
        assert_eq!(check(&absent, None), told("--json", &absent, gone));
        let folder_is_none = "cannot be written: Is a directory (os error 21)";
        assert_eq!(check(&folder, None), told("--json", &folder, folder_is_none));
        let dash = Path::new("-");
        assert_eq!(check(&new, Some(dash)), told("--csv", dash, "the name of a file is expected"));
        let read = check_outputs(&[("--hgrm", Some(&link))], &[&new, &old]).unwrap_err();
        let why = format!("--hgrm {}: this file is read, another is expected", link.display());
        assert_eq!(read.to_string(), why);
        assert_eq!(fs::read_to_string(&old).unwrap(), "a result");
        assert!(!new.exists(), "what was not there is not there");
        fs::remove_dir_all(&folder).unwrap();
    }
}
