//! Where frames come from and go to.
//!
//! [`Port`] is one receive queue and one transmit queue, owned by one engine. What implements it
//! are leaves: `port::dpdk` (any ethdev port; the only module with `unsafe`) and [`sim`] (a
//! deterministic link with a virtual clock). A port owns the buffers on both sides, so nothing is
//! allocated on the way of a packet:
//!
//! ```text
//! rx_burst() -> n      rx_frame(0..n) borrows      the next rx_burst() gives the buffers back,
//!                                                  but for those that rx_answer() has sent
//! tx_room() -> &mut [u8]    write a frame    tx_commit(len, ..)    ...    tx_flush()
//!           -> None         no room: the engine keeps what it has to send until the next turn
//! ```

#[cfg(feature = "dpdk")]
#[allow(unsafe_code)]
pub mod dpdk;
mod log_level;
pub mod sim;

pub use log_level::{LogLevel, NotALogLevel};

/// The version of DPDK that is loaded, such as `22.11.4`; `None` if this was built without it.
pub fn version_of_dpdk() -> Option<String> {
    #[cfg(feature = "dpdk")]
    return Some(dpdk::loaded_version());
    #[cfg(not(feature = "dpdk"))]
    None
}

/// What the port found out about the checksums of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RxChecksum {
    /// Nothing: verify in software.
    #[default]
    Unknown,
    /// The IP and TCP checksums are right.
    Good,
    /// One of them is wrong.
    Bad,
}

/// A received frame, borrowed from the port's buffer.
#[derive(Clone, Copy, Debug)]
pub struct RxFrame<'a> {
    /// The frame from its Ethernet header on, without the frame check sequence.
    pub bytes: &'a [u8],
    /// What the port knows of its checksums.
    pub checksum: RxChecksum,
}

/// The frames of a burst, each in a buffer that it may be answered in.
pub trait Frames {
    /// Frame `index` of the burst.
    ///
    /// # Panics
    /// If there is no such frame (any more).
    fn frame(&self, index: usize) -> RxFrame<'_>;

    /// Lets `write` replace frame `index` by an answer of up to `longest` octets, whose length it
    /// returns, and sends that. False if this cannot be done: then nothing has happened. After it the
    /// frame is no longer there.
    fn answer(
        &mut self,
        index: usize,
        longest: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool;
}

/// Frames that are only lent.
impl Frames for [RxFrame<'_>] {
    fn frame(&self, index: usize) -> RxFrame<'_> {
        self[index]
    }

    fn answer(&mut self, _: usize, _: usize, _: impl FnOnce(&mut [u8]) -> usize) -> bool {
        false
    }
}

impl<P: Port> Frames for P {
    #[inline]
    fn frame(&self, index: usize) -> RxFrame<'_> {
        self.rx_frame(index)
    }

    #[inline]
    fn answer(
        &mut self,
        index: usize,
        longest: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        self.rx_answer(index, longest, write)
    }
}

/// What the port shall still do to a frame that it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TxOffload {
    /// The frame is complete.
    #[default]
    None,
    /// Fill in the TCP checksum (and the IPv4 header checksum, whose field holds 0). The TCP
    /// checksum field holds the sum of the pseudo header, not complemented.
    TcpChecksum {
        /// Is the network header IPv4 (or IPv6)?
        ipv4: bool,
        /// Octets of the Ethernet header, with its VLAN tag.
        l2_len: u8,
        /// Octets of the IP header.
        l3_len: u8,
        /// Octets of the TCP header with its options.
        l4_len: u8,
    },
}

/// What a port can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// [`TxOffload::TcpChecksum`] may be asked for.
    pub tx_tcp_checksum: bool,
    /// The longest frame that [`Port::tx_room`] has space for and the link carries, in octets,
    /// Ethernet header included.
    pub max_frame: usize,
}

/// Running totals of a port, as the device counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Octets received.
    pub rx_bytes: u64,
    /// Octets sent.
    pub tx_bytes: u64,
    /// Frames that the device dropped because no receive buffer was free.
    pub rx_missed: u64,
    /// Frames that could not be handed to the device (its ring was full).
    pub tx_dropped: u64,
    /// Times that no transmit buffer could be had.
    pub tx_no_buffer: u64,
}

impl PortStats {
    /// What was lost, under the names that reports use.
    pub const fn losses(&self) -> [(&'static str, u64); 3] {
        [
            ("port_rx_missed", self.rx_missed),
            ("port_tx_dropped", self.tx_dropped),
            ("port_tx_no_buffer", self.tx_no_buffer),
        ]
    }
}

/// One receive and one transmit queue, owned by one engine on one thread.
pub trait Port {
    /// Gives back the buffers of the last burst, receives the next one, and returns its length.
    fn rx_burst(&mut self) -> usize;

    /// Frame `index` of the current burst.
    ///
    /// # Panics
    /// If `index` is not below what the last [`rx_burst`](Self::rx_burst) returned.
    fn rx_frame(&self, index: usize) -> RxFrame<'_>;

    /// Sends an answer to frame `index` of the current burst in the buffer that it lies in: `write`
    /// gets at least `longest` octets, which begin with the frame, and returns the length of the
    /// answer. False, and nothing has happened, if the port cannot do it: the buffer is too short or
    /// not the port's own, or too much waits to be sent. After it the frame is no longer there.
    ///
    /// # Panics
    /// If `index` is not below what the last [`rx_burst`](Self::rx_burst) returned.
    fn rx_answer(
        &mut self,
        index: usize,
        longest: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        let _ = (index, longest, write);
        false
    }

    /// Room for the next frame to send, at least [`Capabilities::max_frame`] octets. `None` if the
    /// device's ring is full and enough waits for it already, or no buffer is free (counted): then the
    /// caller keeps what it has to send and asks again in its next turn. Asking again without a commit
    /// gives the same buffer.
    fn tx_room(&mut self) -> Option<&mut [u8]>;

    /// Queues the first `len` octets of the buffer that [`tx_room`](Self::tx_room) gave. A full
    /// burst is handed to the device at once.
    ///
    /// # Panics
    /// If no buffer was asked for, or `len` is longer than it.
    fn tx_commit(&mut self, len: usize, offload: TxOffload);

    /// Hands everything that is queued to the device. What its ring has no room for is kept, in its
    /// order, and tried again with the next flush. No frame that [`tx_room`](Self::tx_room) gave room for
    /// just before is dropped for want of it.
    fn tx_flush(&mut self);

    /// Frames that were committed, or are answers, and that the device has not taken.
    fn tx_waiting(&self) -> usize {
        0
    }

    /// What the port can do. Constant for its life.
    fn capabilities(&self) -> Capabilities;

    /// Totals since the port was opened.
    fn stats(&self) -> PortStats;
}
