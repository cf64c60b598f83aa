//! The HTTP check: one request, and the status of its answer.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::config::types::HttpCheck;

/// What is read at most in search of the status line: as much as common servers allow a whole header.
const LONGEST_STATUS_LINE: u64 = 8 * 1024;

/// Sends the request to the backend at the other end and reads the status line of its answer, nothing more.
pub(super) async fn exchange(check: &HttpCheck, stream: &mut TcpStream) -> io::Result<Answer> {
    let request = request(check, stream.peer_addr()?);
    // Scripts under xinetd answer without reading the request, so that it may meet a closed socket, and reset
    // the connection behind their answer. An error counts only where there is no answer.
    let sent = stream.write_all(request.as_bytes()).await;
    let (line, end) = status_line(stream).await;
    if line.is_empty() {
        sent.and(end)?;
    }
    Ok(Answer::parse(&line))
}

/// The bytes up to the first line's end, or as far as they came, and how the reading ended.
async fn status_line(stream: impl AsyncRead + Unpin) -> (Vec<u8>, io::Result<()>) {
    let mut line = Vec::new();
    let mut stream = stream.take(LONGEST_STATUS_LINE);
    while !line.contains(&b'\n') {
        match stream.read_buf(&mut line).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return (line, Err(error)),
        }
    }
    (line, Ok(()))
}

fn request(check: &HttpCheck, peer: SocketAddr) -> String {
    let HttpCheck {
        method,
        target,
        headers,
        status: _,
    } = check;
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let host = (!given("Host")).then(|| format!("Host: {peer}\r\n"));
    let connection = (!given("Connection")).then(|| "Connection: close\r\n".to_owned());
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = host.into_iter().chain(connection).chain(headers).collect();
    format!("{method} {target} HTTP/1.1\r\n{headers}\r\n")
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// An HTTP status.
    Status(u16),
    /// The connection was closed without a byte.
    Nothing,
    /// Something else; its beginning, made printable.
    Garbage(String),
}

impl Answer {
    /// Looks at the first line only: the scripts that answer checks on many database hosts send no header and
    /// no blank line after it.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let line = bytes
            .split_inclusive(|&byte| byte == b'\n')
            .next()
            .unwrap_or_default();
        let mut response = httparse::Response::new(&mut []);
        match (response.parse(line), response.code) {
            (Ok(_), Some(status)) => Self::Status(status),
            _ if line.is_empty() => Self::Nothing,
            _ => Self::Garbage(
                line.iter()
                    .take(40)
                    .flat_map(|byte| byte.escape_ascii())
                    .map(char::from)
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)]) -> HttpCheck {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let headers = headers.iter().map(owned).collect();
        HttpCheck {
            method: "OPTIONS".to_owned(),
            target: "*".to_owned(),
            headers,
            status: (200, 399),
        }
    }

    fn peer() -> SocketAddr {
        "[fd00::80]:48700".parse().unwrap()
    }

    #[test]
    fn what_a_request_needs_is_added() {
        let expected =
            "OPTIONS * HTTP/1.1\r\nHost: [fd00::80]:48700\r\nConnection: close\r\nX-Why: check\r\n\r\n";
        assert_eq!(request(&check(&[("X-Why", "check")]), peer()), expected);
    }

    #[test]
    fn what_is_given_is_kept() {
        let given = check(&[("host", "www"), ("CONNECTION", "keep-alive")]);
        let expected = "OPTIONS * HTTP/1.1\r\nhost: www\r\nCONNECTION: keep-alive\r\n\r\n";
        assert_eq!(request(&given, peer()), expected);
    }

    #[test]
    fn the_status_is_found_in_all_that_servers_send() {
        for answer in [
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody",
            "HTTP/1.0 200 Fine\n",
            "HTTP/1.1 200\r\n",
            "HTTP/1.1 200 ",
            "HTTP/1.1 200 OK",
            "HTTP/1.1 200 OK\r\nnot: \0 a header",
        ] {
            assert_eq!(
                Answer::parse(answer.as_bytes()),
                Answer::Status(200),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn what_is_not_http_is_shown() {
        for (answer, shown) in [
            ("SSH-2.0-OpenSSH_9.2\r\nmore", "SSH-2.0-OpenSSH_9.2\\r\\n"),
            ("HTTP/1.1 20", "HTTP/1.1 20"),
            ("HTTP/1.1 2000 OK\r\n", "HTTP/1.1 2000 OK\\r\\n"),
            ("\u{1b}[2J\0", "\\x1b[2J\\x00"),
        ] {
            assert_eq!(
                Answer::parse(answer.as_bytes()),
                Answer::Garbage(shown.to_owned())
            );
        }
        assert_eq!(Answer::parse(b""), Answer::Nothing);
    }

    #[tokio::test]
    async fn an_endless_line_is_not_read() {
        let (line, end) = status_line(tokio::io::repeat(b'x')).await;
        assert_eq!(line.len() as u64, LONGEST_STATUS_LINE);
        assert!(end.is_ok());
    }
}
