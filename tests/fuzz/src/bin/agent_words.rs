//! What the agent on a backend's host says.
#![no_main]

use lb_user::health::agent;

libfuzzer_sys::fuzz_target!(|answer: &[u8]| {
    let Some(words) = agent::parse(answer) else {
        return;
    };
    let is_of_the_first_line = |text: &str| !text.contains(['\r', '\n']);
    assert!(
        words
            .word
            .into_iter()
            .chain(words.description)
            .all(is_of_the_first_line),
        "{words:?}"
    );
});
