//! The check of `MySQL` and `MariaDB` servers.
//!
//! The protocol is our own, as little of it as a check needs, and not `mysql_async`'s or `mysql_common`'s: neither lets
//! a connection come from a configured source, and both panic at some of the greetings and keys that a peer may send.

mod condition;
pub mod packet;
mod session;

pub use self::condition::Replica;
pub(super) use self::session::{Refusal, Rows, Session};
use self::{condition::judge, packet::ServerError};
use super::{
    probe::{Failure, Verdict},
    secret,
};
use crate::config::types::{Login, MysqlCheck, MysqlConditions};
use tokio::net::TcpStream;

/// Whom a check without a login says to be. Servers know no such user, and say so at the end of a handshake that was
/// complete: only handshakes that are not count towards `max_connect_errors`.
const NOBODY: &str = "ballast";
/// `ER_PARSE_ERROR`: the server is too old for the words, or too new.
const UNKNOWN_WORDS: u16 = 1064;

/// Shakes hands with the server at the other end, and asks it what it has to be asked.
pub(super) async fn ask(check: &MysqlCheck, stream: &mut TcpStream) -> Result<Verdict, Failure> {
    let Some(login) = &check.login else {
        return shake_hands(stream).await;
    };
    let mut session = match log_in(login, stream).await? {
        Ok(session) => session,
        Err(refusal) => return Ok(Verdict::failed(refusal.to_string())),
    };
    let verdict = match conditions(&check.conditions, &mut session).await {
        Ok(judged) => judged.map_or_else(Verdict::failed, Verdict::ok),
        Err(Refusal::Failure(failure)) => return Err(failure),
        Err(Refusal::Server(error)) => Verdict::failed(error.to_string()),
    };
    session.quit().await?;
    Ok(verdict)
}

/// Logs in, unless the server refuses.
pub(super) async fn log_in<'s>(
    login: &Login,
    stream: &'s mut TcpStream,
) -> Result<Result<Session<'s>, ServerError>, Failure> {
    let password = secret::of(login.password.as_ref()).await?;
    match Session::open(stream, &login.user, &password).await {
        Ok(session) => Ok(Ok(session)),
        Err(Refusal::Server(error)) => Ok(Err(error)),
        Err(Refusal::Failure(failure)) => Err(failure),
    }
}

async fn shake_hands(stream: &mut TcpStream) -> Result<Verdict, Failure> {
    match Session::open(stream, NOBODY, "").await {
        Ok(session) => {
            let detail = format!("handshake, {}", session.version());
            session.quit().await?;
            Ok(Verdict::ok(detail))
        }
        Err(Refusal::Server(error)) if error.denies_access() => Ok(Verdict::ok("handshake")),
        Err(Refusal::Server(error)) => Ok(Verdict::failed(error.to_string())),
        Err(Refusal::Failure(failure)) => Err(failure),
    }
}

/// Looks up what the conditions need to know, and no more.
async fn conditions(
    conditions: &MysqlConditions,
    session: &mut Session<'_>,
) -> Result<Result<String, String>, Refusal> {
    let read_only = if conditions.need_read_only() {
        let rows = session.query("SELECT @@global.read_only").await?;
        Some(rows.first_value().is_some_and(condition::is_on))
    } else {
        None
    };
    let replicas = if conditions.need_replication(read_only) {
        Some(replication(session).await?)
    } else {
        None
    };
    Ok(judge(conditions, read_only, replicas.as_deref()))
}

/// How the server's replication is, one entry for each source; none where it is no replica.
async fn replication(session: &mut Session<'_>) -> Result<Vec<Replica>, Refusal> {
    let rows = match session.query("SHOW REPLICA STATUS").await {
        Err(Refusal::Server(error)) if error.code == UNKNOWN_WORDS => {
            session.query("SHOW SLAVE STATUS").await?
        }
        rows => rows?,
    };
    Ok(Replica::all(&rows))
}
