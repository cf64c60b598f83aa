//! Changes of the rules that the kernel makes together or not at all.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    errno::Errno,
    setsockopt_impl, sockopt_impl,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SetSockOpt as _, SockFlag, SockProtocol, SockType, recv,
        sendto, socket, sockopt::SndBufForce,
    },
};

use super::{
    attributes::Attributes,
    expression::{Fields, value},
};

/// What a message asks for: `NFT_MSG_*` of the subsystem nftables.
const NEW_TABLE: u16 = 0;
const TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;

/// Attributes of a table.
const TABLE_NAME: u16 = 1;
const TABLE_DATA: u16 = 6;

/// Goes with the socket that made it (`NFT_TABLE_F_OWNER`, Linux 5.12), and nobody else may change it.
const OWNED: u32 = 2;

/// Bytes of `nlmsghdr` and `nfgenmsg`.
const HEADERS: usize = 16 + 4;

/// Elements of one message: the length of an attribute has 16 bits.
const ELEMENTS: usize = 512;

/// Bytes of one transaction: those of a hundred thousand elements.
const LARGEST: usize = 8 << 20;

/// The kernel does not take a change.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum NftError {
    /// There is such a table already.
    #[error("there is such a table already")]
    Taken,
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The way to nftables. What is made by it goes when it is dropped.
#[derive(Debug)]
pub(in super::super) struct Socket(OwnedFd);

impl Socket {
    pub(in super::super) fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        )?;
        SndBufForce.set(&socket, &LARGEST)?;
        // What is refused is said without repeating it.
        ShortAnswers.set(&socket, &true)?;
        Ok(Self(socket))
    }

    /// Has a transaction made.
    pub(in super::super) fn commit(&self, transaction: Transaction) -> Result<(), NftError> {
        let (messages, last) = transaction.end();
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.0.as_raw_fd(), &messages, &kernel, MsgFlags::empty()).map_err(io::Error::from)?;
        let mut answers = vec![0; 1 << 16];
        let mut first_error = None;
        loop {
            let length =
                recv(self.0.as_raw_fd(), &mut answers, MsgFlags::empty()).map_err(io::Error::from)?;
            for (number, code) in Answers(&answers[..length]) {
                if code != 0 {
                    first_error.get_or_insert(code);
                }
                // Each message that fails is answered, and the last; the first of all speaks for the whole.
                if number == last || number == 0 {
                    return first_error.map_or(Ok(()), |code| Err(error(code)));
                }
            }
        }
    }
}

fn error(code: i32) -> NftError {
    match code {
        // A table that belongs to another socket is not permitted to be changed.
        libc::EEXIST | libc::EPERM => NftError::Taken,
        code => io::Error::from(Errno::from_raw(code)).into(),
    }
}

impl Socket {
    /// What the table's maker has to say, if there is such a table.
    pub(in super::super) fn comment(&self, table: &str) -> Option<String> {
        let mut question = Transaction {
            table: table.to_owned(),
            messages: Vec::new(),
            last: 0,
            number: 0,
        };
        question.add(TABLE, 0, &Attributes::default().with_name(TABLE_NAME, table));
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.0.as_raw_fd(), &question.messages, &kernel, MsgFlags::empty()).ok()?;
        let mut answer = vec![0; 1 << 16];
        let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty()).ok()?;
        comment_in(&answer[..length])
    }
}

/// What a table's maker has to say, in the kernel's answer about the table.
fn comment_in(answer: &[u8]) -> Option<String> {
    Comment::in_data(Attributes::value_in(answer.get(HEADERS..)?, TABLE_DATA)?)
}

/// Reads an answer in all ways in which answers are read.
#[cfg(feature = "fuzzing")]
pub(in super::super) fn read(answer: &[u8]) {
    let _ = comment_in(answer);
    Answers(answer).for_each(drop);
}

/// A comment as the `nft` command shows it: a kind, a length, a text that ends with 0 (`NFTNL_UDATA_TABLE_COMMENT`).
struct Comment;

impl Comment {
    const KIND: u8 = 0;

    fn of(text: &str) -> Vec<u8> {
        let text: Vec<u8> = text.bytes().take(usize::from(u8::MAX) - 1).chain([0]).collect();
        let length = u8::try_from(text.len()).unwrap_or_default();
        [vec![Self::KIND, length], text].concat()
    }

    fn in_data(data: &[u8]) -> Option<String> {
        let (head, text) = data.split_first_chunk::<2>()?;
        let text = text.get(..usize::from(head[1]).checked_sub(1)?)?;
        (head[0] == Self::KIND).then(|| String::from_utf8_lossy(text).into_owned())
    }
}

sockopt_impl!(
    /// Errors come without the message that they are of.
    ShortAnswers,
    SetOnly,
    libc::SOL_NETLINK,
    libc::NETLINK_CAP_ACK,
    bool
);

/// Messages of a transaction on one table of the family `netdev`.
#[derive(Debug)]
pub(in super::super) struct Transaction {
    table: String,
    messages: Vec<u8>,
    /// Where the last one begins.
    last: usize,
    /// That of the next one.
    number: u32,
}

impl Transaction {
    pub(in super::super) fn on(table: &str) -> Self {
        let mut transaction = Self {
            table: table.to_owned(),
            messages: Vec::new(),
            last: 0,
            number: 0,
        };
        transaction.bracket(libc::NFNL_MSG_BATCH_BEGIN);
        transaction
    }

    /// Makes the table, which must not be there, and which goes when the socket does.
    pub(in super::super) fn new_table(&mut self, comment: &str) {
        const FLAGS: u16 = 2;
        let attributes = Attributes::default()
            .with_name(TABLE_NAME, &self.table)
            .with_number(FLAGS, OWNED)
            .with(TABLE_DATA, &Comment::of(comment));
        self.add(NEW_TABLE, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &attributes);
    }

    /// Removes the table and all that is in it.
    pub(in super::super) fn delete_table(&mut self) {
        let attributes = Attributes::default().with_name(TABLE_NAME, &self.table);
        self.add(DELETE_TABLE, 0, &attributes);
    }

    /// Makes a chain that sees what comes in by an interface, before anybody but packet sockets and `tc`.
    pub(in super::super) fn new_chain(&mut self, name: &str, interface: &str) {
        const INGRESS: u32 = 0;
        const PRIORITY: i32 = 0;
        let hook = Attributes::default()
            .with_number(1, INGRESS)
            .with_number(2, PRIORITY.cast_unsigned())
            .with_name(3, interface);
        let attributes = Attributes::default()
            .with_name(1, &self.table)
            .with_name(3, name)
            .with_nested(4, &hook)
            .with_name(7, "filter");
        self.add(NEW_CHAIN, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &attributes);
    }

    /// Makes a set of values of some fields.
    pub(in super::super) fn new_set(&mut self, name: &str, fields: Fields) {
        // Unique in the transaction.
        let id = self.number;
        let attributes = Attributes::default()
            .with_name(1, &self.table)
            .with_name(2, name)
            .with_number(3, 0)
            .with_number(4, fields.kind())
            .with_number(5, fields.width())
            .with_number(10, id);
        self.add(NEW_SET, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &attributes);
    }

    /// Puts values into a set, each as wide as its fields.
    pub(in super::super) fn add_elements(&mut self, set: &str, values: &[Vec<u8>]) {
        const ELEMENT: u16 = 1;
        const KEY: u16 = 1;
        for some in values.chunks(ELEMENTS) {
            let add = |all: Attributes, bytes: &Vec<u8>| {
                all.with_nested(ELEMENT, &Attributes::default().with_nested(KEY, &value(bytes)))
            };
            let elements = some.iter().fold(Attributes::default(), add);
            let attributes = Attributes::default()
                .with_name(1, &self.table)
                .with_name(2, set)
                .with_nested(3, &elements);
            self.add(NEW_ELEMENTS, libc::NLM_F_CREATE, &attributes);
        }
    }

    /// Appends a rule to a chain.
    pub(in super::super) fn new_rule(&mut self, chain: &str, expressions: &[Vec<Attributes>]) {
        const ELEMENT: u16 = 1;
        let all = expressions.iter().flatten();
        let list = all.fold(Attributes::default(), |list, expression| {
            list.with_nested(ELEMENT, expression)
        });
        let attributes = Attributes::default()
            .with_name(1, &self.table)
            .with_name(2, chain)
            .with_nested(4, &list);
        self.add(NEW_RULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND, &attributes);
    }

    fn add(&mut self, kind: u16, flags: i32, attributes: &Attributes) {
        let kind = u16::try_from(libc::NFNL_SUBSYS_NFTABLES).unwrap_or_default() << 8 | kind;
        let family = u8::try_from(libc::NFPROTO_NETDEV).unwrap_or_default();
        self.message(kind, flags, family, 0, attributes);
    }

    /// Begins or ends the transaction.
    fn bracket(&mut self, kind: i32) {
        let subsystem = u16::try_from(libc::NFNL_SUBSYS_NFTABLES).unwrap_or_default();
        let kind = u16::try_from(kind).unwrap_or_default();
        self.message(kind, 0, 0, subsystem, &Attributes::default());
    }

    /// `nlmsghdr`, `nfgenmsg`, attributes.
    fn message(&mut self, kind: u16, flags: i32, family: u8, resource: u16, attributes: &Attributes) {
        const SENDER: u32 = 0;
        const VERSION: u8 = 0;
        let length = u32::try_from(HEADERS + attributes.bytes().len()).unwrap_or(u32::MAX);
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST).unwrap_or_default();
        self.last = self.messages.len();
        self.messages.extend(length.to_ne_bytes());
        self.messages.extend(kind.to_ne_bytes());
        self.messages.extend(flags.to_ne_bytes());
        self.messages.extend(self.number.to_ne_bytes());
        self.messages.extend(SENDER.to_ne_bytes());
        self.messages.extend([family, VERSION]);
        self.messages.extend(resource.to_be_bytes());
        self.messages.extend(attributes.bytes());
        self.number += 1;
    }

    /// All messages, and the number of the last, which is answered even if there is nothing wrong with it.
    fn end(mut self) -> (Vec<u8>, u32) {
        const FLAGS: usize = 6;
        let last = self.number - 1;
        let answered = u16::try_from(libc::NLM_F_ACK).unwrap_or_default().to_ne_bytes();
        for (flag, byte) in answered.iter().zip(&mut self.messages[self.last + FLAGS..]) {
            *byte |= flag;
        }
        self.bracket(libc::NFNL_MSG_BATCH_END);
        (self.messages, last)
    }
}

/// Answers of the kernel: to which message, and an error number, 0 for none.
struct Answers<'a>(&'a [u8]);

impl Iterator for Answers<'_> {
    type Item = (u32, i32);

    fn next(&mut self) -> Option<Self::Item> {
        let word = |at: usize| Some(u32::from_ne_bytes(*self.0.get(at..)?.first_chunk()?));
        let (length, number, code) = (word(0)?, word(8)?, word(16)?);
        let next = usize::try_from(length).ok()?.next_multiple_of(4);
        self.0 = self.0.get(next.max(16)..).unwrap_or_default();
        Some((number, code.cast_signed().wrapping_neg()))
    }
}
