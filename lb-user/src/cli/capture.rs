//! `ballast capture`

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use clap::Args;

use super::{client::Client, output};
use crate::{stats::format, trace};

/// Record packets of a service in a file for tcpdump and Wireshark: each as it came in, and as it left
///
/// The comment of a packet says what became of it, and why. What packets carry is in the file too: it is for its owner to
/// read alone. The file ends at Ctrl-C, or with whichever bound is met first.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast capture --service fe --client 192.0.2.7 --write /tmp/fe.pcapng
  ballast capture --service fe --packets 100 --write - | tcpdump -r -")]
pub(super) struct Capture {
    #[command(flatten)]
    daemon: Client,
    /// Service whose packets are recorded
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Only packets of this client or network, from this port if one is named; IPv6 with a port in brackets
    #[arg(long, value_name = "IP[/LENGTH][:PORT]")]
    client: Option<trace::Client>,
    /// Only packets from or to this backend
    #[arg(long, value_name = "[SERVICE/]BACKEND")]
    backend: Option<String>,
    /// Where to write, in the format pcapng; `-` is standard output
    #[arg(long, value_name = "FILE")]
    write: PathBuf,
    /// At most so many packets
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    packets: u64,
    /// At most so many bytes of file
    #[arg(long, value_name = "N", default_value_t = 64 << 20)]
    bytes: u64,
    /// For so long
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// At most so many bytes of each packet, instead of all
    #[arg(long, value_name = "N")]
    snaplen: Option<u32>,
}

impl Capture {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let order = trace::Capture {
            service: self.service,
            client: self.client,
            backend: self.backend,
            packets: Some(self.packets),
            bytes: Some(self.bytes),
            seconds: Some(self.seconds),
            snaplen: self.snaplen,
        };
        // Nothing is written, and no file made, before the daemon has agreed.
        let (path, mut file) = (self.write, None);
        self.daemon.follow("capture", &order, |piece| {
            let file = match &mut file {
                Some(file) => file,
                None => file.insert(Blocks::new(open(&path)?)),
            };
            let failed = || format!("cannot write to {}", path.display());
            file.add(piece).with_context(failed)
        })?;
        match file {
            Some(file) if path != Path::new("-") => output::print(&format!(
                "{} frames are in {}\n",
                format::count(file.frames),
                path.display()
            )),
            _ => Ok(()),
        }
    }
}

/// Opens the file, which may hold what is nobody else's business.
fn open(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600);
    let file = file
        .open(path)
        .with_context(|| format!("cannot write to {}", path.display()))?;
    Ok(Box::new(file))
}

/// A file of whole blocks: however it ends, others can read it.
struct Blocks<W> {
    file: W,
    /// The beginning of a block whose end has not come yet.
    rest: Vec<u8>,
    frames: u64,
}

impl<W: Write> Blocks<W> {
    /// Type of the block that a frame is (pcapng, Enhanced Packet Block).
    const FRAME: u32 = 6;

    fn new(file: W) -> Self {
        Self {
            file,
            rest: Vec::new(),
            frames: 0,
        }
    }

    fn add(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.rest.extend_from_slice(piece);
        while let Some((kind, length)) = self.first()?
            && length <= self.rest.len()
        {
            self.file.write_all(&self.rest[..length])?;
            self.rest.drain(..length);
            self.frames += u64::from(kind == Self::FRAME);
        }
        Ok(self.file.flush()?)
    }

    /// Type and length of the first block, if they have come.
    fn first(&self) -> anyhow::Result<Option<(u32, usize)>> {
        let Some(header) = self.rest.first_chunk::<8>() else {
            return Ok(None);
        };
        let [a, b, c, d, length @ ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes(length))?;
        // Its type and, twice, its length.
        ensure!(length >= 12, "the daemon's answer is not pcapng");
        Ok(Some((u32::from_ne_bytes([a, b, c, d]), length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u32, length: u32) -> Vec<u8> {
        let mut block = [kind, length].map(u32::to_ne_bytes).concat();
        block.resize(length as usize, 0);
        block
    }

    #[test]
    fn a_file_has_whole_blocks_however_they_come() {
        let blocks = [block(1, 20), block(6, 32), block(6, 12)].concat();
        for length in 1..blocks.len() {
            let mut file = Blocks::new(Vec::new());
            for piece in blocks.chunks(length) {
                file.add(piece).expect("blocks");
            }
            assert_eq!((file.file, file.frames), (blocks.clone(), 2));
        }
        let mut file = Blocks::new(Vec::new());
        file.add(&blocks[..51]).expect("blocks");
        assert_eq!(file.file, blocks[..20], "of the second, a byte is missing");
        assert!(Blocks::new(Vec::new()).add(&[0; 8]).is_err());
    }
}
