//! The client's side of the `MySQL` protocol, as far as a check speaks it: bytes in, values out.
//!
//! "Client/Server Protocol" of the `MySQL` Internals manual has the layouts.

use std::{fmt, str};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// `CLIENT_PROTOCOL_41`, `CLIENT_SECURE_CONNECTION` and `CLIENT_PLUGIN_AUTH`, and long passwords and all columns, which
/// every server has: what we are able to do.
const CAPABILITIES: u32 = 0x0001 | 0x0004 | 0x0200 | 0x8000 | PLUGIN_AUTH;
const PLUGIN_AUTH: u32 = 0x0008_0000;
/// utf8mb4, which all servers know since 2010.
const CHARACTER_SET: u8 = 45;
/// The longest packet that is ever sent to us: see `session`.
pub const MOST_READ: usize = 64 * 1024;
/// In the place of a value's length.
const NULL: u8 = 0xfb;
const CACHING_SHA2: &str = "caching_sha2_password";
const NATIVE: &str = "mysql_native_password";
/// `ER_ACCESS_DENIED_ERROR`, and the same where no password was given or the plugin says so.
const ACCESS_DENIED: [u16; 2] = [1045, 1698];

/// How a server introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// Its version, as it names it.
    pub version: &'a str,
    /// What passwords are mixed with.
    pub nonce: &'a [u8],
    /// The rest of that.
    pub more_nonce: &'a [u8],
    /// How it would identify users.
    pub plugin: &'a str,
}

/// An answer to a login or command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a> {
    /// It worked.
    Done,
    /// It did not.
    Error(ServerError),
    /// The user is identified in another way: by this plugin, with this to mix a password with.
    Switch(&'a str, &'a [u8]),
    /// More of what the plugin has to say.
    More(&'a [u8]),
}

/// An error in the server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// Its number.
    pub code: u16,
    /// Its text.
    pub message: String,
}

impl ServerError {
    /// Whether the server does not let a user in, and is well otherwise.
    #[must_use]
    pub fn denies_access(&self) -> bool {
        ACCESS_DENIED.contains(&self.code)
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 120;
        let shown = self.message.chars().take(SHOWN);
        // What it quotes stays readable, and what a terminal might obey does not get there.
        let message: String = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
        write!(f, "error {}: {message}", self.code)
    }
}

/// The length of the packet that such a header announces, and its number.
#[must_use]
pub fn header([low, middle, high, number]: [u8; 4]) -> (usize, u8) {
    let length = u32::from_le_bytes([low, middle, high, 0]);
    (usize::try_from(length).unwrap_or(usize::MAX), number)
}

/// The first packet of a server, unless it is an error.
#[must_use]
pub fn greeting(payload: &[u8]) -> Option<Result<Greeting<'_>, ServerError>> {
    let mut bytes = Bytes(payload);
    match bytes.byte()? {
        10 => Some(Ok(bytes.greeting()?)),
        0xff => Some(Err(bytes.error()?)),
        _ => None,
    }
}

/// The answer to a login or command; none of a result that has rows.
#[must_use]
pub fn reply(payload: &[u8]) -> Option<Reply<'_>> {
    let mut bytes = Bytes(payload);
    Some(match bytes.byte()? {
        0x00 => Reply::Done,
        0x01 => Reply::More(bytes.0),
        0xfe => Reply::Switch(bytes.text()?, bytes.0),
        0xff => Reply::Error(bytes.error()?),
        _ => return None,
    })
}

/// How many columns the rows have that a query gives; `Ok(0)`: there are no rows at all.
#[must_use]
pub fn columns(payload: &[u8]) -> Option<Result<u64, ServerError>> {
    let mut bytes = Bytes(payload);
    match bytes.0.first()? {
        0xff => {
            bytes.byte()?;
            Some(Err(bytes.error()?))
        }
        _ => Some(Ok(bytes.number()?)),
    }
}

/// Whether a packet among columns or rows is the end of them.
#[must_use]
pub fn is_end(payload: &[u8]) -> bool {
    // A row may begin so too: with a value of 16 MB or more.
    payload.first() == Some(&0xfe) && payload.len() < 9
}

/// A column's name, from its definition.
#[must_use]
pub fn column(payload: &[u8]) -> Option<&str> {
    let mut bytes = Bytes(payload);
    // Catalogue, schema, table and the table's own name come first.
    for _ in 0..4 {
        bytes.value()?;
    }
    str::from_utf8(bytes.value()?).ok()
}

/// A row's values, of which there are so many; what is no text is shown as far as it is.
#[must_use]
pub fn row(payload: &[u8], columns: usize) -> Option<Vec<Nullable>> {
    let mut bytes = Bytes(payload);
    (0..columns).map(|_| bytes.nullable()).collect()
}

/// A value of a row, or NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nullable(pub Option<String>);

/// A login's packet.
#[must_use]
pub fn login(user: &str, proof: &[u8], plugin: &str) -> Vec<u8> {
    let mut packet = CAPABILITIES.to_le_bytes().to_vec();
    packet.extend(u32::try_from(MOST_READ).unwrap_or(u32::MAX).to_le_bytes());
    packet.push(CHARACTER_SET);
    packet.extend([0; 23]);
    packet.extend(user.as_bytes());
    packet.push(0);
    packet.push(u8::try_from(proof.len()).unwrap_or(u8::MAX));
    packet.extend(proof);
    packet.extend(plugin.as_bytes());
    packet.push(0);
    packet
}

/// What shows that we know the password, without showing it; `None`: by a plugin that we do not know.
#[must_use]
pub fn proof(plugin: &str, password: &str, nonce: &[u8]) -> Option<Vec<u8>> {
    // A NUL stands behind it.
    let nonce = nonce.get(..20).unwrap_or(nonce);
    match plugin {
        NATIVE | CACHING_SHA2 if password.is_empty() => Some(Vec::new()),
        NATIVE => Some(mix::<Sha1>(password, |twice| [nonce, twice].concat())),
        CACHING_SHA2 => Some(mix::<Sha256>(password, |twice| [twice, nonce].concat())),
        _ => None,
    }
}

/// A plugin that we know, for a server that has one that we do not: it may take this one for the user.
#[must_use]
pub fn known(plugin: &str) -> &str {
    if plugin == CACHING_SHA2 { plugin } else { NATIVE }
}

/// The password's hash, with a hash of its hash's hash put over it.
fn mix<D: Digest>(password: &str, with_nonce: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let once = D::digest(password.as_bytes());
    let twice = D::digest(&once);
    let mask = D::digest(with_nonce(&twice));
    once.iter()
        .zip(mask.iter())
        .map(|(byte, mask)| byte ^ mask)
        .collect()
}

/// What is left of a packet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// Up to a NUL, which is taken too; or to the end, for servers that forget it.
    fn text(&mut self) -> Option<&'a str> {
        let length = memchr::memchr(0, self.0).unwrap_or(self.0.len());
        let text = self.take(length)?;
        self.0 = self.0.get(1..).unwrap_or_default();
        str::from_utf8(text).ok()
    }

    /// A number of as many bytes as its first one says.
    fn number(&mut self) -> Option<u64> {
        let count = match self.byte()? {
            small @ 0..=0xfa => return Some(u64::from(small)),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            NULL | 0xff => return None,
        };
        let mut bytes = [0; 8];
        let taken = self.take(count)?;
        bytes.get_mut(..count)?.copy_from_slice(taken);
        Some(u64::from_le_bytes(bytes))
    }

    /// Bytes behind their number.
    fn value(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    /// As text, which it is in the answers that we ask for.
    fn nullable(&mut self) -> Option<Nullable> {
        if self.0.first() == Some(&NULL) {
            return self.byte().map(|_| Nullable(None));
        }
        let text = String::from_utf8_lossy(self.value()?).into_owned();
        Some(Nullable(Some(text)))
    }

    /// Behind the protocol's version.
    fn greeting(&mut self) -> Option<Greeting<'a>> {
        let version = self.text()?;
        let _connection = self.take(4)?;
        let nonce = self.take(8)?;
        let _filler = self.byte()?;
        let _lower_capabilities = self.take(2)?;
        let _character_set_and_status = self.take(3)?;
        let upper_capabilities = self.take(2)?;
        let nonce_length = usize::from(self.byte()?);
        let _reserved = self.take(10)?;
        let more_nonce = self.take(nonce_length.saturating_sub(8).max(13).min(self.0.len()))?;
        let has_plugin = upper_capabilities.first()? & 0x08 != 0;
        Some(Greeting {
            version,
            nonce,
            more_nonce,
            plugin: if has_plugin { self.text()? } else { NATIVE },
        })
    }

    /// Behind the mark of an error. Before a login it has no state in it.
    fn error(&mut self) -> Option<ServerError> {
        let code = self.take(2)?;
        let code = u16::from_le_bytes([*code.first()?, *code.last()?]);
        let text = match self.0 {
            [b'#', rest @ ..] => rest.get(5..)?,
            text => text,
        };
        let message = String::from_utf8_lossy(text).into_owned();
        Some(ServerError { code, message })
    }
}
