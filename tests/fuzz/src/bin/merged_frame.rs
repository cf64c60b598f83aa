//! A merged TCP frame that is cut into segments: a size, and the frame.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u16, &[u8])| {
    let (size, frame) = input;
    // The longest frame that a packet socket hands over.
    if frame.len() > 65_550 {
        return;
    }
    let Some(segments) = lb_user::dataplane::af_packet::cut(frame, size.into()) else {
        return;
    };
    let data: usize = segments.iter().map(Vec::len).sum();
    assert!(
        data + segments.len() * 14 >= frame.len() || segments.is_empty(),
        "data was lost"
    );
    for segment in segments {
        assert!(
            segment.len() <= frame.len(),
            "a segment is longer than what it was cut from"
        );
    }
});
