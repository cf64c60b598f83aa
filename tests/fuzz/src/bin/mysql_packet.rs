//! What a `MySQL` server sends, as every packet that a check may wait for.
#![no_main]

use lb_user::health::mysql::packet::{self, Reply, ServerError};

/// More columns than the payload can have values for.
const MANY: usize = 256;

libfuzzer_sys::fuzz_target!(|payload: &[u8]| {
    match packet::greeting(payload) {
        Some(Ok(greeting)) => prove(greeting.plugin, &[greeting.nonce, greeting.more_nonce].concat()),
        Some(Err(error)) => show(&error),
        None => {}
    }
    match packet::reply(payload) {
        Some(Reply::Switch(plugin, nonce)) => prove(plugin, nonce),
        Some(Reply::Error(error)) => show(&error),
        Some(Reply::Done | Reply::More(_)) | None => {}
    }
    if let Some(Err(error)) = packet::columns(payload) {
        show(&error);
    }
    let name = packet::column(payload).unwrap_or_default();
    assert!(
        name.len() < payload.len().max(1),
        "a longer name than what it is in"
    );
    for columns in [0, 1, 2, 18, MANY] {
        let row = packet::row(payload, columns);
        assert!(row.is_none_or(|row| row.len() == columns), "{columns} columns");
    }
});

/// A password is shown to be known to whatever asks for it, in the length that its plugin has, or not at all.
fn prove(plugin: &str, nonce: &[u8]) {
    let proof = packet::proof(plugin, "password", nonce);
    assert!(
        proof.is_none_or(|proof| [20, 32].contains(&proof.len())),
        "{plugin}"
    );
}

/// What a server says may command no terminal.
fn show(error: &ServerError) {
    let shown = error.to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}
