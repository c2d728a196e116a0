//! The loop that owns a queue pair: receive, demux, dispatch, expire, output.

pub mod flow_hash;
pub mod flow_table;
pub mod slab;
