//! The controllers against the real API server in this process, with nodes that only pretend.

mod fixture;
mod lifecycle;
mod services;
mod workloads;
