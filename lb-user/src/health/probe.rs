//! One check of one backend.

use std::{
    borrow::Cow,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    time::{self, error::Elapsed},
};

use super::{
    Outcome, Report,
    http::{self, Answer},
    tcp,
};
use crate::config::types::HttpCheck;

/// What to ask a backend over the network.
#[derive(Debug)]
pub(super) struct Probe<'a> {
    /// Whom.
    pub(super) address: SocketAddr,
    /// For how long in all.
    pub(super) timeout: Duration,
    /// What, once it accepts the connection; `None`: nothing more.
    pub(super) http: Option<&'a HttpCheck>,
}

/// A verdict, and the connection it was got over, which waits to be closed.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) report: Report,
    pub(super) connection: Option<TcpStream>,
}

/// Why a check did not succeed.
enum Failure {
    /// The backend's doing, in words.
    Backend(Cow<'static, str>),
    /// This host could not even ask.
    Host(io::Error),
}

impl Probe<'_> {
    /// Asks. An error says that this host lacks something that asking takes, such as a file descriptor, which
    /// must not be laid at the backend's door.
    pub(super) async fn run(&self) -> io::Result<Finished> {
        let started = Instant::now();
        let deadline = time::Instant::now() + self.timeout;
        let (verdict, connection) = match self.connect(deadline).await {
            Ok(mut connection) => (self.ask(&mut connection, deadline).await, Some(connection)),
            Err(failure) => (Err(failure), None),
        };
        let (outcome, detail) = match verdict {
            Ok(detail) => (Outcome::Ok, detail),
            Err(Failure::Backend(detail)) => (Outcome::Failed, detail),
            Err(Failure::Host(error)) => return Err(error),
        };
        let at = Instant::now();
        Ok(Finished {
            report: Report {
                outcome,
                detail,
                duration: at - started,
                at,
            },
            connection,
        })
    }

    async fn connect(&self, deadline: time::Instant) -> Result<TcpStream, Failure> {
        let connected = time::timeout_at(deadline, tcp::connect(self.address)).await;
        self.judge(connected, "no connection")
    }

    async fn ask(
        &self,
        connection: &mut TcpStream,
        deadline: time::Instant,
    ) -> Result<Cow<'static, str>, Failure> {
        let Some(http) = self.http else {
            return Ok("connected".into());
        };
        let answered = time::timeout_at(deadline, http::exchange(http, connection)).await;
        match self.judge(answered, "no answer")? {
            Answer::Status(status) if (http.status.0..=http.status.1).contains(&status) => {
                Ok(format!("HTTP {status}").into())
            }
            Answer::Status(status) => Err(Failure::Backend(format!("HTTP {status}").into())),
            Answer::Nothing => Err(Failure::Backend("connection closed without an answer".into())),
            Answer::Garbage(start) => Err(Failure::Backend(format!("not an HTTP answer: {start}").into())),
        }
    }

    fn judge<T>(&self, result: Result<io::Result<T>, Elapsed>, missing: &str) -> Result<T, Failure> {
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if is_our_own(&error) => Err(Failure::Host(error)),
            Ok(Err(error)) => Err(Failure::Backend(in_words(&error).into())),
            Err(Elapsed { .. }) => {
                let timeout = humantime::format_duration(self.timeout);
                Err(Failure::Backend(format!("{missing} within {timeout}").into()))
            }
        }
    }
}

/// Whether an error tells of this host's limits instead of the backend.
fn is_our_own(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// An error as an operator would say it: without the number that the standard library appends.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    words.to_lowercase()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    fn probe(address: SocketAddr) -> Probe<'static> {
        Probe {
            address,
            timeout: Duration::from_millis(200),
            http: None,
        }
    }

    /// A listener whose queue is full drops the handshake, as a host that is off or a firewall does.
    #[tokio::test]
    async fn a_connection_that_is_not_answered_times_out() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let probe = probe(listener.local_addr().unwrap());
        let mut queued = Vec::new();
        let report = loop {
            let Finished { report, connection } = probe.run().await.unwrap();
            match connection {
                Some(connection) => queued.push(connection),
                None => break report,
            }
        };
        assert_eq!(
            (report.outcome, report.detail.as_ref()),
            (Outcome::Failed, "no connection within 200ms")
        );
        assert!(report.duration >= probe.timeout);
    }

    #[test]
    fn what_this_host_lacks_is_not_the_backends_fault() {
        let probe = probe("127.0.0.1:1".parse().unwrap());
        let judge = |code| probe.judge::<()>(Ok(Err(io::Error::from_raw_os_error(code))), "");
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(matches!(judge(code), Err(Failure::Host(_))), "{code}");
        }
        for (code, words) in [
            (libc::ECONNRESET, "connection reset by peer"),
            (libc::EHOSTUNREACH, "no route to host"),
        ] {
            assert!(
                matches!(judge(code), Err(Failure::Backend(detail)) if detail == words),
                "{words}"
            );
        }
    }
}
