//! Health checks, with the words of `haproxy.cfg`.

use std::{
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
    ops::RangeInclusive,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use super::Name;

/// Where a backend's health comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It is checked itself.
    Checked(Arc<Check>),
    /// It has the health of another backend, which is checked itself (`track`).
    Tracked {
        /// The other backend's service.
        service: Name,
        /// Its name within that.
        backend: Name,
    },
}

/// How a backend is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is asked.
    pub kind: CheckKind,
    /// Time between two checks of a backend that is up; default two seconds.
    pub inter: Duration,
    /// The same while results speak against the state that it is in; default `inter`.
    pub fastinter: Duration,
    /// The same for a backend that is down; default `inter`.
    pub downinter: Duration,
    /// Consecutive successes that bring a backend up, at least 1; default 2.
    pub rise: u32,
    /// Consecutive failures that take it down, at least 1; default 3.
    pub fall: u32,
    /// How long one check may take in all; default two seconds, or `inter` where that is shorter.
    pub timeout: Duration,
    /// Address to check instead of the backend's own.
    pub address: Option<IpAddr>,
    /// Port to check instead of the backend's own. Always there for a check of a UDP service that is not made over
    /// UDP, and for an agent.
    pub port: Option<NonZeroU16>,
    /// Where checks come from.
    pub source: CheckSource,
    /// Whether the service's own address has to answer on the backend too; only in modes `dsr` and `tunnel`.
    pub vip: bool,
    /// How often a backend may go down before it stays down for a while; `None`: as often as it likes.
    pub flaps: Option<Flaps>,
    /// What clients' connections tell about a backend; absent: they are not looked at.
    pub observe: Option<Observe>,
}

/// Where checks come from, unless routes decide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckSource {
    /// The source address; of the family of all addresses that are checked.
    pub address: Option<IpAddr>,
    /// The interface by which they leave.
    pub interface: Option<String>,
}

/// How much flapping is put up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaps {
    /// Times that a backend may go down within `window`.
    pub most: NonZeroU32,
    /// A backend that has gone down more often stays down until it has not.
    pub window: Duration,
}

/// Connections that a backend does not take, as the packet path counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observe {
    /// So many in a row, with none taken in between, are an error of the backend; default 10.
    pub error_limit: NonZeroU32,
    /// What follows.
    pub on_error: OnError,
}

/// What follows where a backend does not take clients' connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// It is checked at once, and at `fastinter` as long as that fails.
    FastInter,
    /// The same, and it counts as a failed check.
    FailCheck,
    /// The same, and it counts as all failed checks but one that take a backend down.
    SuddenDeath,
    /// It is down, and checked at once.
    MarkDown,
}

impl OnError {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::FastInter,
        Self::FailCheck,
        Self::SuddenDeath,
        Self::MarkDown,
    ];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FastInter => "fastinter",
            Self::FailCheck => "fail-check",
            Self::SuddenDeath => "sudden-death",
            Self::MarkDown => "mark-down",
        }
    }
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// No check: the backend counts as up.
    None,
    /// A TCP connection is accepted, and perhaps something said over it.
    Tcp(Exchange),
    /// A datagram is answered, or at least not refused by ICMP.
    Udp(Exchange),
    /// An HTTP request is answered as expected.
    Http(HttpCheck),
    /// A `MySQL` or `MariaDB` server takes a login, and is what it is wanted to be.
    Mysql(MysqlCheck),
    /// A `StarRocks` front end is alive, and has the role that is wanted.
    Starrocks(StarrocksCheck),
    /// An agent on the backend's host says how it is (`agent-check`).
    Agent(AgentCheck),
    /// A command says how it is by its exit code.
    Exec(ExecCheck),
}

/// Bytes to say and to hear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// What is sent first; empty: nothing, or an empty datagram.
    pub send: Vec<u8>,
    /// What has to be in the answer; empty: nothing.
    pub expect: Vec<u8>,
}

/// An HTTP health check. The answer may be as bare as `HTTP/1.1 200 OK\r\n` and a closed connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// Request method, default `GET`.
    pub method: String,
    /// Request target, default `/`.
    pub target: String,
    /// Version, default 1.1.
    pub version: HttpVersion,
    /// Header lines (name, value) besides what the request needs; `Host` may be among them.
    pub headers: Vec<(String, String)>,
    /// Who asks, by basic authentication; absent: nobody in particular.
    pub login: Option<Login>,
    /// Statuses that count as success, never empty; default 200..=399.
    pub status: Vec<RangeInclusive<u16>>,
    /// What has to be in the answer's body; empty: nothing.
    pub body: Vec<u8>,
    /// Over TLS; absent: in the open.
    pub tls: Option<Tls>,
}

/// Versions of HTTP that a check can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.0.
    V1_0,
    /// HTTP/1.1.
    V1_1,
}

impl HttpVersion {
    /// All of them.
    pub const ALL: &[Self] = &[Self::V1_0, Self::V1_1];

    /// The configuration's word for it, which is also that of the wire behind `HTTP/`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
        }
    }
}

/// What is asked of a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whether it has to be valid; default yes.
    pub verify: bool,
    /// Certificates of those who may have signed it (PEM); absent: those that the host trusts.
    pub ca_file: Option<PathBuf>,
    /// The name it has to be for, and that is asked for; absent: the address that is checked.
    pub server_name: Option<String>,
}

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password; absent: none.
    pub password: Option<Secret>,
}

/// Where a secret is. What it is, no configuration holds: it is read when it is needed, and then forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file, up to the end of its first line.
    File(PathBuf),
    /// In this variable of the daemon's environment.
    Environment(String),
}

/// A check of a `MySQL` or `MariaDB` server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlCheck {
    /// Who logs in; absent: nobody whom the server knows, whose refusal counts as success.
    pub login: Option<Login>,
    /// What the server has to be; without `login` it may be anything.
    pub conditions: MysqlConditions,
}

/// What a `MySQL` or `MariaDB` server has to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MysqlConditions {
    /// Its role; any where absent.
    pub role: Option<MysqlRole>,
    /// What its variable `read_only` has to be; anything where absent.
    pub read_only: Option<bool>,
    /// Whether it has to be a replica whose threads run.
    pub replication: bool,
    /// How far a replica may be behind its source.
    pub max_lag: Option<Duration>,
}

/// What part a database server plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MysqlRole {
    /// It takes writes: `read_only` is off.
    Writer,
    /// It is a replica: `read_only` is on, and its replication runs.
    Replica,
    /// It has what there is to read: a writer, or a replica whose replication runs.
    Reader,
}

impl MysqlRole {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Writer, Self::Replica, Self::Reader];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Replica => "replica",
            Self::Reader => "reader",
        }
    }
}

/// A check of a `StarRocks` front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarrocksCheck {
    /// Who asks for the list of front ends; absent: only its HTTP port is asked whether it is healthy.
    pub login: Option<Login>,
    /// The role that it has to have; any where absent.
    pub role: Option<StarrocksRole>,
    /// Its HTTP port; default 8030.
    pub http_port: NonZeroU16,
    /// What the cluster knows it by, where that is not the address that is checked.
    pub node: Option<String>,
}

/// What part a `StarRocks` front end plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StarrocksRole {
    /// It takes writes.
    Leader,
    /// It votes, and is not the leader.
    Follower,
    /// It only reads.
    Observer,
    /// A follower or an observer.
    Reader,
}

impl StarrocksRole {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Leader, Self::Follower, Self::Observer, Self::Reader];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::Reader => "reader",
        }
    }
}

/// A question to an agent on the backend's host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentCheck {
    /// What is sent first (`agent-send`); empty: nothing.
    pub send: Vec<u8>,
}

/// A command that checks a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecCheck {
    /// An absolute path, and arguments.
    pub command: Vec<String>,
    /// Variables of its environment besides those that name the backend, as (name, value).
    pub environment: Vec<(String, String)>,
}
