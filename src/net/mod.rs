//! Neighbours, routes and ICMP.
