//! The check of `StarRocks` front ends, by their list of each other.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::{
    http,
    mysql::{self, Refusal},
    probe::{Failure, Verdict},
    tcp,
};
use crate::config::types::{CheckSource, HttpCheck, HttpVersion, StarrocksCheck, StarrocksRole};

/// What asks for the list; each version knows one of them, and each user may ask one of them.
const QUESTIONS: [&str; 2] = ["SHOW FRONTENDS", "SHOW PROC '/frontends'"];

/// A front end, as one of them lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    /// All that it is known by: name, address, host's name.
    pub names: Vec<String>,
    /// Its query port.
    pub query_port: Option<u16>,
    /// Whether it is alive.
    pub is_alive: bool,
    /// What part it plays; `None`: one that we do not know.
    pub part: Option<Part>,
}

/// What part a front end plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It takes writes.
    Leader,
    /// It votes.
    Follower,
    /// It only reads.
    Observer,
}

/// Asks the front end at the other end, which listens at `address`, for the list. Where nobody wants a role, its HTTP
/// port may stand in for it.
pub(super) async fn ask(
    check: &StarrocksCheck,
    address: SocketAddr,
    source: &CheckSource,
    stream: &mut TcpStream,
) -> Result<Verdict, Failure> {
    let Some(login) = &check.login else {
        return ask_over_http(check, address, source).await;
    };
    let error = match mysql::log_in(login, stream).await? {
        Err(error) => error,
        Ok(mut session) => match list(&mut session).await {
            Ok(frontends) => {
                session.quit().await?;
                return Ok(judge(check, address, &frontends));
            }
            Err(Refusal::Failure(failure)) => return Err(failure),
            Err(Refusal::Server(error)) => error,
        },
    };
    if check.role.is_some() {
        return Ok(Verdict::failed(error.to_string()));
    }
    let mut verdict = ask_over_http(check, address, source).await?;
    verdict.warning = Some(format!("asked its HTTP port only, since: {error}").into());
    Ok(verdict)
}

/// Asks whether the front end says that it is healthy, by `GET /api/health`.
pub(super) async fn ask_over_http(
    check: &StarrocksCheck,
    address: SocketAddr,
    source: &CheckSource,
) -> Result<Verdict, Failure> {
    let request = HttpCheck {
        method: "GET".to_owned(),
        target: "/api/health".to_owned(),
        version: HttpVersion::V1_1,
        headers: Vec::new(),
        login: None,
        status: vec![200..=200],
        body: Vec::new(),
        tls: None,
    };
    let port = check.http_port.get();
    let mut stream = tcp::connect(SocketAddr::new(address.ip(), port), source).await?;
    let mut verdict = http::ask(&request, &mut stream).await?;
    verdict.detail = format!("{} from /api/health", verdict.detail).into();
    Ok(verdict)
}

async fn list(session: &mut mysql::Session<'_>) -> Result<Vec<Frontend>, Refusal> {
    let [first, second] = QUESTIONS;
    let rows = match session.query(first).await {
        Err(Refusal::Server(_)) => session.query(second).await?,
        rows => rows?,
    };
    Ok(Frontend::all(&rows))
}

impl Frontend {
    /// From a list in either layout: `Role` says LEADER, or else FOLLOWER with a column `IsMaster`.
    fn all(rows: &mysql::Rows) -> Vec<Self> {
        let names = ["Name", "IP", "Host", "HostName"].map(|name| rows.column(&[name]));
        let [port, alive, role, master] =
            ["QueryPort", "Alive", "Role", "IsMaster"].map(|name| rows.column(&[name]));
        let is_true = |value: Option<&str>| value.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        rows.rows()
            .map(|row| Self {
                names: names
                    .iter()
                    .filter_map(|name| row.value(*name))
                    .map(str::to_owned)
                    .collect(),
                query_port: row.value(port).and_then(|port| port.parse().ok()),
                is_alive: is_true(row.value(alive)),
                part: Part::of(row.value(role), is_true(row.value(master))),
            })
            .collect()
    }

    fn is(&self, node: Option<&str>, address: SocketAddr) -> bool {
        if let Some(node) = node {
            return self.names.iter().any(|name| name == node);
        }
        let ip = address.ip().to_string();
        self.names.contains(&ip) && self.query_port.is_none_or(|port| port == address.port())
    }
}

impl Part {
    fn of(role: Option<&str>, is_master: bool) -> Option<Self> {
        match role?.to_ascii_uppercase().as_str() {
            "LEADER" | "MASTER" => Some(Self::Leader),
            "FOLLOWER" if is_master => Some(Self::Leader),
            "FOLLOWER" => Some(Self::Follower),
            "OBSERVER" => Some(Self::Observer),
            _ => None,
        }
    }

    fn plays(self, role: StarrocksRole) -> bool {
        match role {
            StarrocksRole::Leader => self == Self::Leader,
            StarrocksRole::Follower => self == Self::Follower,
            StarrocksRole::Observer => self == Self::Observer,
            StarrocksRole::Reader => self != Self::Leader,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
        }
    }
}

/// Whether the front end at `address` is alive, and plays the part that is wanted.
fn judge(check: &StarrocksCheck, address: SocketAddr, frontends: &[Frontend]) -> Verdict {
    let Some(own) = frontends
        .iter()
        .find(|one| one.is(check.node.as_deref(), address))
    else {
        let known = check.node.clone().unwrap_or_else(|| address.to_string());
        return Verdict::failed(format!(
            "no front end {known} in the cluster: `node` may say its name"
        ));
    };
    let part = own.part.map_or("of unknown role", Part::as_str);
    let is_right = check
        .role
        .is_none_or(|role| own.part.is_some_and(|part| part.plays(role)));
    let mut verdict = if !own.is_alive {
        Verdict::failed(format!("{part}, not alive"))
    } else if is_right {
        Verdict::ok(part)
    } else {
        Verdict::failed(part)
    };
    verdict.warning = lost_majority(frontends).map(Into::into);
    verdict
}

/// Of 2n + 1 front ends that vote, no more than n are alive.
fn lost_majority(frontends: &[Frontend]) -> Option<String> {
    let votes = |one: &&Frontend| matches!(one.part, Some(Part::Leader | Part::Follower));
    let all = frontends.iter().filter(votes).count();
    let alive = frontends.iter().filter(votes).filter(|one| one.is_alive).count();
    (all > 0 && alive <= all / 2)
        .then(|| format!("only {alive} of {all} front ends that vote are alive: the cluster has no majority"))
}
