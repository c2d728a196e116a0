//! Lines that tell a program what to do, of a file, a pipe or a terminal: each is text, or there is a
//! reason why it is none. What a line or a file may take of memory is bounded.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Octets of the longest line.
const LONGEST: usize = 4_096;
/// Octets of the largest file.
const LARGEST: u64 = 16 << 20;

/// A line, or why it cannot be carried out.
pub type Line = Result<String, String>;

/// The lines of a stream.
pub struct Lines<R>(R);

impl<R: BufRead> Lines<R> {
    /// Those that come from here on.
    pub fn of(stream: R) -> Self {
        Lines(stream)
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut line, mut length) = (Vec::new(), 0);
        loop {
            let octets = match self.0.fill_buf() {
                Ok(octets) => octets,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Some(Err(error)),
            };
            if octets.is_empty() {
                return (length > 0).then(|| Ok(text(&line, length)));
            }
            let end = octets.iter().position(|octet| *octet == b'\n');
            let part = &octets[..end.unwrap_or(octets.len())];
            line.extend(part.iter().take(LONGEST - line.len()));
            length += part.len();
            let used = part.len() + usize::from(end.is_some());
            self.0.consume(used);
            if end.is_some() {
                return Some(Ok(text(&line, length)));
            }
        }
    }
}

/// The lines of a file.
///
/// # Errors
/// That of the system, or that the file is too large.
pub fn of_file(path: &Path) -> io::Result<Vec<Line>> {
    let mut octets = Vec::new();
    BufReader::new(File::open(path)?).take(LARGEST + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {} MB", LARGEST >> 20)));
    }
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&octets); // a byte-order mark
    Lines::of(octets).collect()
}

/// The text of a line of this `length`, of which `octets` are the first.
fn text(octets: &[u8], length: usize) -> Line {
    if length > octets.len() {
        return Err(format!(
            "the line has {length} octets, at most {LONGEST} are expected; it is left out"
        ));
    }
    let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
    let text = core::str::from_utf8(octets).map_err(|error| {
        let at = error.valid_up_to();
        format!(
            "the line is not UTF-8: its octet {} is 0x{:02x}; it is left out",
            at + 1,
            octets[at]
        )
    })?;
    check(text).map(|()| text.to_owned())
}

/// Is this a line that can be carried out, and shown in a message?
///
/// # Errors
/// It holds a control character other than a tab.
pub fn check(line: &str) -> Result<(), String> {
    match line.char_indices().find(|(_, c)| c.is_control() && *c != '\t') {
        None => Ok(()),
        Some((at, c)) => Err(format!(
            "octet {} of the line is the control character 0x{:02x}; the line is left out",
            at + 1,
            u32::from(c)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(octets: &[u8]) -> Vec<Line> {
        // a buffer of a few octets: lines lie across it
        let lines = Lines::of(BufReader::with_capacity(7, octets));
        lines.map(|line| line.expect("no error of the system")).collect()
    }

    #[test]
    fn lines_are_told_from_what_is_none() {
        let good = |text: &str| Ok(text.to_owned());
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"stop\r\n\n\twait 1s"), [good("stop"), good(""), good("\twait 1s")]);
        let utf8 = "the line is not UTF-8: its octet 6 is 0xff; it is left out";
        assert_eq!(
            lines(b"show \xff\nstop\nset log\xc3"),
            [
                Err(utf8.to_owned()),
                good("stop"),
                Err("the line is not UTF-8: its octet 8 is 0xc3; it is left out".to_owned())
            ]
        );
        let control = |at, c| {
            format!("octet {at} of the line is the control character {c}; the line is left out")
        };
        assert_eq!(
            lines(b"st\0op\nquit\x1b[A\n"),
            [Err(control(3, "0x00")), Err(control(5, "0x1b"))]
        );
        let mut long = vec![b'x'; LONGEST];
        assert_eq!(lines(&long)[0].as_ref().map(String::len), Ok(LONGEST));
        long.extend(b"x\nstop\n");
        let told = "the line has 4097 octets, at most 4096 are expected; it is left out";
        assert_eq!(lines(&long), [Err(told.to_owned()), good("stop")]);
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let error = of_file(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 16 MB");
    }
}
