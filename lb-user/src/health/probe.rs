//! One check of one backend.

use std::{borrow::Cow, io, net::SocketAddr, time::Instant};

use tokio::{
    net::TcpStream,
    time::{self, error::Elapsed},
};

use super::{Orders, Outcome, Report, Vip, agent, exec, http, mysql, starrocks, tcp, udp};
use crate::config::types::{Check, CheckKind};

/// What to ask a backend.
#[derive(Debug)]
pub(super) struct Probe<'a> {
    /// Whom.
    pub(super) address: SocketAddr,
    /// What, and for how long in all.
    pub(super) check: &'a Check,
    /// The service's own addresses, where they have to answer too.
    pub(super) vip: Option<&'a Vip>,
}

/// A report, and the connection it was got over, which waits to be closed.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) report: Report,
    pub(super) connection: Option<TcpStream>,
}

/// What a backend's answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) detail: Cow<'static, str>,
    pub(super) warning: Option<Box<str>>,
    pub(super) orders: Orders,
}

impl Verdict {
    pub(super) fn ok(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Outcome::Ok, detail)
    }

    pub(super) fn failed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Outcome::Failed, detail)
    }

    fn new(outcome: Outcome, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
            warning: None,
            orders: Orders::default(),
        }
    }
}

/// Why there is no answer to judge.
#[derive(Debug)]
pub(super) enum Failure {
    /// The backend's doing, in words.
    Backend(Cow<'static, str>),
    /// This host could not even ask.
    Host(io::Error),
}

impl Failure {
    /// The backend's doing.
    pub(super) fn of_backend(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Backend(detail.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if is_our_own(&error) {
            Self::Host(error)
        } else {
            Self::Backend(in_words(&error).into())
        }
    }
}

impl Probe<'_> {
    /// Asks. An error says that this host lacks something that asking takes, such as a file descriptor, which
    /// must not be laid at the backend's door.
    pub(super) async fn run(&self) -> io::Result<Finished> {
        let started = Instant::now();
        let deadline = time::Instant::now() + self.check.timeout;
        let (mut verdict, connection) = self.ask(deadline).await;
        if let (
            Ok(Verdict {
                outcome: Outcome::Ok, ..
            }),
            Some(vip),
        ) = (&verdict, self.vip)
        {
            let missing = "no answer from the service's own address";
            verdict = self.within(deadline, missing, vip.ask()).await.and(verdict);
        }
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(Failure::Backend(detail)) => Verdict::failed(detail),
            Err(Failure::Host(error)) => return Err(error),
        };
        let at = Instant::now();
        let Verdict {
            outcome,
            detail,
            warning,
            orders,
        } = verdict;
        Ok(Finished {
            report: Report {
                outcome,
                detail,
                warning,
                orders,
                duration: at - started,
                at,
            },
            connection,
        })
    }

    async fn ask(&self, deadline: time::Instant) -> (Result<Verdict, Failure>, Option<TcpStream>) {
        let source = &self.check.source;
        let verdict = match &self.check.kind {
            CheckKind::Udp(exchange) => udp::ask(exchange, self.address, source, deadline).await,
            CheckKind::Exec(exec) => {
                self.within(deadline, "no end", exec::ask(exec, self.address))
                    .await
            }
            CheckKind::Starrocks(check) if check.login.is_none() => {
                let asked = starrocks::ask_over_http(check, self.address, source);
                self.within(deadline, "no answer", asked).await
            }
            CheckKind::None
            | CheckKind::Tcp(_)
            | CheckKind::Http(_)
            | CheckKind::Mysql(_)
            | CheckKind::Starrocks(_)
            | CheckKind::Agent(_) => return self.ask_over_tcp(deadline).await,
        };
        (verdict, None)
    }

    async fn ask_over_tcp(&self, deadline: time::Instant) -> (Result<Verdict, Failure>, Option<TcpStream>) {
        let connected = tcp::connect(self.address, &self.check.source);
        let mut connection = match self.within(deadline, "no connection", connected).await {
            Ok(connection) => connection,
            Err(failure) => return (Err(failure), None),
        };
        let conversed = self.converse(&mut connection);
        let verdict = self.within(deadline, "no answer", conversed).await;
        (verdict, Some(connection))
    }

    /// Says over a connection what the check has to say.
    async fn converse(&self, connection: &mut TcpStream) -> Result<Verdict, Failure> {
        match &self.check.kind {
            CheckKind::Tcp(exchange) => tcp::ask(exchange, connection).await,
            CheckKind::Http(http) => http::ask(http, connection).await,
            CheckKind::Mysql(mysql) => mysql::ask(mysql, connection).await,
            CheckKind::Starrocks(check) => {
                starrocks::ask(check, self.address, &self.check.source, connection).await
            }
            CheckKind::Agent(agent) => agent::ask(agent, connection).await,
            CheckKind::None | CheckKind::Udp(_) | CheckKind::Exec(_) => Ok(Verdict::ok("connected")),
        }
    }

    /// What a step gives, or that it gave nothing in time.
    async fn within<T>(
        &self,
        deadline: time::Instant,
        missing: &str,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let too_late = |_: Elapsed| {
            let timeout = humantime::format_duration(self.check.timeout);
            Failure::of_backend(format!("{missing} within {timeout}"))
        };
        time::timeout_at(deadline, step).await.map_err(too_late)?
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

/// A peer's bytes for people to read: the beginning, with everything but printable ASCII escaped.
pub(super) fn printable(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    bytes
        .iter()
        .take(SHOWN)
        .flat_map(|byte| byte.escape_ascii())
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpSocket;

    use super::*;
    use crate::config::types::Exchange;

    /// A listener whose queue is full drops the handshake, as a host that is off or a firewall does.
    #[tokio::test]
    async fn a_connection_that_is_not_answered_times_out() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let check = Check {
            timeout: Duration::from_millis(200),
            ..super::super::tests::check(CheckKind::Tcp(Exchange::default()))
        };
        let probe = Probe {
            address: listener.local_addr().unwrap(),
            check: &check,
            vip: None,
        };
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
        assert!(report.duration >= check.timeout);
    }

    #[test]
    fn what_this_host_lacks_is_not_the_backends_fault() {
        let judge = |code| Failure::from(io::Error::from_raw_os_error(code));
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(matches!(judge(code), Failure::Host(_)), "{code}");
        }
        for (code, words) in [
            (libc::ECONNRESET, "connection reset by peer"),
            (libc::EHOSTUNREACH, "no route to host"),
        ] {
            assert!(
                matches!(judge(code), Failure::Backend(detail) if detail == words),
                "{words}"
            );
        }
    }
}
