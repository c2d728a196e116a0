//! The loop that owns a queue pair: receive, demux, dispatch, expire, output.
