//! A deterministic link with a virtual clock.
