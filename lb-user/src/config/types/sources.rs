//! Who may send: lists of networks, and limits of each single source address.

use std::{collections::BTreeMap, num::NonZeroU32};

use ipnet::IpNet;

/// Who may open flows, from `allow` and `deny`; without them everyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRules {
    /// What is said of each network, of both families, without host bits. An address is under the longest prefix
    /// that it is in.
    pub networks: BTreeMap<IpNet, Access>,
    /// What holds for addresses in none of the networks: denied where there is an `allow` list, else allowed.
    pub otherwise: Access,
}

/// Whether a source address may open flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

/// What one source address may take of a service, from `[service.limits]`. Absent: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SourceLimits {
    /// Flows opened in one second.
    pub new_flows_per_second: Option<NonZeroU32>,
    /// Flows at the same time.
    pub active_flows: Option<NonZeroU32>,
    /// Packets in one second, of all its flows.
    pub packets_per_second: Option<NonZeroU32>,
}
