//! The hashed timer wheel.
