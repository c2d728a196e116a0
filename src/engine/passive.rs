//! Passive opens: from a SYN to a connection, by way of the SYN cache or of a cookie (RFC 4987).
//!
//! ```text
//!   SYN ─▶ room? ──yes──▶ SYN cache ──SYN-ACK──▶ ┐
//!            └──no, or always──▶ cookie ─────────▶ ACK ─▶ room in the backlog? ─▶ connection
//! ```
//!
//! A SYN with a cookie leaves nothing behind: neither the flow table nor a connection is written to.

use super::control::Need;
use super::demux::Unclaimed;
use super::flow_table::Kind;
use super::listener::ListenerId;
use super::output::{Bare, LastAck};
use super::receive::Staged;
use super::stack::{Mark, Stack, keyed};
use super::store::{instant_of, tick_at_or_after};
use super::syn_cache::{pack, with_entry};
use crate::port::Frames;
use crate::tcp::cookie;
use crate::tcp::half_open::{Answer, AnswerTo, HalfOpen, Handshake, Origin, Verdict};
use crate::tcp::isn::isn;
use crate::tcp::{Config, Connection, SynCookies, TimeWaitPolicy, Tuple};
use crate::time::Instant;
use crate::wire::MacAddr;
use crate::wire::options::Timestamps;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;
use core::time::Duration;

/// Half-open connections that one poll looks at.
const BUDGET: usize = 64;

/// An ACK brings no cookie of ours.
pub(super) struct NoCookie;

/// What becomes of a SYN.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Cache,
    Cookie,
    Drop,
}

impl Stack {
    /// A listener gets a SYN (RFC 9293 §3.10.7.2).
    pub(super) fn syn_arrives(
        &mut self,
        id: ListenerId,
        staged: &Staged,
        syn: &Segment<'_>,
    ) -> Unclaimed {
        self.metrics.tcp.syn_received.bump();
        if let Some(limit) = self.config.syn_limit_per_s
            && self.syn_limit.count_syn(staged.tuple.remote, self.now, limit)
        {
            self.metrics.tcp.syn_limited.bump();
            return Unclaimed::Done;
        }
        match self.way_of(id) {
            Way::Drop => self.metrics.tcp.listen_drops.bump(),
            Way::Cookie => return Unclaimed::Cookie(self.cookie_for(staged, syn)),
            Way::Cache => {
                let hash = keyed(&self.secrets.sequence, &staged.tuple);
                self.open_half(id, staged, syn, isn(self.now, hash.0 as u32));
            }
        }
        Unclaimed::Done
    }

    /// A SYN that may reopen a 4-tuple: shall it, at once? If not, nothing has changed, and if the
    /// incarnations can be told apart `by_timestamp` the SYN may have been answered with a cookie. The
    /// number of a cookie need not be above the old ones, so that nothing else would do. One that only its
    /// number tells apart can have no cookie: there is room in the cache that is kept for it.
    pub(super) fn admit_reopening(
        &mut self,
        id: ListenerId,
        by_timestamp: bool,
        staged: &Staged,
        syn: &Segment<'_>,
    ) -> bool {
        self.metrics.tcp.syn_received.bump();
        if by_timestamp {
            let way = self.way_of(id);
            match way {
                Way::Drop => self.metrics.tcp.listen_drops.bump(),
                Way::Cookie => {
                    let handshake = self.cookie_for(staged, syn);
                    self.send_cookie(staged, &handshake, &mut [][..]);
                }
                Way::Cache => {}
            }
            return way == Way::Cache;
        }
        let backlog = self.listeners.get(id).is_some_and(|listener| !listener.backlog_is_full());
        let room = backlog && !self.syn_cache.is_exhausted() && !self.conns.is_full();
        if !room {
            self.metrics.tcp.listen_overflows.bump();
            self.metrics.tcp.listen_drops.bump();
        }
        room
    }

    /// Is there no room for another handshake of this listener?
    fn is_full(&self, id: ListenerId) -> bool {
        let full = self.listeners.get(id).is_none_or(|listener| listener.is_full());
        full || self.syn_cache.is_full()
    }

    fn way_of(&mut self, id: ListenerId) -> Way {
        if self.conns.is_full() {
            return Way::Drop; // nobody could be served
        }
        let mode = self.syn_cookies_of(id);
        if mode == SynCookies::Always {
            return Way::Cookie;
        }
        let (full, relieved) = (self.is_full(id), self.syn_cache.is_relieved());
        let tcp = &self.metrics.tcp;
        let Some(listener) = self.listeners.get_mut(id) else { return Way::Drop };
        match mode {
            SynCookies::Always => Way::Cookie,
            SynCookies::Off if full => {
                tcp.full_drop.bump();
                tcp.listen_overflows.bump();
                Way::Drop
            }
            SynCookies::Off => Way::Cache,
            SynCookies::Auto => {
                let active = full || listener.cookies && !(relieved && listener.is_relieved());
                if active != listener.cookies {
                    listener.cookies = active;
                    self.metrics.syn_cookies_active.set(self.listeners.with_cookies());
                }
                if active {
                    tcp.full_do_cookies.bump();
                    Way::Cookie
                } else {
                    Way::Cache
                }
            }
        }
    }

    /// The MSS that we announce over this family.
    fn our_mss(&self, ipv4: bool) -> u16 {
        self.link_mss(ipv4).min(self.config.mss.unwrap_or(u16::MAX))
    }

    /// What a SYN and its cookie agree on.
    #[inline]
    fn cookie_for(&mut self, staged: &Staged, syn: &Segment<'_>) -> Handshake {
        let tuple = &staged.tuple;
        let zero = SeqNumber::default();
        let mut handshake = Handshake::of_syn(syn, zero, &self.config, tuple.is_v4());
        cookie::keep_what_fits(&mut handshake);
        self.cookies.turn(self.now);
        handshake.iss = self.cookies.bake(tuple, &handshake);
        handshake
    }

    /// Answers a SYN in its own buffer if that can be, and forgets it: neither the flow table nor a
    /// connection is written to, and no buffer is taken.
    pub(super) fn send_cookie<F: Frames + ?Sized>(
        &mut self,
        staged: &Staged,
        handshake: &Handshake,
        frames: &mut F,
    ) {
        let (tuple, to) = (&staged.tuple, staged.from);
        let clock = match handshake.ts_recent {
            Some(_) => cookie::timestamp(self.timestamp_clock(tuple), handshake),
            None => 0,
        };
        let segment = handshake.syn_ack(tuple, &self.config, self.our_mss(tuple.is_v4()), clock);
        if self.send_in_place(tuple, to, &segment, usize::from(staged.index), frames)
            || self.queue_segment(tuple, to, &segment, Need::CanBeAskedAgain)
        {
            self.metrics.tcp.cookies_sent.bump();
            self.last_cookie = self.now;
        } else {
            self.metrics.drops.answer_shed.bump();
        }
    }

    /// Keeps a half-open connection and answers its SYN.
    pub(super) fn open_half(
        &mut self,
        id: ListenerId,
        staged: &Staged,
        syn: &Segment<'_>,
        iss: SeqNumber,
    ) {
        let (tuple, now) = (&staged.tuple, self.now);
        let v6 = !tuple.is_v4();
        let handshake = Handshake::of_syn(syn, iss, &self.config, !v6);
        let origin = Origin { listener: [id.0, id.1], station: staged.from.0 };
        let until = now + self.config.rto_initial;
        let deadline = tick_at_or_after(until);
        let cache = &mut self.syn_cache;
        let filed = if v6 {
            cache.v6.file(HalfOpen::new(tuple, &handshake, origin, now, deadline), until)
        } else {
            cache.v4.file(HalfOpen::new(tuple, &handshake, origin, now, deadline), until)
        };
        let Some(key) = filed else { return };
        let index = pack(key, v6);
        if self.table.insert(staged.hash, Kind::SynCache, index).is_err() {
            self.syn_cache.remove(index);
            self.metrics.tcp.listen_drops.bump();
            return;
        }
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.half_open += 1;
        }
        self.count_half_open();
        // other SYNs of its burst may have filled the queue, but it has been taken
        let _ = self.send_syn_ack(tuple, &handshake, staged.from, Need::Once);
    }

    fn count_half_open(&self) {
        let current = self.syn_cache.len() as u64;
        self.metrics.syn_cache.set(current);
        self.metrics.syn_cache_peak.raise_to(current);
    }

    /// False if there was no room: then the timer sends it again.
    fn send_syn_ack(
        &mut self,
        tuple: &Tuple,
        handshake: &Handshake,
        to: MacAddr,
        need: Need,
    ) -> bool {
        let clock = self.timestamp_clock(tuple);
        let our_mss = self.our_mss(tuple.is_v4());
        let segment = handshake.syn_ack(tuple, &self.config, our_mss, clock);
        self.queue_segment(tuple, to, &segment, need)
    }

    /// A segment for a half-open connection. The index of the connection if it completes the
    /// handshake: then it is its first segment.
    pub(super) fn half_open_arrives(
        &mut self,
        index: u32,
        staged: &Staged,
        segment: &Segment<'_>,
    ) -> Option<u32> {
        let tuple = &staged.tuple;
        let (verdict, handshake, origin, answer) = with_entry!(self.syn_cache, index, |entry| {
            let verdict = entry.judge(segment, &self.config);
            (verdict, entry.handshake(), entry.origin, entry.answer())
        });
        let id = ListenerId(origin.listener[0], origin.listener[1]);
        match verdict {
            Verdict::Ignore => {}
            Verdict::MissingTimestamp => self.metrics.tcp.missing_timestamp.bump(),
            Verdict::AnswerSyn if !self.take_answer(index, AnswerTo::Syn) => {}
            Verdict::AnswerSyn => {
                if self.late_departure(index, answer.retries).is_none()
                    && !self.send_syn_ack(tuple, &handshake, staged.from, Need::CanBeAskedAgain)
                {
                    self.metrics.drops.answer_shed.bump();
                }
                // the peer, too, waits from now on: it must not find the entry gone
                let until = self.now + syn_ack_wait(&self.config, answer.retries);
                self.syn_cache.restart(index, self.now, until);
            }
            Verdict::Challenge if !self.take_answer(index, AnswerTo::Other) => {}
            Verdict::Challenge => {
                let ack = LastAck {
                    seq: handshake.iss + 1,
                    ack: handshake.irs + 1,
                    window: handshake.window_field(&self.config),
                    ts_recent: handshake.ts_recent,
                };
                self.metrics.tcp.challenge_ack.bump();
                self.send_bare(tuple, staged.from, &self.bare_ack(tuple, &ack));
            }
            Verdict::Reset(seq) => {
                // an earlier copy of its SYN may have been answered with a cookie
                if let Ok(cookie) = self.cookie_in(id, staged, segment) {
                    return self.complete_by_cookie(id, staged, &cookie, Some(index));
                }
                if !self.take_answer(index, AnswerTo::Other) {
                    return None;
                }
                let value = self.timestamp_clock(tuple);
                let timestamps = handshake.ts_recent.map(|echo| Timestamps { value, echo });
                let reset = Bare::reset(seq, None).with_timestamps(timestamps);
                self.send_bare(tuple, staged.from, &reset);
            }
            Verdict::Forget => {
                self.metrics.tcp.attempt_fails.bump();
                self.forget_half_open(index);
            }
            Verdict::Complete => {
                return self.complete(id, staged, &handshake, answer, Some(index));
            }
        }
        None
    }

    /// Counts an answer of a half-open connection, and says whether it may go out (RFC 5961 §7). A SYN
    /// that comes again is answered once a second whatever the limit.
    fn take_answer(&mut self, index: u32, to: AnswerTo) -> bool {
        let limit = self.config.challenge_acks_per_s;
        let limit = if to == AnswerTo::Syn { limit.max(1) } else { limit };
        let now = self.now;
        let may = with_entry!(self.syn_cache, index, |entry| entry.take_answer(to, now, limit));
        if !may {
            self.metrics.tcp.syn_received_skipped.bump();
        }
        may
    }

    /// An ACK for a listener that belongs to nothing that is known: does it bring a cookie back? If so,
    /// the index of the connection, or nothing if there is no room for it now.
    pub(super) fn cookie_arrives(
        &mut self,
        id: ListenerId,
        staged: &Staged,
        ack: &Segment<'_>,
    ) -> Result<Option<u32>, NoCookie> {
        let handshake = self.cookie_in(id, staged, ack)?;
        Ok(self.complete_by_cookie(id, staged, &handshake, None))
    }

    /// What an ACK says that brings a cookie back.
    fn cookie_in(
        &mut self,
        id: ListenerId,
        staged: &Staged,
        ack: &Segment<'_>,
    ) -> Result<Handshake, NoCookie> {
        if !self.expects_cookies(id) {
            return Err(NoCookie);
        }
        self.cookies.turn(self.now);
        self.cookies.take(&staged.tuple, ack).ok_or_else(|| {
            self.metrics.tcp.cookies_failed.bump();
            NoCookie
        })
    }

    fn complete_by_cookie(
        &mut self,
        id: ListenerId,
        staged: &Staged,
        handshake: &Handshake,
        half_open: Option<u32>,
    ) -> Option<u32> {
        let made = self.complete(id, staged, handshake, Answer::default(), half_open)?;
        self.metrics.tcp.cookies_received.bump();
        Some(made)
    }

    /// A segment for a 4-tuple in TIME-WAIT: does it bring a cookie back, by which the next incarnation
    /// begins (RFC 6191)? Its timestamp must be later than the last one of the old.
    pub(super) fn cookie_reopens(
        &mut self,
        old: (Kind, u32),
        staged: &Staged,
        ack: &Segment<'_>,
    ) -> Option<u32> {
        let flags = ack.flags;
        let last = self.last_of(old);
        let is_later = (ack.options.timestamps?.value.wrapping_sub(last.ts_recent?) as i32) > 0;
        let may = flags.ack() && !flags.syn() && !flags.rst() && ack.ack != last.seq && is_later;
        if !may || self.config.time_wait != TimeWaitPolicy::Reuse {
            return None;
        }
        let (ip, port) = (staged.tuple.local, staged.tuple.local_port);
        let id = self.listeners.find(ip, port).filter(|&id| self.expects_cookies(id))?;
        self.cookies.turn(self.now);
        let handshake = self.cookies.take(&staged.tuple, ack)?;
        let listener = self.listeners.get(id)?;
        if listener.backlog_is_full() || self.conns.is_full() {
            self.metrics.tcp.listen_overflows.bump();
            return None;
        }
        let tcp = &self.metrics.tcp;
        tcp.tw_reused.bump();
        tcp.tw_reused_timestamp.bump();
        tcp.cookies_received.bump();
        self.forget_time_wait(old.0, old.1);
        self.complete(id, staged, &handshake, Answer::default(), None)
    }

    /// Can there be a cookie of ours, or of somebody who shares the secret, that is still good?
    fn expects_cookies(&self, id: ListenerId) -> bool {
        let lives = 2 * cookie::SLOT_S * 1_000_000_000;
        let sent_lately =
            self.last_cookie != Instant::FAR && self.now.nanos_since(self.last_cookie) < lives;
        self.syn_cookies_of(id) != SynCookies::Off && (sent_lately || self.shares_cookies)
    }

    /// The listener's mode of cookies, or that of all.
    fn syn_cookies_of(&self, id: ListenerId) -> SynCookies {
        let own = self.listeners.get(id).and_then(|listener| listener.options.syn_cookies);
        own.unwrap_or(self.config.syn_cookies)
    }

    /// The handshake is complete: a connection is made, if there is room for it. The peer, who takes
    /// it for established, will send again what finds none.
    fn complete(
        &mut self,
        id: ListenerId,
        staged: &Staged,
        handshake: &Handshake,
        answer: Answer,
        half_open: Option<u32>,
    ) -> Option<u32> {
        let listener = self.listeners.get(id)?;
        if listener.backlog_is_full() {
            self.metrics.tcp.listen_overflows.bump();
            return None;
        }
        let birth = self.birth(staged.tuple, handshake.iss);
        let tcp = Connection::complete(&birth, &self.config, self.now, handshake, answer);
        let index = match half_open {
            None => self.admit(tcp, staged.hash),
            Some(old) => self.admit_in_place(tcp, staged, old),
        };
        let Some(index) = index else {
            self.metrics.tcp.listen_drops.bump();
            return None;
        };
        let block = &mut self.conns[index];
        block.listener = Some(id);
        block.mark(Mark::InBacklog);
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.backlog += 1;
        }
        self.metrics.tcp.passive_opens.bump();
        Some(index)
    }

    /// A connection takes the place of the half-open one in the flow table.
    fn admit_in_place(&mut self, tcp: Connection, staged: &Staged, old: u32) -> Option<u32> {
        let index = self.insert_block(tcp)?;
        let replaced =
            self.table.replace(staged.hash, (Kind::SynCache, old), (Kind::Connection, index));
        debug_assert!(replaced, "a half-open connection is in the table");
        self.release_half_open(old);
        Some(index)
    }

    /// Removes a half-open connection.
    fn forget_half_open(&mut self, index: u32) {
        let tuple = with_entry!(self.syn_cache, index, |entry| entry.tuple());
        let hash = self.hash(&tuple);
        let removed = self.table.remove(hash, Kind::SynCache, index);
        debug_assert!(removed, "a half-open connection is in the table");
        self.release_half_open(index);
    }

    /// Gives the entry back, which the flow table does not know any more.
    fn release_half_open(&mut self, index: u32) {
        let origin = with_entry!(self.syn_cache, index, |entry| entry.origin);
        self.syn_cache.remove(index);
        self.leaves_half_open(origin);
        self.count_half_open();
    }

    fn leaves_half_open(&mut self, origin: Origin) {
        let id = ListenerId(origin.listener[0], origin.listener[1]);
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.half_open -= 1;
        }
    }

    /// A listener goes: so do its half-open connections. Looks at all: for the control path only.
    pub(super) fn forget_half_open_of(&mut self, id: ListenerId) {
        let is_of = |origin: Origin| origin.listener == [id.0, id.1];
        let v4 =
            self.syn_cache.v4.iter().filter(|(_, e)| is_of(e.origin)).map(|(k, _)| pack(k, false));
        let v6 =
            self.syn_cache.v6.iter().filter(|(_, e)| is_of(e.origin)).map(|(k, _)| pack(k, true));
        let all: Vec<u32> = v4.chain(v6).collect();
        all.into_iter().for_each(|index| self.forget_half_open(index));
    }

    /// Sends SYN-ACKs again, with back-off (RFC 6298 §5.5), and gives up what has had its share;
    /// returns how many were due.
    pub(super) fn expire_half_open(&mut self) -> usize {
        if self.syn_cache.len() == 0 {
            return 0;
        }
        let mut again = core::mem::take(&mut self.again);
        let most = self.syn_cache.retries(self.config.synack_retries);
        let (now, config) = (self.now, &self.config);
        let cache = &mut self.syn_cache;
        let mut over = core::mem::take(&mut self.due);
        let (departures, counters) = (&self.departures, &self.metrics.tcp);
        let mut next = |key: u32, retries: &mut u8, deadline: u32| {
            let wait = syn_ack_wait(config, *retries);
            if let Some(left) = departures.late(instant_of(deadline, now) - wait, now)
                && left + wait > now
            {
                counters.host_queues.bump();
                return Some(tick_at_or_after(left + wait)); // the SYN-ACK has not had its time
            }
            if *retries >= most {
                return None;
            }
            *retries += 1;
            again.push(key);
            Some(tick_at_or_after(now + syn_ack_wait(config, *retries)))
        };
        let _ = cache.v4.expire(now, BUDGET, &mut over, |key, entry| {
            next(pack(key, false), &mut entry.retries, entry.deadline)
        });
        let of_v4 = over.len();
        let _ = cache.v6.expire(now, BUDGET, &mut over, |key, entry| {
            next(pack(key, true), &mut entry.retries, entry.deadline)
        });
        let fired = over.len() + again.len();
        let any_over = !over.is_empty();
        for (place, key) in over.drain(..).enumerate() {
            // it has left the store, and can still be read
            let index = pack(key, place >= of_v4);
            let (tuple, origin) =
                with_entry!(self.syn_cache, index, |entry| (entry.tuple(), entry.origin));
            let hash = self.hash(&tuple);
            let removed = self.table.remove(hash, Kind::SynCache, index);
            debug_assert!(removed, "a half-open connection is in the table");
            self.leaves_half_open(origin);
            self.metrics.tcp.attempt_fails.bump();
        }
        self.due = over;
        for index in again.drain(..) {
            let (tuple, handshake, origin) = with_entry!(self.syn_cache, index, |entry| {
                (entry.tuple(), entry.handshake(), entry.origin)
            });
            self.metrics.tcp.timeouts.bump();
            let to = MacAddr(origin.station);
            if self.send_syn_ack(&tuple, &handshake, to, Need::CanBeAskedAgain) {
                self.metrics.tcp.synack_retrans.bump();
                self.metrics.tcp.retrans_segs.bump();
            } else {
                self.metrics.drops.answer_shed.bump();
            }
        }
        self.again = again;
        if any_over {
            self.count_half_open();
        }
        fired
    }

    /// When the last SYN-ACK of a half-open connection left, if it left late or still waits in the port.
    fn late_departure(&mut self, index: u32, retries: u8) -> Option<Instant> {
        let deadline = with_entry!(self.syn_cache, index, |entry| entry.deadline);
        let sent = instant_of(deadline, self.now) - syn_ack_wait(&self.config, retries);
        self.departures.late(sent, self.now)
    }

    /// When [`expire_half_open`](Self::expire_half_open) has something to do.
    pub(super) fn next_half_open(&self) -> Option<Instant> {
        let (v4, v6) = (&self.syn_cache.v4, &self.syn_cache.v6);
        v4.next_deadline(self.now).into_iter().chain(v6.next_deadline(self.now)).min()
    }
}

/// How long a SYN-ACK that was sent again so often is waited for (RFC 6298 §5.5).
fn syn_ack_wait(config: &Config, retries: u8) -> Duration {
    config.rto_initial.saturating_mul(1 << retries.min(16)).min(config.rto_max)
}
