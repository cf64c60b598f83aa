//! Packets in a file as tcpdump and Wireshark read it: pcapng, each as it came in and, if it goes on, as it left.
//!
//! A comment of each says what became of it. Where packets leave is another interface of the file's than where they come in.

use std::{
    borrow::Cow,
    collections::HashMap,
    convert::Infallible,
    io,
    time::{Duration, SystemTime},
};

use axum::body::Bytes;
use futures_util::{Stream, stream};
use pcap_file::{
    DataLink, Endianness, PcapError,
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
            section_header::{SectionHeaderBlock, SectionHeaderOption},
        },
    },
};
use tracing::error;

use super::{
    Capture, Watched,
    lines::Fate,
    packets::{Event, Packets, Pair},
};
use crate::dataplane::Shown;

/// Nanoseconds (pcapng, `if_tsresol`).
const NANOSECONDS: u8 = 9;

/// The file of a capture, in pieces of whole blocks.
pub fn pcap(
    watched: Watched,
    capture: &Capture,
) -> io::Result<impl Stream<Item = Result<Bytes, Infallible>> + use<>> {
    let packets = Packets::new(watched, capture.most_packets(), Some(capture.time()));
    let recording = Recording {
        packets,
        // It begins with a description of itself.
        file: File::new().map_err(io::Error::other)?,
        left: capture.most_bytes(),
    };
    Ok(stream::unfold(recording, async |mut recording| {
        let piece = recording.next().await?;
        Some((Ok(piece.into()), recording))
    }))
}

/// A capture under way.
struct Recording {
    packets: Packets,
    file: File,
    /// Bytes that the file may still have.
    left: u64,
}

impl Recording {
    /// The file's next piece; nothing at its end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        while self.file.writer.get_ref().is_empty() {
            match self.packets.next().await? {
                Event::Packet(pair) => {
                    if let Err(error) = self.file.add(&pair, &mut self.packets) {
                        error!(%error, "a packet could not be captured");
                        return None;
                    }
                }
                Event::Unshown(count) => self.file.lost += count,
            }
        }
        let piece = std::mem::take(self.file.writer.get_mut());
        self.left = self.left.checked_sub(piece.len() as u64)?;
        Some(piece)
    }
}

/// A file that is written to memory, from where it is taken piece by piece.
struct File {
    writer: PcapNgWriter<Vec<u8>>,
    /// The file's number of an interface, coming in or leaving.
    interfaces: HashMap<(u32, Side), u32>,
    /// Packets since the last one that are not in the file.
    lost: u64,
}

/// On which side of the balancer a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    In,
    Out,
}

impl File {
    fn new() -> Result<Self, PcapError> {
        let program = concat!("ballast ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            endianness: Endianness::native(),
            options: vec![SectionHeaderOption::UserApplication(program.into())],
            ..SectionHeaderBlock::default()
        };
        Ok(Self {
            writer: PcapNgWriter::with_section_header(Vec::new(), section)?,
            interfaces: HashMap::new(),
            lost: 0,
        })
    }

    fn add(&mut self, pair: &Pair, packets: &mut Packets) -> Result<(), PcapError> {
        let fate = Fate::of(pair, &packets.names());
        self.write(&pair.before, Side::In, &fate, packets)?;
        if fate.goes_on() {
            self.write(&pair.after, Side::Out, &fate, packets)?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        shown: &Shown,
        side: Side,
        fate: &Fate,
        packets: &mut Packets,
    ) -> Result<(), PcapError> {
        let interface_id = self.interface(shown, side, packets)?;
        let time = packets.time(shown).duration_since(SystemTime::UNIX_EPOCH);
        let mut options = vec![EnhancedPacketOption::Comment(fate.to_string().into())];
        if self.lost > 0 {
            options.push(EnhancedPacketOption::DropCount(std::mem::take(&mut self.lost)));
        }
        self.writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id,
            timestamp: time.unwrap_or(Duration::ZERO),
            original_len: u32::try_from(shown.sighting.length).unwrap_or(u32::MAX),
            data: Cow::Borrowed(&shown.frame),
            options,
        })?;
        Ok(())
    }

    /// The file's number of an interface, which is described before its first packet.
    fn interface(&mut self, shown: &Shown, side: Side, packets: &mut Packets) -> Result<u32, PcapError> {
        let key = (shown.sighting.interface, side);
        if let Some(number) = self.interfaces.get(&key) {
            return Ok(*number);
        }
        let name = packets.interface(shown);
        let (name, description) = match side {
            Side::In => (name.to_owned(), "packets as they came in"),
            Side::Out => (
                format!("{name} (left)"),
                "packets that came in here, as they left",
            ),
        };
        let number = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.writer.write_pcapng_block(InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            // No limit.
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(name.into()),
                InterfaceDescriptionOption::IfDescription(description.into()),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        })?;
        self.interfaces.insert(key, number);
        Ok(number)
    }
}
