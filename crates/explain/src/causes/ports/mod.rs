//! The ports between a client and a container.
