//! Counters under the names that `nstat` users know, written by one engine and read by anyone.
//!
//! A counter is a relaxed atomic with a single writer: adding to it is a plain load, add and store,
//! and another thread that reads it sees a recent value, never a torn one.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One running total.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn bump(&self) {
        self.add(1);
    }

    /// Adds `n`. Only the owning engine calls this, so no locked instruction is needed.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Subtracts `n`, for totals that are gauges.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Sets the total, for gauges.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Raises the total to `value` if it is below: a high-water mark.
    #[inline]
    pub fn raise_to(&self, value: u64) {
        if self.get() < value {
            self.0.store(value, Relaxed);
        }
    }

    /// The total so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident = $label:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name { $($(#[$doc])* pub $field: Counter,)* }

        impl $name {
            /// Every counter with the name that reports use, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$(($label, self.$field.get()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// What TCP did. Names are those of Linux' `nstat` where it has the same counter.
    Counters {
        /// Segments received, broken ones included.
        in_segs = "InSegs",
        /// Segments sent, retransmissions included.
        out_segs = "OutSegs",
        /// Segments with payload, SYN or FIN that were sent again.
        retrans_segs = "RetransSegs",
        /// Segments received with a wrong checksum.
        in_csum_errors = "InCsumErrors",
        /// Segments received that could not be parsed.
        in_errs = "InErrs",
        /// RST segments sent.
        out_rsts = "OutRsts",
        /// Connections opened by us.
        active_opens = "ActiveOpens",
        /// Connections opened by a peer's SYN.
        passive_opens = "PassiveOpens",
        /// Connections that failed before they were established.
        attempt_fails = "AttemptFails",
        /// Established connections that a RST ended.
        estab_resets = "EstabResets",
        /// Connections established, either way.
        established = "Established",
        /// Connections that ended, orderly or not, after they had been established.
        closed = "Closed",
        /// Retransmission time-outs.
        timeouts = "TCPTimeouts",
        /// Retransmissions started by three duplicate ACKs (RFC 5681 §3.2).
        fast_retrans = "TCPFastRetrans",
        /// Fast recoveries with SACK (RFC 6675, RFC 8985).
        sack_recovery = "TCPSackRecovery",
        /// Fast recoveries by duplicate ACKs (RFC 6582).
        reno_recovery = "TCPRenoRecovery",
        /// Times that SACK showed something to arrive late rather than never.
        sack_reorder = "TCPSACKReorder",
        /// Peers that no longer had what their SACK had said (RFC 2018 §8).
        sack_reneging = "TCPSACKReneging",
        /// Tail loss probes sent (RFC 8985 §7).
        loss_probes = "TCPLossProbes",
        /// Losses that a tail loss probe has repaired.
        loss_probe_recovery = "TCPLossProbeRecovery",
        /// Reports of segments that arrived twice (RFC 2883).
        dsack_received = "TCPDSACKRecv",
        /// Segments of the peer that arrived twice and were reported (RFC 2883).
        dsack_sent = "TCPDSACKOldSent",
        /// Fast recoveries that timestamps showed to be needless (RFC 3522).
        full_undo = "TCPFullUndo",
        /// Recoveries that DSACK showed to be needless (RFC 2883).
        dsack_undo = "TCPDSACKUndo",
        /// Time-outs that fired while their segment waited in the port, and were put off.
        host_queues = "TCPSpuriousRtxHostQueues",
        /// Turns at whose end something had to wait, because the port had no room.
        output_blocked = "OutputBlocked",
        /// Retransmission time-outs that timestamps showed to be needless (RFC 3522).
        spurious_rtos = "TCPSpuriousRTOs",
        /// Losses that found no memory for their recovery and are left to the time-out.
        recovery_full = "TCPRecoveryFull",
        /// Data segments that arrived with CE: congestion on the way (RFC 3168).
        ce_received = "InCEPkts",
        /// Times that the window was reduced because the peer had seen CE (RFC 3168).
        ecn_reductions = "TCPECNReductions",
        /// Connections given up because the peer did not answer for too long.
        abort_on_timeout = "TCPAbortOnTimeout",
        /// Connections closed with unread data, hence by RST (RFC 2525 §2.17).
        abort_on_close = "TCPAbortOnClose",
        /// Connections reset because data came after the application had closed (RFC 1122 §4.2.2.13).
        abort_on_data = "TCPAbortOnData",
        /// Connections aborted by SO_LINGER with a time of zero.
        abort_on_linger = "TCPAbortOnLinger",
        /// Segments kept out of order.
        ofo_queue = "TCPOFOQueue",
        /// Out-of-order segments dropped for want of room.
        ofo_drop = "TCPOFODrop",
        /// Times that what was out of order was given up to make room for what is in order.
        ofo_pruned = "OfoPruned",
        /// In-order segments dropped for want of buffer memory.
        rcvq_drop = "TCPRcvQDrop",
        /// Times that the buffer memory became so scarce that the share of a connection bound it.
        memory_pressures = "TCPMemoryPressures",
        /// Writes cut short because the connection holds its share of scarce buffer memory.
        send_share = "TCPSendShare",
        /// Writes cut short because no buffer memory is free.
        send_no_memory = "TCPSendNoMemory",
        /// Windows that scarce buffer memory keeps so small that the peer may wait for more.
        receive_share = "TCPReceiveShare",
        /// Out-of-order segments dropped because the connection holds its share of the descriptors.
        ofo_share = "TCPOFOShare",
        /// Segments rejected by their timestamp (RFC 7323 §5).
        paws_rejected = "PAWSEstab",
        /// Segments dropped in any state because a negotiated timestamp was missing (RFC 7323 §3.2).
        missing_timestamp = "TCPMissingTimestamp",
        /// Challenge ACKs sent (RFC 5961).
        challenge_ack = "TCPChallengeACK",
        /// Challenge ACKs withheld by the limit of the connection (RFC 5961 §7).
        challenge_ack_skipped = "TCPACKSkippedChallenge",
        /// Answers of half-open connections withheld by the limit of each (RFC 5961 §7).
        syn_received_skipped = "TCPACKSkippedSynRecv",
        /// SYN segments that arrived on a synchronized connection.
        syn_challenge = "TCPSYNChallenge",
        /// Segments outside the receive window.
        out_of_window = "TCPOutOfWindow",
        /// ACKs for something never sent, or too old (RFC 5961 §5).
        invalid_ack = "TCPInvalidAck",
        /// Delayed ACKs that were sent by their timer.
        delayed_acks = "DelayedACKs",
        /// Zero-window probes sent.
        window_probes = "TCPWinProbe",
        /// Times that a peer closed its window to us.
        zero_window = "TCPFromZeroWindowAdv",
        /// Keep-alive probes sent.
        keep_alives = "TCPKeepAlive",
        /// SYNs received by listeners.
        syn_received = "TCPSynReceived",
        /// SYN-ACKs that were sent again because nothing came back.
        synack_retrans = "TCPSynRetrans",
        /// SYN-ACKs sent with a cookie.
        cookies_sent = "SyncookiesSent",
        /// Connections that a cookie has made.
        cookies_received = "SyncookiesRecv",
        /// ACKs that came for a cookie and brought none that is good.
        cookies_failed = "SyncookiesFailed",
        /// SYNs that were answered with a cookie because there was no room.
        full_do_cookies = "TCPReqQFullDoCookies",
        /// SYNs that were dropped because there was no room and cookies were off.
        full_drop = "TCPReqQFullDrop",
        /// SYNs dropped because their source sends too many.
        syn_limited = "TCPSynLimitDrop",
        /// SYNs dropped, or ACKs that would have completed a handshake ignored, because the accept
        /// backlog was full.
        listen_overflows = "ListenOverflows",
        /// SYNs dropped because no connection could be had.
        listen_drops = "ListenDrops",
        /// Segments for which there is no connection.
        no_connection = "TCPNoConnection",
        /// Connections that entered TIME-WAIT.
        tw_entered = "TimeWaitEntered",
        /// TIME-WAIT entries whose 2·MSL ran out.
        tw_expired = "TW",
        /// TIME-WAIT entries that gave way to a new incarnation before their time, either way.
        tw_reused = "TWRecycled",
        /// Of these, those reopened by a SYN with a later timestamp (RFC 6191).
        tw_reused_timestamp = "TimeWaitReusedTimestamp",
        /// Of these, those reopened by a SYN with a higher sequence number (RFC 9293 §3.6.1 MAY-2).
        tw_reused_sequence = "TimeWaitReusedSequence",
        /// Of these, those that we opened again ourselves, no port being free (RFC 6191).
        tw_reused_active = "TimeWaitReusedActive",
        /// SYNs that could not reopen an entry and were acknowledged.
        tw_refused = "TimeWaitReuseRefused",
        /// Segments for entries that were not acknowledged, by the limit of the entry.
        tw_ack_skipped = "TCPACKSkippedTimeWait",
        /// Times that 2·MSL began anew.
        tw_restarted = "TimeWaitRestarted",
        /// TIME-WAIT entries given up, oldest first, because the limit was reached.
        tw_recycled = "TimeWaitRecycled",
        /// RSTs that TIME-WAIT ignored (RFC 1337).
        tw_rst_ignored = "TimeWaitRstIgnored",
        /// Repeated FINs that TIME-WAIT acknowledged again.
        tw_fin_reacked = "TimeWaitFinReacked",
        /// TIME-WAIT entries ended by a RST, with the RFC 1337 protection off.
        tw_killed = "TWKilled",
        /// Connections that ended with an orphaned FIN-WAIT-2.
        fin_wait_2_timeout = "TCPFinWait2Timeout",
        /// Connections that the application had closed, reset because the peer took too little for
        /// too long.
        orphan_timeout = "TCPOrphanTimeout",
    }
}

counters! {
    /// Frames that went no further, by reason.
    Drops {
        /// Not a well-formed frame.
        malformed = "malformed",
        /// Neither ARP, IPv4 nor IPv6.
        ethertype = "ethertype",
        /// Tagged for another VLAN, or untagged where a tag is wanted.
        vlan = "vlan",
        /// Not for our Ethernet address.
        not_our_mac = "not_our_mac",
        /// Not for one of our IP addresses.
        not_our_address = "not_our_address",
        /// A source MAC address that is a group address or zero.
        bad_source_mac = "bad_source_mac",
        /// A source address that no other host may send from: a group, loopback, one of ours, the
        /// broadcast or network address of a network of ours.
        bad_source = "bad_source",
        /// A packet to one address of ours in a frame to a group, or a ping to a group.
        group_frame = "group_frame",
        /// An IP fragment; they are not reassembled.
        fragment = "fragment",
        /// A wrong IP, TCP, UDP or ICMP checksum.
        checksum = "checksum",
        /// A transport protocol other than TCP, UDP and ICMP.
        protocol = "protocol",
        /// A neighbour message that breaks RFC 4861 §7.1.
        ndp_invalid = "ndp_invalid",
        /// A SYN that came while the queue of control frames was half full: output is behind, so no new
        /// work is taken.
        syn_shed = "syn_shed",
        /// An ARP or neighbour message of a station that claims an address of ours.
        address_conflict = "address_conflict",
        /// Arrived before our addresses were checked.
        address_unchecked = "address_unchecked",
        /// An ICMP message that needs no answer.
        icmp_ignored = "icmp_ignored",
        /// Of the frames that we send: an answer that was not made while the queue of control frames was
        /// half full, because the peer asks for it again.
        answer_shed = "answer_shed",
        /// Of the frames that we send: one that the peer does not ask for again and that found no room in
        /// the queue of control frames.
        control_queue = "control_queue",
        /// Of the frames that we send: an ICMP error that the limit of all errors withheld.
        icmp_limited = "icmp_limited",
    }
}

counters! {
    /// Frames received and handled, by kind. With those that [`Drops`] counts they are all that were
    /// received: each is counted once, here or there.
    Handled {
        /// Segments that TCP looked at; what became of them is told by [`Counters`].
        tcp = "tcp",
        /// ARP messages.
        arp = "arp",
        /// Neighbour solicitations and advertisements.
        ndp = "ndp",
        /// Other ICMP messages over IPv4.
        icmp = "icmp",
        /// Other ICMPv6 messages.
        icmpv6 = "icmpv6",
        /// UDP datagrams to our addresses: each gets port unreachable, within the limit of all errors.
        udp = "udp",
    }
}

impl Drops {
    /// Frames received that went no further: all but the answers of our own that were not sent.
    pub fn received(&self) -> u64 {
        let all: u64 = self.iter().map(|(_, count)| count).sum();
        all - self.answer_shed.get() - self.control_queue.get() - self.icmp_limited.get()
    }
}

impl Handled {
    /// Frames received and handled, of all kinds.
    pub fn sum(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}
