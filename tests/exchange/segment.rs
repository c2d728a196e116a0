//! Segments as a test writes them down: short to say, whole frames on the wire.

use core::fmt;
use lastack::wire::options::{Options, SackBlocks, Timestamps};
use lastack::wire::seq::SeqNumber;
use lastack::wire::tcp::Flags;

/// A segment as one writes it beside the figures of an RFC. Our side counts from 100
/// ([`OUR_ISS`](super::OUR_ISS)), whatever initial sequence number the stack chose.
#[derive(Clone, PartialEq)]
pub struct Seg {
    pub flags: Flags,
    pub seq: u32,
    pub ack: u32,
    /// In an expectation: `None` = whatever.
    pub window: Option<u16>,
    /// In an expectation: `None` = whatever.
    pub options: Option<Options>,
    pub urgent: u16,
    pub payload: Vec<u8>,
}

pub fn seg(flags: Flags) -> Seg {
    Seg { flags, seq: 0, ack: 0, window: None, options: None, urgent: 0, payload: Vec::new() }
}

pub fn syn() -> Seg {
    seg(Flags::SYN)
}

pub fn syn_ack() -> Seg {
    seg(Flags::SYN | Flags::ACK)
}

pub fn ack() -> Seg {
    seg(Flags::ACK)
}

/// A FIN that acknowledges too, as all but the first segment do.
pub fn fin() -> Seg {
    seg(Flags::FIN | Flags::ACK)
}

pub fn rst() -> Seg {
    seg(Flags::RST)
}

pub fn rst_ack() -> Seg {
    seg(Flags::RST | Flags::ACK)
}

/// Data up to the end of a write: with PSH.
pub fn data(payload: impl AsRef<[u8]>) -> Seg {
    Seg { payload: payload.as_ref().to_vec(), ..seg(Flags::PSH | Flags::ACK) }
}

impl Seg {
    pub fn seq(self, seq: u32) -> Self {
        Seg { seq, ..self }
    }

    pub fn ack(self, ack: u32) -> Self {
        Seg { ack, ..self }
    }

    pub fn win(self, window: u16) -> Self {
        Seg { window: Some(window), ..self }
    }

    pub fn with(self, flags: Flags) -> Self {
        Seg { flags: self.flags | flags, ..self }
    }

    /// Data in the middle of a write.
    pub fn without_psh(self) -> Self {
        Seg { flags: self.flags.without(Flags::PSH), ..self }
    }

    pub fn urgent(self, urgent: u16) -> Self {
        Seg { urgent, ..self }.with(Flags::URG)
    }

    pub fn options(self, options: Options) -> Self {
        Seg { options: Some(options), ..self }
    }

    pub fn mss(self, mss: u16) -> Self {
        let options = self.options.unwrap_or_default();
        self.options(Options { mss: Some(mss), ..options })
    }

    pub fn scale(self, shift: u8) -> Self {
        let options = self.options.unwrap_or_default();
        self.options(Options { window_scale: Some(shift), ..options })
    }

    /// A timestamp of the peer's clock; it echoes nothing.
    pub fn ts(self, value: u32) -> Self {
        let options = self.options.unwrap_or_default();
        self.options(Options { timestamps: Some(Timestamps { value, echo: 0 }), ..options })
    }

    pub fn sack_permitted(self) -> Self {
        let options = self.options.unwrap_or_default();
        self.options(Options { sack_permitted: true, ..options })
    }

    /// SACK blocks, numbered as the side counts whose octets they are.
    pub fn sack(self, blocks: &[(u32, u32)]) -> Self {
        let mut sack = SackBlocks::EMPTY;
        for &(start, end) in blocks {
            assert!(sack.push(SeqNumber::new(start), SeqNumber::new(end)), "no more than four");
        }
        let options = self.options.unwrap_or_default();
        self.options(Options { sack, ..options })
    }

    /// A timestamp of the peer's clock that echoes one of ours.
    pub fn echo(self, value: u32, echo: u32) -> Self {
        let options = self.options.unwrap_or_default();
        self.options(Options { timestamps: Some(Timestamps { value, echo }), ..options })
    }

    /// Is `sent` what this expects?
    pub fn is_met_by(&self, sent: &Seg) -> bool {
        let Seg { flags, seq, ack, window, options, urgent, payload } = self;
        let as_far_as_said = |wanted: &Option<u16>| wanted.is_none() || *wanted == sent.window;
        *flags == sent.flags
            && *seq == sent.seq
            && *ack == sent.ack
            && as_far_as_said(window)
            && (options.is_none() || *options == sent.options)
            && *urgent == sent.urgent
            && *payload == sent.payload
    }
}

impl fmt::Debug for Seg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seg { flags, seq, ack, window, options, urgent: _, payload } = self;
        write!(f, "<SEQ={seq}><ACK={ack}><CTL={flags:?}> {} octets", payload.len())?;
        if let Some(window) = window {
            write!(f, " window {window}")?;
        }
        match options {
            Some(options) if !options.is_empty() => write!(f, " {options:?}"),
            _ => Ok(()),
        }
    }
}
