//! Packets that are recorded.

use std::{fs, io::ErrorKind, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use lab::{Dataplane, Family, Lab, load::Requests};
use pcap_file::pcapng::{
    Block, PcapNgReader,
    blocks::{enhanced_packet::EnhancedPacketOption, interface_description::InterfaceDescriptionOption},
};

use super::{begin, journal};
use crate::{
    connection::Connection,
    story::{Asks as _, usual, with_daemon},
};

#[test]
fn a_capture_has_packets_before_and_after() {
    with_daemon(usual(), packets_are_recorded);
}

#[test]
fn a_capture_has_the_same_on_generic_xdp() {
    with_daemon(usual().dataplane(Dataplane::XdpGeneric), packets_are_recorded);
}

#[test]
fn a_capture_has_the_same_in_userspace() {
    with_daemon(usual().dataplane(Dataplane::AfPacket), packets_are_recorded);
}

fn packets_are_recorded(lab: &mut Lab) -> Result<()> {
    const PACKETS: usize = 8;
    let file = lab.directory().path().join("web.pcapng");
    let path = file.to_str().context("a path in UTF-8")?;
    let packets = PACKETS.to_string();
    let arguments = [
        "capture",
        "--service",
        "web",
        "--packets",
        &packets,
        "--write",
        path,
    ];
    let capture = begin(lab, &arguments)?;
    let target = lab.web(Family::V4);
    let mut connection = lab.client().run(move || Connection::open(target))?;
    for _ in 0..PACKETS {
        connection.work()?;
    }
    capture.wait()?;
    let entries = journal(lab)?;
    let noted = entries.last().context("an empty journal")?;
    ensure!(
        noted
            .what
            .starts_with("captured packets with what they carry of service web"),
        "{noted:?}"
    );
    ensure!(noted.who == "root", "{noted:?}");
    let frames = read(&file)?;
    ensure!(frames.len() == 2 * PACKETS, "{frames:#?}");
    let client = connection.stream().local_addr()?;
    let number = connection.backend.trim_start_matches("be").parse()?;
    let backend = lab.direct(number, Family::V4);
    for pair in frames.as_chunks::<2>().0 {
        let [before, after] = pair;
        ensure!(
            !before.interface.ends_with("(left)") && after.interface.ends_with("(left)"),
            "{pair:#?}"
        );
        let fate = format!("redirect, web/{}", connection.backend);
        ensure!(before.comment == fate && after.comment == fate, "{pair:#?}");
        let (Some(before), Some(after)) = (&before.segment, &after.segment) else {
            bail!("no TCP over IPv4: {pair:#?}");
        };
        ensure!(
            before.payload == after.payload && before.ttl == after.ttl + 1,
            "{pair:#?}"
        );
        if before.from == client {
            ensure!(before.to == target && after.to == backend, "{pair:#?}");
        } else {
            ensure!(
                before.from == backend && after.from == target && after.to == client,
                "{pair:#?}"
            );
        }
        // Elsewhere a NIC, or who stands for it, sums after us.
        ensure!(
            lab.config().dataplane != Dataplane::Xdp || after.is_summed,
            "{pair:#?}"
        );
    }
    others_can_read(&file, frames.len())
}

#[test]
fn a_capture_stays_within_its_bounds() {
    with_daemon(usual(), |lab| {
        const BYTES: u64 = 3000;
        let file = lab.directory().path().join("web.pcapng");
        let path = file.to_str().context("a path in UTF-8")?;
        let bytes = BYTES.to_string();
        let arguments = [
            "capture",
            "--service",
            "web",
            "--bytes",
            &bytes,
            "--snaplen",
            "60",
        ];
        let capture = begin(lab, &[&arguments[..], &["--write", path]].concat())?;
        let report = Requests::new(lab.web(Family::V4), 100).run(lab.client())?;
        ensure!(report.failed == 0, "{report}");
        capture.wait()?;
        let length = fs::metadata(&file)?.len();
        ensure!((BYTES / 2..=BYTES).contains(&length), "{length} bytes");
        let frames = read(&file)?;
        ensure!(frames.iter().all(|frame| frame.captured <= 60), "{frames:#?}");
        // Nothing happens, and its time passes.
        let ended = lab.ask(&["capture", "--service", "web", "--seconds", "1", "--write", path])?;
        ensure!(ended.code == Some(0), "{ended:?}");
        ensure!(read(&file)?.is_empty(), "nobody has sent anything");
        let unknown = lab.ask(&["capture", "--service", "nosuch", "--write", path])?;
        ensure!(unknown.refusal()?.contains("no service `nosuch`"), "{unknown:?}");
        Ok(())
    });
}

/// A frame of a file.
#[derive(Debug)]
struct Recorded {
    interface: String,
    comment: String,
    captured: usize,
    segment: Option<Segment>,
}

/// What it says.
#[derive(Debug)]
struct Segment {
    from: SocketAddr,
    to: SocketAddr,
    ttl: u8,
    payload: Vec<u8>,
    /// Whether both checksums are right.
    is_summed: bool,
}

fn read(file: &Path) -> Result<Vec<Recorded>> {
    let mut reader = PcapNgReader::new(fs::File::open(file)?)?;
    let (mut interfaces, mut frames) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block? {
            Block::InterfaceDescription(interface) => {
                let name = interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                interfaces.push(name.context("an interface without a name")?);
            }
            Block::EnhancedPacket(packet) => {
                let comment = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Comment(comment) => Some(comment.to_string()),
                    _ => None,
                });
                let interface = interfaces.get(packet.interface_id as usize);
                frames.push(Recorded {
                    interface: interface.context("an unknown interface")?.clone(),
                    comment: comment.context("a packet without a comment")?,
                    captured: packet.data.len(),
                    segment: segment(&packet.data),
                });
            }
            _ => {}
        }
    }
    Ok(frames)
}

/// What a frame says, if it is not cut short.
fn segment(data: &[u8]) -> Option<Segment> {
    let sliced = SlicedPacket::from_ethernet(data).ok()?;
    let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) = (&sliced.net, &sliced.transport) else {
        return None;
    };
    let header = ip.header();
    let sum = tcp.calc_checksum_ipv4(header.source(), header.destination());
    let is_header_summed = header.to_header().calc_header_checksum() == header.header_checksum();
    Some(Segment {
        from: SocketAddr::new(header.source_addr().into(), tcp.source_port()),
        to: SocketAddr::new(header.destination_addr().into(), tcp.destination_port()),
        ttl: header.ttl(),
        payload: tcp.payload().to_vec(),
        is_summed: is_header_summed && sum.is_ok_and(|sum| sum == tcp.checksum()),
    })
}

/// Has tcpdump read a file, where there is one.
fn others_can_read(file: &Path, frames: usize) -> Result<()> {
    match Command::new("tcpdump").arg("-nr").arg(file).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => println!("there is no tcpdump to ask"),
        outcome => {
            let output = outcome?;
            ensure!(output.status.success(), "{output:?}");
            let lines = String::from_utf8(output.stdout)?;
            ensure!(lines.lines().count() == frames, "{lines}");
        }
    }
    Ok(())
}
