//! A server of the `MySQL` protocol that says what a test has it say, written from the protocol's description and not
//! from the client. It stands in for servers that are not to be had here, `StarRocks`' front end and `MySQL` 8.

use std::{net::SocketAddr, sync::Arc};

use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::servers::server;

const NONCE: &[u8; 20] = b"abcdefghijklmnopqrst";

/// What the server is.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// The user that it knows.
    pub(super) user: &'static str,
    pub(super) password: &'static str,
    /// How it identifies users.
    pub(super) plugin: &'static str,
    /// How it announces to, where that differs: then it switches.
    pub(super) announced: &'static str,
    /// Questions and what it answers; to all others it says that it does not understand.
    pub(super) answers: Vec<(&'static str, Answer)>,
}

/// An answer to a question.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// A table: its columns, and rows of texts.
    Table(&'static [&'static str], Vec<Vec<&'static str>>),
    /// An error.
    Error(u16, &'static str),
}

impl Default for Script {
    fn default() -> Self {
        Self {
            user: "lb",
            password: "geheim",
            plugin: "mysql_native_password",
            announced: "mysql_native_password",
            answers: Vec::new(),
        }
    }
}

/// Runs it; its address.
pub(super) async fn mysql_server(script: Script) -> SocketAddr {
    let script = Arc::new(script);
    server(move |stream| {
        let script = Arc::clone(&script);
        async move {
            // Clients that have seen enough break off.
            let _end = Conversation { stream, number: 0 }.hold(&script).await;
        }
    })
    .await
}

struct Conversation {
    stream: TcpStream,
    number: u8,
}

impl Conversation {
    async fn hold(mut self, script: &Script) -> std::io::Result<()> {
        self.write(&greeting(script.announced)).await?;
        let login = self.read().await?;
        let (user, mut proof) = user_and_proof(&login);
        if script.plugin != script.announced {
            let switch = [b"\xfe", script.plugin.as_bytes(), b"\0", NONCE, b"\0"].concat();
            self.write(&switch).await?;
            proof = self.read().await?;
        }
        if user != script.user.as_bytes() || !is_proof(script, &proof) {
            return self.write(&error(1045, "Access denied for user")).await;
        }
        if script.plugin == "caching_sha2_password" && !proof.is_empty() {
            self.write(&[0x01, 0x03]).await?;
        }
        self.write(&[0, 0, 0, 2, 0, 0, 0]).await?;
        self.answer(script).await
    }

    async fn answer(&mut self, script: &Script) -> std::io::Result<()> {
        loop {
            let command = self.read().await?;
            let [3, question @ ..] = command.as_slice() else {
                return Ok(());
            };
            let found = script
                .answers
                .iter()
                .find(|(known, _)| known.as_bytes() == question);
            match found {
                Some((_, Answer::Table(columns, rows))) => self.table(columns, rows).await?,
                Some((_, Answer::Error(code, message))) => self.write(&error(*code, message)).await?,
                None => {
                    self.write(&error(1064, "You have an error in your SQL syntax"))
                        .await?;
                }
            }
        }
    }

    async fn table(&mut self, columns: &[&str], rows: &[Vec<&str>]) -> std::io::Result<()> {
        self.write(&[u8::try_from(columns.len()).unwrap()]).await?;
        for column in columns {
            let texts = ["def", "", "", "", column, column].map(text).concat();
            let fixed = [0x0c, 33, 0, 0, 1, 0, 0, 0xfd, 0, 0, 0, 0, 0];
            self.write(&[texts.as_slice(), &fixed].concat()).await?;
        }
        self.write(&[0xfe, 0, 0, 2, 0]).await?;
        for row in rows {
            let row: Vec<Vec<u8>> = row.iter().map(|value| text(value)).collect();
            self.write(&row.concat()).await?;
        }
        self.write(&[0xfe, 0, 0, 2, 0]).await
    }

    async fn write(&mut self, payload: &[u8]) -> std::io::Result<()> {
        let [low, middle, high, _] = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let packet = [&[low, middle, high, self.number], payload].concat();
        self.number = self.number.wrapping_add(1);
        self.stream.write_all(&packet).await
    }

    async fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await?;
        let [low, middle, high, number] = header;
        self.number = number.wrapping_add(1);
        let mut payload = vec![0; usize::from(low) + usize::from(middle) * 256 + usize::from(high) * 65_536];
        self.stream.read_exact(&mut payload).await?;
        Ok(payload)
    }
}

fn greeting(plugin: &str) -> Vec<u8> {
    let (first, second) = NONCE.split_at(8);
    [
        b"\x0a8.0.33\0\x01\0\0\0".as_slice(),
        first,
        // Capabilities, character set, status, capabilities, length of the nonce, and nothing.
        b"\0\xff\xf7\x21\x02\0\xff\x81\x15\0\0\0\0\0\0\0\0\0\0",
        second,
        b"\0",
        plugin.as_bytes(),
        b"\0",
    ]
    .concat()
}

fn user_and_proof(login: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let rest = &login[32..];
    let end = rest.iter().position(|byte| *byte == 0).unwrap();
    let length = usize::from(rest[end + 1]);
    (rest[..end].to_vec(), rest[end + 2..end + 2 + length].to_vec())
}

/// As a server knows it: from the hash of the password's hash, which is all that it has.
fn is_proof(script: &Script, proof: &[u8]) -> bool {
    fn knows<D: Digest>(password: &str, proof: &[u8], mask: impl Fn(&[u8]) -> Vec<u8>) -> bool {
        let stored = D::digest(D::digest(password));
        let mask = D::digest(mask(&stored));
        let once: Vec<u8> = proof
            .iter()
            .zip(mask.iter())
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        D::digest(&once) == stored
    }
    if script.password.is_empty() {
        return proof.is_empty();
    }
    match script.plugin {
        "mysql_native_password" => knows::<Sha1>(script.password, proof, |stored| [NONCE, stored].concat()),
        "caching_sha2_password" => knows::<Sha256>(script.password, proof, |stored| [stored, NONCE].concat()),
        _ => false,
    }
}

fn error(code: u16, message: &str) -> Vec<u8> {
    [
        &[0xff],
        code.to_le_bytes().as_slice(),
        b"#28000",
        message.as_bytes(),
    ]
    .concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}
