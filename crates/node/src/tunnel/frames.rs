//! The subprotocols `v4.channel.k8s.io` and `v5.channel.k8s.io`: the first byte of each binary websocket message is its
//! channel (staging/src/k8s.io/apimachinery/pkg/util/remotecommand in Kubernetes). Pure.

use serde_json::{Value, json};

use crate::runtime::{ExitStatus, TerminalSize};

/// Output of the process.
pub(super) const STDOUT: u8 = 1;
/// Its errors.
pub(super) const STDERR: u8 = 2;
/// How it ended, a Status.
pub(super) const STATUS: u8 = 3;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input<'a> {
    /// For the process' standard input.
    Stdin(&'a [u8]),
    /// The terminal has another size.
    Resize(TerminalSize),
    /// The standard input is at its end (v5 only).
    CloseStdin,
    /// Nothing that matters.
    Ignored,
}

/// Reads one message.
pub(super) fn input(message: &[u8]) -> Input<'_> {
    match message.split_first() {
        Some((0, bytes)) => Input::Stdin(bytes),
        Some((4, bytes)) => resize(bytes).map_or(Input::Ignored, Input::Resize),
        Some((255, [0])) => Input::CloseStdin,
        _ => Input::Ignored,
    }
}

fn resize(bytes: &[u8]) -> Option<TerminalSize> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let number = |name: &str| value[name].as_u64().and_then(|n| u16::try_from(n).ok());
    Some(TerminalSize { rows: number("Height")?, columns: number("Width")? })
}

/// One message of the node.
pub(super) fn output(channel: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    message
}

/// The Status that tells how the process ended.
pub(super) fn exit(result: &Result<ExitStatus, String>) -> Vec<u8> {
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
    output(STATUS, status.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs() {
        assert_eq!(input(b"\x00abc"), Input::Stdin(b"abc"));
        assert_eq!(input(b"\x00"), Input::Stdin(b""));
        let size = TerminalSize { rows: 24, columns: 80 };
        assert_eq!(input(b"\x04{\"Width\":80,\"Height\":24}"), Input::Resize(size));
        assert_eq!(input(b"\xff\x00"), Input::CloseStdin);
        for other in [&b""[..], b"\x01x", b"\x04{}", b"\x04nonsense", b"\xff\x01", b"\x09"] {
            assert_eq!(input(other), Input::Ignored, "{other:?}");
        }
    }

    #[test]
    fn exits() {
        let text = |result| {
            let message = exit(&result);
            assert_eq!(message[0], STATUS);
            serde_json::from_slice::<Value>(&message[1..]).unwrap()
        };
        assert_eq!(text(Ok(ExitStatus::default())), json!({"metadata": {}, "status": "Success"}));
        let failed = text(Ok(ExitStatus { exit_code: 7, signal: 0 }));
        assert_eq!(failed["reason"], "NonZeroExitCode");
        assert_eq!(failed["details"]["causes"][0], json!({"reason": "ExitCode", "message": "7"}));
        assert_eq!(text(Err("x".into()))["reason"], "InternalError");
    }
}
