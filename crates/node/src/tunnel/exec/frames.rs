//! The subprotocols `v4.channel.k8s.io` and `v5.channel.k8s.io`: the first byte of each binary websocket message is its
//! channel (staging/src/k8s.io/apimachinery/pkg/util/remotecommand in Kubernetes). Pure.

use bytes::Bytes;
use serde_json::{Value, json};

use super::converse::{Channel, Said};
use crate::runtime::{ExitStatus, TerminalSize};

/// Reads one message; `None` if it says nothing that matters.
pub(super) fn input(message: Bytes) -> Option<Said> {
    match message.split_first()? {
        (0, _) => Some(Said::Stdin(message.slice(1..))),
        (4, text) => size(text).map(Said::Resize),
        // v5 only
        (255, [0]) => Some(Said::CloseStdin),
        _ => None,
    }
}

/// The size of a terminal, `{"Width":80,"Height":24}`.
pub(super) fn size(text: &[u8]) -> Option<TerminalSize> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let number = |name: &str| value[name].as_u64().and_then(|n| u16::try_from(n).ok());
    Some(TerminalSize { rows: number("Height")?, columns: number("Width")? })
}

/// One message of the node.
pub(super) fn output(channel: Channel, bytes: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel as u8);
    message.extend_from_slice(bytes);
    message.into()
}

/// The Status that tells how the process ended.
pub(super) fn exit(result: &Result<ExitStatus, String>) -> Bytes {
    let status = match result {
        Ok(exit) if exit.exit_code == 0 => json!({"metadata": {}, "status": "Success"}),
        Ok(exit) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {}", exit.exit_code),
            "details": {"causes": [{"reason": "ExitCode", "message": exit.exit_code.to_string()}]},
        }),
        Err(message) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("Internal error occurred: {message}"),
        }),
    };
    status.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs() {
        let said = |message: &'static [u8]| input(Bytes::from_static(message));
        assert_eq!(said(b"\x00abc"), Some(Said::Stdin("abc".into())));
        assert_eq!(said(b"\x00"), Some(Said::Stdin("".into())));
        let size = TerminalSize { rows: 24, columns: 80 };
        assert_eq!(said(b"\x04{\"Width\":80,\"Height\":24}"), Some(Said::Resize(size)));
        assert_eq!(said(b"\xff\x00"), Some(Said::CloseStdin));
        for other in [&b""[..], b"\x01x", b"\x04{}", b"\x04nonsense", b"\xff\x01", b"\x09"] {
            assert_eq!(said(other), None, "{other:?}");
        }
        assert_eq!(output(Channel::Stderr, b"no"), "\x02no");
    }

    #[test]
    fn exits() {
        let text = |result| serde_json::from_slice::<Value>(&exit(&result)).unwrap();
        assert_eq!(text(Ok(ExitStatus::default())), json!({"metadata": {}, "status": "Success"}));
        let failed = text(Ok(ExitStatus { exit_code: 7, signal: 0 }));
        assert_eq!(failed["reason"], "NonZeroExitCode");
        assert_eq!(failed["details"]["causes"][0], json!({"reason": "ExitCode", "message": "7"}));
        assert_eq!(text(Err("x".into()))["reason"], "InternalError");
    }
}
