//! The HTTP check: one request, and the status of its answer.

use std::net::SocketAddr;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use memchr::memmem::{self, Finder};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    probe::{Failure, Verdict, printable},
    secret,
    tcp::{self, read_until},
    tls,
};
use crate::config::types::{HttpCheck, Login};

/// Sends the request to the backend at the other end and judges its answer.
pub(super) async fn ask(check: &HttpCheck, stream: &mut TcpStream) -> Result<Verdict, Failure> {
    let peer = stream.peer_addr()?;
    match &check.tls {
        None => exchange(check, peer, stream).await,
        Some(tls) => exchange(check, peer, &mut tls::wrap(tls, peer, stream).await?).await,
    }
}

async fn exchange(
    check: &HttpCheck,
    peer: SocketAddr,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<Verdict, Failure> {
    let request = request(check, peer, authorization(check).await?.as_deref());
    // Scripts under xinetd answer without reading the request, so that it may meet a closed socket, and reset
    // the connection behind their answer. An error counts only where there is no answer.
    let sent = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await
    }
    .await;
    let body = Finder::new(&check.body);
    let is_enough = |answer: &[u8]| {
        if check.body.is_empty() {
            answer.contains(&b'\n')
        } else {
            body.find(body_of(answer)).is_some()
        }
    };
    let (answer, end) = read_until(stream, tcp::MOST_READ, is_enough).await;
    if answer.is_empty() {
        sent.and(end)?;
    }
    Ok(judge(check, &answer))
}

/// What an answer, or the beginning of one, means.
fn judge(check: &HttpCheck, answer: &[u8]) -> Verdict {
    let status = match Answer::parse(answer) {
        Answer::Status(status) => status,
        Answer::Nothing => return Verdict::failed("connection closed without an answer"),
        Answer::Garbage(start) => return Verdict::failed(format!("not an HTTP answer: {start}")),
    };
    let is_right = check.status.iter().any(|range| range.contains(&status));
    if is_right && memmem::find(body_of(answer), &check.body).is_none() {
        return Verdict::failed(format!("HTTP {status} without the expected body"));
    }
    if is_right {
        Verdict::ok(format!("HTTP {status}"))
    } else {
        Verdict::failed(format!("HTTP {status}"))
    }
}

/// What stands behind an answer's header: behind the first empty line, or nothing.
#[must_use]
pub fn body_of(answer: &[u8]) -> &[u8] {
    let ends = [b"\r\n\r\n".as_slice(), b"\n\n"];
    let starts = ends
        .into_iter()
        .filter_map(|end| Some(memmem::find(answer, end)? + end.len()));
    starts.min().map_or(&[], |start| &answer[start..])
}

/// Who asks, as the header has it.
async fn authorization(check: &HttpCheck) -> Result<Option<String>, Failure> {
    let Some(Login { user, password }) = &check.login else {
        return Ok(None);
    };
    let password = secret::of(password.as_ref()).await?;
    let both = BASE64_STANDARD.encode(format!("{user}:{password}"));
    Ok(Some(format!("Authorization: Basic {both}\r\n")))
}

fn request(check: &HttpCheck, peer: SocketAddr, authorization: Option<&str>) -> String {
    let HttpCheck {
        method,
        target,
        version,
        headers,
        ..
    } = check;
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let host = (!given("Host")).then(|| format!("Host: {peer}\r\n"));
    let connection = (!given("Connection")).then(|| "Connection: close\r\n".to_owned());
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = host.into_iter().chain(connection).chain(headers).collect();
    let (version, authorization) = (version.as_str(), authorization.unwrap_or_default());
    format!("{method} {target} HTTP/{version}\r\n{headers}{authorization}\r\n")
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
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
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let line = bytes
            .split_inclusive(|&byte| byte == b'\n')
            .next()
            .unwrap_or_default();
        let mut response = httparse::Response::new(&mut []);
        match (response.parse(line), response.code) {
            (Ok(_), Some(status)) => Self::Status(status),
            _ if line.is_empty() => Self::Nothing,
            _ => Self::Garbage(printable(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::types::HttpVersion;

    fn check(headers: &[(&str, &str)]) -> HttpCheck {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let headers = headers.iter().map(owned).collect();
        HttpCheck {
            method: "OPTIONS".to_owned(),
            target: "*".to_owned(),
            headers,
            status: vec![200..=399],
            version: HttpVersion::V1_1,
            login: None,
            body: Vec::new(),
            tls: None,
        }
    }

    fn peer() -> SocketAddr {
        "[fd00::80]:48700".parse().unwrap()
    }

    #[test]
    fn what_a_request_needs_is_added() {
        let expected =
            "OPTIONS * HTTP/1.1\r\nHost: [fd00::80]:48700\r\nConnection: close\r\nX-Why: check\r\n\r\n";
        assert_eq!(request(&check(&[("X-Why", "check")]), peer(), None), expected);
    }

    #[test]
    fn what_is_given_is_kept() {
        let given = check(&[("host", "www"), ("CONNECTION", "keep-alive")]);
        let expected = "OPTIONS * HTTP/1.1\r\nhost: www\r\nCONNECTION: keep-alive\r\n\r\n";
        assert_eq!(request(&given, peer(), None), expected);
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

    #[test]
    fn a_body_begins_behind_the_first_empty_line() {
        for (answer, body) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nUP\n\nmore", "UP\n\nmore"),
            ("HTTP/1.0 200 OK\nA: b\n\nUP\r\n\r\n", "UP\r\n\r\n"),
            ("HTTP/1.1 200 OK\r\nUP", ""),
            ("", ""),
        ] {
            assert_eq!(body_of(answer.as_bytes()), body.as_bytes(), "{answer:?}");
        }
    }
}
