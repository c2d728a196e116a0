//! The behaviour of a connection as a peer sees it, exchange by exchange: whole frames go in, whole
//! frames come out, at the times that the RFCs say. Our side counts from 100 and is `198.18.0.1`; the
//! test is the peer, `198.18.0.2`, and counts from 300.

#[path = "exchange/ages.rs"]
mod ages;
#[path = "exchange/application.rs"]
mod application;
#[path = "exchange/close.rs"]
mod close;
#[path = "exchange/congestion.rs"]
mod congestion;
#[path = "exchange/counted.rs"]
mod counted;
#[path = "exchange/data.rs"]
mod data_transfer;
#[path = "exchange/defence.rs"]
mod defence;
#[path = "exchange/dsack.rs"]
mod dsack;
#[path = "exchange/ecn.rs"]
mod ecn;
#[path = "exchange/habits.rs"]
mod habits;
#[path = "exchange/harness.rs"]
mod harness;
#[path = "exchange/impossible.rs"]
mod impossible;
#[path = "exchange/link.rs"]
mod link;
#[path = "exchange/listener.rs"]
mod listener;
#[path = "exchange/loss.rs"]
mod loss;
#[path = "exchange/memory.rs"]
mod memory;
#[path = "exchange/missing_timestamps.rs"]
mod missing_timestamps;
#[path = "exchange/neighbours.rs"]
mod neighbours;
#[path = "exchange/no_trace.rs"]
mod no_trace;
#[path = "exchange/open.rs"]
mod open;
#[path = "exchange/open_again.rs"]
mod open_again;
#[path = "exchange/orphans.rs"]
mod orphans;
#[path = "exchange/presence.rs"]
mod presence;
#[path = "exchange/pressure.rs"]
mod pressure;
#[path = "exchange/reset.rs"]
mod reset;
#[path = "exchange/retransmit.rs"]
mod retransmit;
#[path = "exchange/sack.rs"]
mod sack;
#[path = "exchange/segment.rs"]
mod segment;
#[path = "exchange/syn_cache.rs"]
mod syn_cache;
#[path = "exchange/syn_cookies.rs"]
mod syn_cookies;
#[path = "exchange/syn_received.rs"]
mod syn_received;
#[path = "exchange/time_wait.rs"]
mod time_wait;
#[path = "exchange/time_wait_limits.rs"]
mod time_wait_limits;
#[path = "exchange/time_wait_reuse.rs"]
mod time_wait_reuse;
#[path = "exchange/time_wait_verdicts.rs"]
mod time_wait_verdicts;
#[path = "exchange/window_edge.rs"]
mod window_edge;

#[path = "exchange/messages.rs"]
mod messages;
#[path = "exchange/unreachable.rs"]
mod unreachable;

use harness::{Exchange, OUR_MAC, PEER_MAC, Rhythm, START, at_any_rhythm, plain};
use segment::{ack, data, fin, rst, rst_ack, syn, syn_ack};
