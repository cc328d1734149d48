//! The controllers against the real API server in this process, with nodes that only pretend.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod fixture;
mod lifecycle;
mod services;
mod workloads;
