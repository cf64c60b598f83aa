//! What a backend answers to an HTTP check.
#![no_main]

libfuzzer_sys::fuzz_target!(|reply: &[u8]| {
    let shown = lb_user::health::read_check_reply(reply);
    assert!(
        shown.chars().all(|character| !character.is_control()),
        "an answer is shown as it came: {shown:?}"
    );
    assert!(reply.ends_with(lb_user::health::http::body_of(reply)));
});
