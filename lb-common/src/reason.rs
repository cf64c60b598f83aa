//! Why a packet was not forwarded: the one list that counters, CLI, metrics and documents share.

use crate::verdict::Verdict;

/// What a reason does with its packet.
enum Action {
    Pass,
    Drop,
}

macro_rules! reasons {
    ($($name:ident, $text:literal, $action:ident, $description:literal;)*) => {
        /// Why a packet was not forwarded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $description] $name,)*
        }

        impl Reason {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in statistics and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What happened, and what became of the packet, for people.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$name => $description,)*
                }
            }

            #[inline(always)]
            const fn action(self) -> Action {
                match self {
                    $(Self::$name => Action::$action,)*
                }
            }
        }
    };
}

reasons! {
    NotForService, "not_for_service", Pass, "No service has this destination; the host gets the packet.";
    Local, "local", Pass, "Translated to a backend that runs on this host; the host gets it.";
    NotIp, "not_ip", Pass, "Neither IPv4 nor IPv6 (ARP, LLDP ...); the host gets the packet.";
    Vlan, "vlan", Pass, "An 802.1Q or 802.1ad tag; the host gets the packet and its VLAN interface untags it.";
    NotTcpUdp, "not_tcp_udp", Pass, "Neither TCP nor UDP (ICMP, neighbour discovery, VRRP ...); the host gets it.";
    Malformed, "malformed", Pass, "Headers that contradict each other or the frame's length; the host judges it.";
    Fragment, "fragment", Pass, "A fragment has no ports to go by; the host gets it.";
    ExtensionHeader, "extension_header", Pass, "IPv6 extension headers before the ports; the host gets it.";
    NoBackend, "no_backend", Drop, "The service has no backend that is up.";
    NoNextHop, "no_next_hop", Drop, "The backend's MAC address is not known yet.";
    NoSource, "no_source", Drop, "No source address for full NAT is known towards the backend.";
    NoSourcePort, "no_source_port", Drop, "The source ports tried are all in use towards this backend.";
    ClientPortTaken, "client_port_taken", Drop, "Mode nat: the client has a flow from this port to the backend by another address.";
    NoFlow, "no_flow", Drop, "A TCP segment that opens nothing and belongs to no known flow; its sender gets RST.";
    BackendDown, "backend_down", Drop, "The flow's backend went down; a TCP client gets RST.";
    FlowTableFull, "flow_table_full", Drop, "No room: every entry that this flow may use holds an active flow.";
    FlowContended, "flow_contended", Drop, "Two CPUs changed the same flow at once; the sender's next packet wins.";
    TtlExceeded, "ttl_exceeded", Drop, "TTL or hop limit would reach 0.";
    ChecksumTooLong, "checksum_too_long", Drop, "The sender left the checksum to us, and the packet is too long.";
    NotReady, "not_ready", Pass, "The tables are not set up; the host gets the packet.";
}

impl Reason {
    /// What becomes of a packet for this reason.
    #[inline(always)]
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self.action() {
            Action::Pass => Verdict::Pass(self),
            Action::Drop => Verdict::Drop(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_its_reasons_own() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert_eq!(
                Reason::ALL
                    .iter()
                    .filter(|other| other.name() == reason.name())
                    .count(),
                1
            );
        }
    }
}
