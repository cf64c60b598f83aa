//! As much of nftables as it takes to drop packets by what they are addressed to, over netlink: the `nft` command need
//! not be there.
//!
//! Numbers are those of `include/uapi/linux/netfilter/nf_tables.h`, whose attributes carry numbers in network order.

mod attributes;
mod expression;
mod transaction;

pub(super) use expression::{Field, Fields, drop_packet, in_range, is_frame_of, is_in, is_not_in};
#[cfg(feature = "fuzzing")]
pub(super) use transaction::read;
pub(super) use transaction::{NftError, Socket, Transaction};
