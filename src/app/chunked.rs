//! The chunked transfer coding (RFC 9112 §7.1), read to the octet: where one reader is lenient and another
//! is not, they disagree about where a message ends.

/// The longest line of a size with its extensions, in octets.
const LONGEST_LINE: u32 = 16 * 1024;
/// The longest trailer section.
const LONGEST_TRAILER: u32 = 64 * 1024;

/// Where in the coding the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the digits of a size.
    Size,
    /// In blanks behind them.
    Blank,
    /// In an extension, which is skipped.
    Extension,
    /// Behind the CR of the line of a size.
    SizeLf,
    /// In a chunk.
    Data,
    /// Behind its last octet.
    DataCr,
    /// Behind the CR there.
    DataLf,
    /// Where a line of the trailer section begins.
    Line,
    /// In the name of a trailer field.
    Name,
    /// In its value.
    Value,
    /// Behind the CR of its line.
    ValueLf,
    /// Behind the CR of the last, empty line.
    LastLf,
}

/// A body of chunks that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    place: Place,
    /// The size so far, or octets of the chunk that are still to come.
    size: u64,
    /// Octets of this line, or of the trailer section.
    octets: u32,
}

impl Default for Chunks {
    fn default() -> Self {
        Chunks { place: Place::Size, size: 0, octets: 0 }
    }
}

/// What was taken of some octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Octets that belong to the body.
    pub octets: usize,
    /// Those of them that are content.
    pub content: u64,
    /// The body has ended with them.
    pub ended: bool,
}

impl Chunks {
    /// Takes octets of the body.
    ///
    /// # Errors
    /// What is wrong with the framing.
    pub fn take(&mut self, data: &[u8]) -> Result<Taken, &'static str> {
        let (mut at, mut content) = (0, 0);
        while at < data.len() {
            if self.place == Place::Data {
                let part = self.size.min((data.len() - at) as u64);
                at += part as usize;
                content += part;
                self.size -= part;
                if self.size == 0 {
                    self.place = Place::DataCr;
                }
                continue;
            }
            let octet = data[at];
            at += 1;
            if self.place == Place::LastLf {
                let ended = octet == b'\n';
                let taken = Taken { octets: at, content, ended };
                return if ended { Ok(taken) } else { Err("end of the trailer section") };
            }
            self.step(octet)?;
        }
        Ok(Taken { octets: at, content, ended: false })
    }

    /// Takes an octet of the framing.
    fn step(&mut self, octet: u8) -> Result<(), &'static str> {
        self.octets += 1;
        self.place = match (self.place, octet) {
            (Place::Size, _) if octet.is_ascii_hexdigit() => {
                let digit = char::from(octet).to_digit(16).unwrap_or(0);
                let size =
                    self.size.checked_mul(16).and_then(|size| size.checked_add(digit.into()));
                self.size = size.ok_or("chunk size")?;
                Place::Size
            }
            (Place::Size, _) if self.octets == 1 => return Err("chunk size"),
            (Place::Size | Place::Blank, b';') => Place::Extension,
            (Place::Size | Place::Blank, b' ' | b'\t') => Place::Blank,
            (Place::Size | Place::Blank | Place::Extension, b'\r') => Place::SizeLf,
            (Place::Extension, b'\n') => return Err("chunk extension"),
            (Place::Extension, _) => Place::Extension,
            (Place::SizeLf, b'\n') => {
                self.octets = 0;
                if self.size == 0 { Place::Line } else { Place::Data }
            }
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => {
                self.octets = 0;
                Place::Size
            }
            (Place::DataCr | Place::DataLf, _) => return Err("end of a chunk"),
            (Place::Line, b'\r') => Place::LastLf,
            // RFC 9112 §5.2: a line that goes on with the value before it
            (Place::Line, b' ' | b'\t') if self.octets > 1 => Place::Value,
            (Place::Line | Place::Name, _) if is_name(octet) => Place::Name,
            (Place::Name, b':') => Place::Value,
            (Place::Value, b'\r') => Place::ValueLf,
            (Place::Value, b'\n' | 0) | (Place::Line | Place::Name, _) => {
                return Err("trailer field");
            }
            (Place::Value, _) => Place::Value,
            (Place::ValueLf, b'\n') => Place::Line,
            (Place::ValueLf, _) => return Err("trailer field"),
            (Place::Size | Place::Blank | Place::SizeLf, _) => return Err("chunk size"),
            (Place::Data | Place::LastLf, _) => self.place,
        };
        let trailer = matches!(
            self.place,
            Place::Line | Place::Name | Place::Value | Place::ValueLf | Place::LastLf
        );
        match self.octets {
            octets if octets > LONGEST_TRAILER => Err("trailer section of more than 64 KiB"),
            octets if octets > LONGEST_LINE && !trailer => {
                Err("chunk size line of more than 16 KiB")
            }
            _ => Ok(()),
        }
    }
}

/// Is this a character of a token (RFC 9110 §5.6.2)?
fn is_name(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body in pieces: its octets and content, or what is wrong; `None` if it has not ended.
    fn read(body: &[u8], piece: usize) -> Result<Option<(usize, u64)>, &'static str> {
        let (mut chunks, mut octets, mut content) = (Chunks::default(), 0, 0);
        for part in body.chunks(piece) {
            let taken = chunks.take(part)?;
            (octets, content) = (octets + taken.octets, content + taken.content);
            if taken.ended {
                return Ok(Some((octets, content)));
            }
        }
        Ok(None)
    }

    #[test]
    fn good_framing_is_read_in_any_pieces() {
        for (body, content) in [
            (&b"0\r\n\r\n"[..], 0),
            (b"5\r\nhello\r\n0\r\n\r\n", 5),
            (b"00000000000000000000005\r\nhello\r\n000\r\n\r\n", 5),
            (b"A\r\n0123456789\r\na\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", 20),
            (b"5;a=b;c=\"d;e\"\r\nhello\r\n0;last\r\n\r\n", 5),
            (b"5 ; a = b\r\nhello\r\n0\r\n\r\n", 5),
            (b"5  \r\nhello\r\n0\r\n\r\n", 5),
            (b"1\r\nx\r\n0\r\nA: b\r\nC:d\r\n e\r\nF:\r\n\r\n", 1),
        ] {
            for piece in 1..=body.len() {
                let text = String::from_utf8_lossy(body);
                assert_eq!(read(body, piece), Ok(Some((body.len(), content))), "{text:?}");
                let followed = [body, b"HTTP/1.1"].concat();
                assert_eq!(read(&followed, piece), Ok(Some((body.len(), content))), "{text:?}");
            }
        }
    }

    #[test]
    fn wrong_framing_is_told() {
        for (body, fault) in [
            (&b"1\r0\r\n"[..], "chunk size"),
            (b"\r\n", "chunk size"),
            (b"\n", "chunk size"),
            (b";a\r\n", "chunk size"),
            (b" 5\r\n", "chunk size"),
            (b"+5\r\n", "chunk size"),
            (b"-1\r\n", "chunk size"),
            (b"0x5\r\n", "chunk size"),
            (b"5 5\r\n", "chunk size"),
            (b"5\nhello", "chunk size"),
            (b"g\r\n", "chunk size"),
            (b"10000000000000000\r\n", "chunk size"),
            (b"5;a\nb\r\n", "chunk extension"),
            (b"5;a\rb\r\n", "chunk size"),
            (b"5\r\nhelloXX0\r\n\r\n", "end of a chunk"),
            (b"5\r\nhello\n0\r\n\r\n", "end of a chunk"),
            (b"5\r\nhello\rX", "end of a chunk"),
            (b"5\r\nhello0\r\n\r\n", "end of a chunk"),
            (b"5\r\nhello\r\n\r\n", "chunk size"),
            (b"0\r\n\n", "trailer field"),
            (b"0\r\n\rX", "end of the trailer section"),
            (b"0\r\nno field\r\n", "trailer field"),
            (b"0\r\n: empty\r\n", "trailer field"),
            (b"0\r\n folded\r\n", "trailer field"),
            (b"0\r\nA: b\nC: d\r\n\r\n", "trailer field"),
            (b"0\r\nA: b\rC", "trailer field"),
            (b"0\r\nHTTP/1.1 200 OK\r\n", "trailer field"),
        ] {
            for piece in 1..=body.len() {
                let text = String::from_utf8_lossy(body);
                assert_eq!(read(body, piece), Err(fault), "{text:?}");
            }
        }
        let digits = [b'0'; 20_000];
        assert_eq!(read(&digits, 1_000), Err("chunk size line of more than 16 KiB"));
        let extension = [b"1;".to_vec(), vec![b'a'; 20_000]].concat();
        assert_eq!(read(&extension, 1_000), Err("chunk size line of more than 16 KiB"));
        let trailer = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(20_000)].concat();
        assert_eq!(read(&trailer, 1_000), Err("trailer section of more than 64 KiB"));
        assert_eq!(read(b"ffffffffffffffff\r\nx", 5), Ok(None), "it only has not ended");
    }
}
