//! The node's network sysctls. `/proc/sys/net` shows the network namespace of the thread that opens it.

use std::path::Path;

use super::{Error, io};

/// Makes the node a router for its Pods.
pub(super) fn prepare_node() -> Result<(), Error> {
    let settings = [
        ("ipv4/ip_forward", "1"),
        // Replies may leave through another link than the one that the request would be routed to.
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        // A Pod that reaches itself through a Service goes back where it came from: that is no wrong route.
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/default/send_redirects", "0"),
    ];
    for (name, value) in settings {
        set(name, value)?;
    }
    Ok(())
}

fn set(name: &str, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys/net").join(name);
    if std::fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
        return Ok(());
    }
    std::fs::write(&path, value).map_err(io(format!("set {} to {value}", path.display())))
}
