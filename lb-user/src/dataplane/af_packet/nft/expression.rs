//! Expressions of a rule. Each goes on to the next, or ends the rule without effect.

use super::attributes::Attributes;

/// The register that holds a verdict (`NFT_REG_VERDICT`).
const VERDICT: u32 = 0;
/// The first of sixteen registers of four bytes (`NFT_REG32_00`).
const FIRST_REGISTER: u32 = 8;

/// A part of a packet, and where it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Field {
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// Source port.
    SourcePort,
    /// Destination port.
    DestinationPort,
    /// Number of the transport protocol.
    Protocol,
}

/// Parts of a packet of one address family, side by side as a set of them has them.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Fields {
    /// Which family.
    pub(in super::super) is_v4: bool,
    /// The parts.
    pub(in super::super) fields: &'static [Field],
}

impl Field {
    /// Bytes in a packet.
    fn length(self, is_v4: bool) -> u32 {
        match self {
            Self::Source | Self::Destination if is_v4 => 4,
            Self::Source | Self::Destination => 16,
            Self::SourcePort | Self::DestinationPort => 2,
            Self::Protocol => 1,
        }
    }

    /// Bytes in registers and in the keys of sets.
    fn width(self, is_v4: bool) -> u32 {
        self.length(is_v4).next_multiple_of(4)
    }

    /// What the `nft` command knows the type by (enum datatypes in its include/datatype.h).
    fn kind(self, is_v4: bool) -> u32 {
        match self {
            Self::Source | Self::Destination if is_v4 => 7,
            Self::Source | Self::Destination => 8,
            Self::SourcePort | Self::DestinationPort => 13,
            Self::Protocol => 12,
        }
    }

    /// Loads it into a register.
    fn load(self, is_v4: bool, register: u32) -> Attributes {
        const NETWORK_HEADER: u32 = 1;
        const TRANSPORT_HEADER: u32 = 2;
        const TRANSPORT_PROTOCOL: u32 = 16;
        let (base, offset) = match self {
            Self::Source => (NETWORK_HEADER, if is_v4 { 12 } else { 8 }),
            Self::Destination => (NETWORK_HEADER, if is_v4 { 16 } else { 24 }),
            Self::SourcePort => (TRANSPORT_HEADER, 0),
            Self::DestinationPort => (TRANSPORT_HEADER, 2),
            Self::Protocol => {
                let meta = Attributes::default()
                    .with_number(1, register)
                    .with_number(2, TRANSPORT_PROTOCOL);
                return expression("meta", &meta);
            }
        };
        payload(register, base, offset, self.length(is_v4))
    }
}

impl Fields {
    /// Bytes of a key.
    pub(super) fn width(self) -> u32 {
        self.fields.iter().map(|field| field.width(self.is_v4)).sum()
    }

    /// What the `nft` command knows the type of a key by.
    pub(super) fn kind(self) -> u32 {
        let kinds = self.fields.iter().map(|field| field.kind(self.is_v4));
        // Six bits each (TYPE_BITS there).
        kinds.fold(0, |all, kind| all << 6 | kind)
    }
}

/// Goes on if the frame carries a packet of the family, and no VLAN tag, not even one that the kernel has taken out.
pub(in super::super) fn is_frame_of(is_v4: bool) -> Vec<Attributes> {
    const LINK_HEADER: u32 = 0;
    let protocol: u16 = if is_v4 { 0x0800 } else { 0x86dd };
    vec![
        payload(FIRST_REGISTER, LINK_HEADER, 12, 2),
        compare(&protocol.to_be_bytes()),
    ]
}

/// Goes on if parts of the packet are in a set of this name.
pub(in super::super) fn is_in(set: &str, fields: Fields) -> Vec<Attributes> {
    look_up(set, fields, 0)
}

/// Goes on if parts of the packet are not in a set of this name.
pub(in super::super) fn is_not_in(set: &str, fields: Fields) -> Vec<Attributes> {
    const INVERTED: u32 = 1;
    look_up(set, fields, INVERTED)
}

/// Goes on if the destination port is one from first to last.
pub(in super::super) fn in_range((first, last): (u16, u16)) -> Vec<Attributes> {
    const WITHIN: u32 = 0;
    let range = Attributes::default()
        .with_number(1, FIRST_REGISTER)
        .with_number(2, WITHIN)
        .with_nested(3, &value(&first.to_be_bytes()))
        .with_nested(4, &value(&last.to_be_bytes()));
    vec![
        Field::DestinationPort.load(true, FIRST_REGISTER),
        expression("range", &range),
    ]
}

/// Drops the packet.
pub(in super::super) fn drop_packet() -> Vec<Attributes> {
    const DROP: u32 = 0;
    let verdict = Attributes::default().with_nested(2, &Attributes::default().with_number(1, DROP));
    let immediate = Attributes::default()
        .with_number(1, VERDICT)
        .with_nested(2, &verdict);
    vec![expression("immediate", &immediate)]
}

/// Bytes as an expression's or a set's operand.
pub(super) fn value(bytes: &[u8]) -> Attributes {
    Attributes::default().with(1, bytes)
}

fn look_up(set: &str, fields: Fields, flags: u32) -> Vec<Attributes> {
    let mut register = FIRST_REGISTER;
    let mut expressions = Vec::new();
    for field in fields.fields {
        expressions.push(field.load(fields.is_v4, register));
        register += field.width(fields.is_v4) / 4;
    }
    let lookup = Attributes::default()
        .with_name(1, set)
        .with_number(2, FIRST_REGISTER)
        .with_number(5, flags);
    expressions.push(expression("lookup", &lookup));
    expressions
}

fn payload(register: u32, base: u32, offset: u32, length: u32) -> Attributes {
    let payload = Attributes::default()
        .with_number(1, register)
        .with_number(2, base)
        .with_number(3, offset)
        .with_number(4, length);
    expression("payload", &payload)
}

fn compare(with: &[u8]) -> Attributes {
    const EQUAL: u32 = 0;
    let compare = Attributes::default()
        .with_number(1, FIRST_REGISTER)
        .with_number(2, EQUAL)
        .with_nested(3, &value(with));
    expression("cmp", &compare)
}

fn expression(name: &str, data: &Attributes) -> Attributes {
    Attributes::default().with_name(1, name).with_nested(2, data)
}
