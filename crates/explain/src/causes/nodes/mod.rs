//! The nodes beneath the Pods.
