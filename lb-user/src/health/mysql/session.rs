//! A conversation with a `MySQL` server over a connection, in packets.

use std::fmt;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::packet::{self, Greeting, MOST_READ, Nullable, Reply, ServerError};
use crate::health::probe::Failure;

const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
/// In answer to a proof by `caching_sha2_password`: the server knows it, or would have the password itself.
const PROOF_IS_KNOWN: u8 = 0x03;
/// The widest answer known has some sixty columns, the longest a row for each node of a cluster.
const MOST_COLUMNS: u64 = 256;
const MOST_ROWS: usize = 1024;

/// Logged in.
pub(crate) struct Session<'s> {
    stream: &'s mut TcpStream,
    /// The number of the next packet.
    number: u8,
    version: String,
}

/// Why a session does not go on.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The server says why.
    Server(ServerError),
    /// It broke off, or made no sense.
    Failure(Failure),
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Failure(error.into())
    }
}

impl From<ServerError> for Refusal {
    fn from(error: ServerError) -> Self {
        Self::Server(error)
    }
}

fn nonsense(what: impl fmt::Display) -> Refusal {
    Refusal::Failure(Failure::of_backend(format!("not MySQL: {what}")))
}

impl<'s> Session<'s> {
    /// Logs in at the server at the other end.
    pub(crate) async fn open(stream: &'s mut TcpStream, user: &str, password: &str) -> Result<Self, Refusal> {
        let mut session = Self {
            stream,
            number: 0,
            version: String::new(),
        };
        let payload = session.read().await?;
        let Greeting {
            version,
            nonce,
            more_nonce,
            plugin,
        } = packet::greeting(&payload).ok_or_else(|| nonsense("no greeting"))??;
        version.clone_into(&mut session.version);
        let plugin = packet::known(plugin);
        let proof = packet::proof(plugin, password, &[nonce, more_nonce].concat()).unwrap_or_default();
        session.write(&packet::login(user, &proof, plugin)).await?;
        session.identify(password).await?;
        Ok(session)
    }

    /// The server's version, as it names it.
    pub(crate) fn version(&self) -> String {
        self.version
            .chars()
            .take(40)
            .collect::<String>()
            .escape_debug()
            .to_string()
    }

    /// Answers what the server asks until it is content.
    async fn identify(&mut self, password: &str) -> Result<(), Refusal> {
        // A switch, a word about the proof, and the end: nobody asks for more.
        for _ in 0..4 {
            let payload = self.read().await?;
            match packet::reply(&payload).ok_or_else(|| nonsense("no answer to a login"))? {
                Reply::Done => return Ok(()),
                Reply::Error(error) => return Err(error.into()),
                Reply::More(&[PROOF_IS_KNOWN]) => {}
                Reply::More(_) => {
                    let why = "the server wants the password itself, which is not sent in the open: identify the \
                               check's user by mysql_native_password";
                    return Err(Refusal::Failure(Failure::of_backend(why)));
                }
                Reply::Switch(plugin, nonce) => {
                    let proof = packet::proof(plugin, password, nonce).ok_or_else(|| {
                        let plugin = plugin.escape_debug();
                        Refusal::Failure(Failure::of_backend(format!(
                            "the user is identified by {plugin:.40}"
                        )))
                    })?;
                    self.write(&proof).await?;
                }
            }
        }
        Err(nonsense("a login without an end"))
    }

    /// Asks, and takes all rows.
    pub(crate) async fn query(&mut self, query: &str) -> Result<Rows, Refusal> {
        self.command(QUERY, query.as_bytes()).await?;
        let payload = self.read().await?;
        let count = packet::columns(&payload).ok_or_else(|| nonsense("no result"))??;
        if count > MOST_COLUMNS {
            return Err(nonsense("too many columns"));
        }
        let mut rows = Rows::default();
        if count == 0 {
            return Ok(rows);
        }
        for _ in 0..count {
            let payload = self.read().await?;
            let name = packet::column(&payload).ok_or_else(|| nonsense("no column"))?;
            rows.columns.push(name.to_owned());
        }
        self.read().await?;
        loop {
            let payload = self.read().await?;
            if packet::is_end(&payload) {
                return Ok(rows);
            }
            if rows.rows.len() >= MOST_ROWS {
                return Err(nonsense("too many rows"));
            }
            let row = packet::row(&payload, rows.columns.len()).ok_or_else(|| nonsense("no row"))?;
            rows.rows.push(row);
        }
    }

    /// Says goodbye, so that the server counts nothing as aborted.
    pub(crate) async fn quit(mut self) -> Result<(), Failure> {
        match self.command(QUIT, &[]).await {
            Ok(()) => Ok(()),
            Err(Refusal::Failure(failure)) => Err(failure),
            Err(Refusal::Server(error)) => Err(Failure::of_backend(error.to_string())),
        }
    }

    async fn command(&mut self, command: u8, argument: &[u8]) -> Result<(), Refusal> {
        self.number = 0;
        self.write(&[&[command], argument].concat()).await
    }

    async fn write(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        let length = u32::try_from(payload.len()).map_err(|_| nonsense("a packet too long"))?;
        let [low, middle, high, _] = length.to_le_bytes();
        let packet = [&[low, middle, high, self.number], payload].concat();
        self.number = self.number.wrapping_add(1);
        Ok(self.stream.write_all(&packet).await?)
    }

    async fn read(&mut self) -> Result<Vec<u8>, Refusal> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await.map_err(ended)?;
        let (length, number) = packet::header(header);
        if length > MOST_READ {
            return Err(nonsense(format_args!("a packet of {length} bytes")));
        }
        self.number = number.wrapping_add(1);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.map_err(ended)?;
        Ok(payload)
    }
}

fn ended(error: std::io::Error) -> Refusal {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Refusal::Failure(Failure::of_backend("connection closed within the conversation"))
        }
        _ => error.into(),
    }
}

/// The answer to a query.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Nullable>>,
}

/// One row of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'r>(&'r [Nullable]);

impl Rows {
    /// Where the column is that has one of these names, whatever their case.
    pub(crate) fn column(&self, names: &[&str]) -> Option<usize> {
        let has_name = |column: &String| names.iter().any(|name| column.eq_ignore_ascii_case(name));
        self.columns.iter().position(has_name)
    }

    /// All rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|row| Row(row))
    }

    /// The first value of the first row, if there is one.
    pub(crate) fn first_value(&self) -> Option<&str> {
        self.rows().next()?.value(Some(0))
    }
}

impl<'r> Row<'r> {
    /// What stands in a column; none where there is no such column, or NULL.
    pub(crate) fn value(self, column: Option<usize>) -> Option<&'r str> {
        self.0.get(column?)?.0.as_deref()
    }
}
