//! Fragments and IPv6 extension headers: refused by name, never taken for something else.

use lb_common::Reason;

use super::{headers::mend_ipv4, rows};
use crate::{bench::Bench, frame::Frame};

rows! {
    fragments_pass: v4;
    fragments_behind_the_ipv6_header_pass: v6;
    extension_headers_pass: v6;
}

fn fragments_pass(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.reaches_backend(&syn);
    // First (More Fragments), middle, last (RFC 791 3.1), and a first one that must not be fragmented further.
    for flags_and_offset in [0x2000_u16, 0x20b9, 0x00b9, 0x6000, 0x0001, 0x1fff] {
        for frame in [&syn, &Frame::datagram(bench.family)] {
            let mut bytes = frame.bytes();
            bytes[20..22].copy_from_slice(&flags_and_offset.to_be_bytes());
            mend_ipv4(&mut bytes);
            bench.passes_bytes(&bytes, Reason::Fragment);
        }
    }
}

fn fragments_behind_the_ipv6_header_pass(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.reaches_backend(&syn);
    for flags_and_offset in [0x0001_u16, 0x05c9, 0x05c8, 0x0000] {
        let [high, low] = flags_and_offset.to_be_bytes();
        let header = [syn.protocol, 0, high, low, 0, 0, 0, 7];
        bench.passes_bytes(&with_header(&syn, 44, header), Reason::Fragment);
    }
}

fn extension_headers_pass(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.reaches_backend(&syn);
    // Hop-by-hop and destination options (padding), routing, authentication.
    for kind in [0, 60, 43, 51] {
        let header = [syn.protocol, 0, 1, 4, 0, 0, 0, 0];
        bench.passes_bytes(&with_header(&syn, kind, header), Reason::ExtensionHeader);
    }
}

/// The frame with a header more between IPv6 and TCP or UDP.
fn with_header(frame: &Frame, kind: u8, header: [u8; 8]) -> Vec<u8> {
    let mut bytes = frame.bytes();
    let length = u16::from_be_bytes([bytes[18], bytes[19]]) + 8;
    bytes[18..20].copy_from_slice(&length.to_be_bytes());
    bytes[20] = kind;
    bytes.splice(54..54, header);
    bytes
}
