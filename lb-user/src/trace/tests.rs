//! What is told and recorded of sightings, wherever they come from.

use std::{pin::pin, sync::Arc, time::Duration};

use etherparse::PacketBuilder;
use futures_util::{Stream, StreamExt as _};
use lb_common::{
    Reason,
    memory::{Heap, Sizes},
    watch::{Moment, Sighting},
};
use pcap_file::pcapng::{Block, PcapNgReader};
use tokio::sync::watch;

use super::*;
use crate::dataplane::{SharedTables, Shown, Sink};

const NUMBER: u32 = 3;

/// What is watched by a packet path that somebody else is.
fn watched() -> (Sink, Arc<Heap>, Watched) {
    let (sink, packets, lost) = Sink::new();
    let heap = Arc::new(Heap::new(&Sizes::LEAST));
    let names = Names {
        backends: vec![Some(("fe".to_owned(), "node1".to_owned()))],
        services: [(4, "be".to_owned())].into(),
    };
    let watched = Watched {
        packets,
        lost,
        names: watch::channel(Arc::new(names)).1,
        tables: SharedTables::AfPacket(Arc::clone(&heap)),
        number: NUMBER,
    };
    (sink, heap, watched)
}

fn frame(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [3; 6])
        .ipv4(from, to, 64)
        .tcp(40_000, 80, 1, 2)
        .syn();
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[]).expect("a frame");
    bytes
}

fn before(number: u32) -> Shown {
    let frame = frame([192, 0, 2, 7], [10, 0, 0, 100]);
    Shown {
        worker: 1,
        sighting: Sighting {
            watch: NUMBER,
            number,
            moment: Moment::BEFORE.0,
            length: 1000,
            ..Sighting::default()
        },
        frame,
    }
}

/// It goes to the only backend.
fn forwarded(number: u32) -> Shown {
    let mut shown = before(number);
    shown.frame = frame([10, 0, 0, 1], [10, 0, 0, 80]);
    let redirect = 2;
    shown.sighting = Sighting {
        moment: Moment::AFTER.0,
        verdict: redirect,
        backend: 1,
        wanted: 1,
        ..shown.sighting
    };
    shown
}

/// It is to a service without one.
fn refused(number: u32) -> Shown {
    let mut shown = before(number);
    let drop = 3;
    shown.sighting = Sighting {
        moment: Moment::AFTER.0,
        verdict: drop,
        reason: Reason::NoBackend as u32 + 1,
        service: 5,
        wanted: 1,
        ..shown.sighting
    };
    shown
}

async fn told(lines: impl Stream<Item = Result<axum::body::Bytes, std::convert::Infallible>>) -> Vec<Line> {
    let pieces: Vec<_> = pin!(lines).collect().await;
    let lines = pieces
        .into_iter()
        .map(|line| serde_json::from_slice(&line.expect("infallible")).expect("a line"));
    lines.collect()
}

#[tokio::test]
async fn a_line_puts_both_sightings_of_a_packet_together() {
    let (sink, heap, watched) = watched();
    for shown in [before(0), forwarded(0), before(1), refused(1)] {
        sink.show(shown);
    }
    heap.memory().notes[0].unshown.store(7);
    drop(sink);
    let lines = told(lines(watched, &Trace::default())).await;
    let mut packets = lines.iter().filter_map(|line| match line {
        Line::Packet(packet) => Some(packet),
        Line::Unshown { .. } => None,
    });
    let packet = packets.next().expect("the first");
    assert_eq!(
        (packet.from.as_str(), packet.to.as_str()),
        ("192.0.2.7:40000", "10.0.0.100:80")
    );
    assert_eq!(packet.sent_from.as_deref(), Some("10.0.0.1:40000"));
    assert_eq!(packet.sent_to.as_deref(), Some("10.0.0.80:80"));
    assert_eq!(
        (packet.verdict.as_str(), packet.reason.as_deref()),
        ("redirect", None)
    );
    assert_eq!(packet.service.as_deref(), Some("fe"));
    assert_eq!(packet.backend.as_deref(), Some("node1"));
    assert_eq!(packet.length, 1000, "of the frame, not of what was shown");
    let packet = packets.next().expect("the second");
    assert_eq!(
        (packet.verdict.as_str(), packet.reason.as_deref()),
        ("drop", Some("no_backend"))
    );
    assert_eq!(packet.why.as_deref(), Some(Reason::NoBackend.description()));
    assert_eq!(
        (packet.service.as_deref(), packet.backend.as_deref()),
        (Some("be"), None)
    );
    assert_eq!(packet.sent_to, None);
    assert_eq!(packets.next(), None);
    assert!(lines.contains(&Line::Unshown { packets: 7 }), "{lines:?}");
}

#[tokio::test]
async fn half_a_packet_and_anothers_are_not_told() {
    let (sink, _, watched) = watched();
    let mut unwanted = forwarded(2);
    unwanted.sighting.wanted = 0;
    let earlier = [before(3), forwarded(3)].map(|mut shown| {
        shown.sighting.watch = NUMBER - 1;
        shown
    });
    let ours = [forwarded(0), before(0), forwarded(1), before(2), unwanted];
    for shown in ours.into_iter().chain(earlier) {
        sink.show(shown);
    }
    drop(sink);
    assert_eq!(told(lines(watched, &Trace::default())).await, []);
}

#[tokio::test]
async fn a_trace_ends_at_its_number_and_at_its_time() {
    let (sink, _, watched) = watched();
    for number in 0..5 {
        sink.show(before(number));
        sink.show(forwarded(number));
    }
    let trace = Trace {
        count: Some(2),
        ..Trace::default()
    };
    assert_eq!(told(lines(watched, &trace)).await.len(), 2);
    let (_sink, _, watched) = self::watched();
    let trace = Trace {
        seconds: Some(0),
        ..Trace::default()
    };
    let told = tokio::time::timeout(Duration::from_secs(20), told(lines(watched, &trace)));
    assert_eq!(told.await.expect("its time is over"), []);
}

#[tokio::test]
async fn a_file_has_what_goes_on_twice_and_what_does_not_once() {
    let (sink, _, watched) = watched();
    for shown in [before(0), forwarded(0), before(1), refused(1)] {
        sink.show(shown);
    }
    drop(sink);
    let bytes = file(watched, &Capture::default()).await;
    let mut reader = PcapNgReader::new(&bytes[..]).expect("a file");
    let (mut interfaces, mut frames) = (0, Vec::new());
    while let Some(block) = reader.next_block() {
        match block.expect("a block") {
            Block::InterfaceDescription(_) => interfaces += 1,
            Block::EnhancedPacket(packet) => {
                frames.push((packet.interface_id, packet.original_len, packet.data.into_owned()));
            }
            _ => {}
        }
    }
    assert_eq!(interfaces, 2);
    let came_in = (0, 1000, before(0).frame);
    assert_eq!(frames, [came_in.clone(), (1, 1000, forwarded(0).frame), came_in]);
}

#[tokio::test]
async fn a_file_is_no_longer_than_it_may_be() {
    for bytes in [0, 100, 1000, 2000] {
        let (sink, _, watched) = watched();
        for number in 0..20 {
            sink.show(before(number));
            sink.show(forwarded(number));
        }
        let capture = Capture {
            bytes: Some(bytes),
            ..Capture::default()
        };
        let length = file(watched, &capture).await.len() as u64;
        assert!(length <= bytes, "{length} of {bytes}");
        assert!(bytes < 1000 || length > bytes / 2, "{length} of {bytes}");
    }
}

async fn file(watched: Watched, capture: &Capture) -> Vec<u8> {
    let file = pcap(watched, capture).expect("a beginning");
    let pieces: Vec<_> = pin!(file).collect().await;
    let pieces = pieces.into_iter().map(|piece| piece.expect("infallible"));
    pieces.collect::<Vec<_>>().concat()
}
