//! Frames that come while a check waits for a service's own address to answer.
#![no_main]

use lb_user::health::vip::frame::{self, Segment};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (from, to) in [
        ("10.0.0.1:40000", "10.0.0.100:80"),
        ("[fd00::1]:40000", "[fd00::100]:80"),
    ] {
        let opening = Segment {
            from: from.parse().expect("an address"),
            to: to.parse().expect("an address"),
            sequence: 0x0102_0304,
            ends: false,
        };
        let another = Segment {
            sequence: 0x0506_0708,
            ..opening
        };
        let answers = [opening, another].map(|opening| frame::answer(bytes, &opening));
        assert!(
            answers.iter().flatten().count() < 2,
            "one frame answers two connections"
        );
    }
});
