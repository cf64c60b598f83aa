//! What is said and expected byte by byte.

use toml::Spanned;

use crate::config::{
    raw::{self, Bytes},
    types::{AgentCheck, Exchange},
};

pub(super) fn exchange(raw: &raw::Check) -> Exchange {
    Exchange {
        send: bytes(raw.send.as_ref()),
        expect: bytes(raw.expect.as_ref()),
    }
}

pub(super) fn agent(raw: &raw::Check) -> AgentCheck {
    AgentCheck {
        send: bytes(raw.send.as_ref()),
    }
}

/// None where the key is absent.
pub(super) fn bytes(written: Option<&Spanned<Bytes>>) -> Vec<u8> {
    written.map_or_else(Vec::new, |bytes| bytes.get_ref().0.clone())
}
