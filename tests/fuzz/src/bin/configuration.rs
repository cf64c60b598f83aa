//! The configuration file.
#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Err(error) = lb_user::config::parse(text, Path::new("ballast.toml")) else {
        return;
    };
    let shown = error.to_string();
    assert!(
        shown.starts_with("ballast.toml:") && shown.lines().count() == 1,
        "an error has its place and one line: {shown:?}"
    );
});
