//! Why a packet was not forwarded: the one list that counters, CLI, metrics and documents share.

use crate::{
    opaque,
    verdict::{Action, Verdict},
};

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
    Vlan, "vlan", Pass, "Tagged (802.1Q, 802.1ad), and its backend is not behind the same tag; the host untags it.";
    NotTcpUdp, "not_tcp_udp", Pass, "Neither TCP nor UDP, nor ICMP about a flow (neighbour discovery, VRRP ...); the host gets it.";
    Malformed, "malformed", Pass, "Headers that contradict each other or the frame's length; the host judges it.";
    Fragment, "fragment", Pass, "A fragment without ports to go by, not to a virtual address; the host gets it.";
    ExtensionHeader, "extension_header", Pass, "IPv6 extension headers that hide the ports or ask for more; the host gets it.";
    NoBackend, "no_backend", Drop, "The service has no backend that is up.";
    Impossible, "impossible", Drop, "A packet that no honest sender sends: to itself, or with TCP flags that cannot be.";
    BadChecksum, "bad_checksum", Drop, "Its TCP, UDP or IPv4 checksum is wrong, and its service has `verify_checksums`.";
    BackendFull, "backend_full", Drop, "Every backend that was tried has as many flows as its `maxconn` allows.";
    ServiceFull, "service_full", Drop, "The service has as many flows as its `maxconn` allows.";
    Denied, "denied", Drop, "Its source may not open flows: `allow` and `deny`, global or of the service.";
    SourceFull, "source_full", Drop, "Its source has as many flows of the service as `active_flows` allows.";
    SourceFlows, "source_flows", Drop, "Its source has opened as many flows in this second as `new_flows_per_second` allows.";
    SourcePackets, "source_packets", Drop, "Its source has sent as many packets in this second as `packets_per_second` allows.";
    NoNextHop, "no_next_hop", Drop, "The backend's MAC address is not known yet.";
    NoSource, "no_source", Drop, "No source address for full NAT is known towards the backend.";
    NoSourcePort, "no_source_port", Drop, "The source ports tried are all in use towards this backend.";
    ClientPortTaken, "client_port_taken", Drop, "Mode nat: the client has a flow from this port to the backend by another address.";
    NoFlow, "no_flow", Drop, "A TCP segment that opens nothing and belongs to no known flow; its sender gets RST.";
    BackendDown, "backend_down", Drop, "The flow's backend went down; a TCP client gets RST.";
    SynCookie, "syn_cookie", Drop, "A SYN to a service with many half-open flows; it is answered with a cookie.";
    BeforeAnswer, "before_answer", Drop, "A segment of a flow that a SYN cookie opened, before its backend has answered.";
    RefusalHidden, "refusal_hidden", Drop, "A backend's RST for a SYN; the client's next SYN goes to another backend.";
    FlowTableFull, "flow_table_full", Drop, "No room: every entry that this flow may use holds an active flow.";
    FlowContended, "flow_contended", Drop, "Two CPUs changed the same flow at once; the sender's next packet wins.";
    TtlExceeded, "ttl_exceeded", Drop, "TTL or hop limit would reach 0; its sender is told by ICMP.";
    NoHeadroom, "no_headroom", Drop, "The network driver leaves no room for more headers before or behind the packet.";
    TooBig, "too_big", Drop, "Longer than the way to the backend takes; a sender that forbids fragments is told by ICMP.";
    FragmentUnknown, "fragment_unknown", Drop, "A fragment to a virtual address, of which the first did not come before.";
    EchoAnswered, "echo_answered", Drop, "A ping of a virtual address; it is answered.";
    EchoLimited, "echo_limited", Drop, "A ping of a virtual address, beyond those that are answered in a second.";
    ChecksumTooLong, "checksum_too_long", Drop, "The sender left the checksum to us, and the packet is too long.";
    NotReady, "not_ready", Pass, "The tables are not set up; the host gets the packet.";
}

impl Reason {
    /// What becomes of a packet for this reason.
    #[inline(always)]
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self.action() {
            Action::Pass => Verdict::pass(self),
            _ => Verdict::drop(self),
        }
    }
}

/// What a packet is hardly ever refused for.
#[cold]
#[inline(always)]
pub(crate) fn seldom<T>(exit: T) -> T {
    opaque::seldom();
    exit
}

/// `Option::ok_or` for what hardly ever is missing.
pub(crate) trait OrRefuse<T> {
    /// What is there; else the reason to refuse the packet.
    fn or_refuse(self, reason: Reason) -> Result<T, Reason>;
}

impl<T> OrRefuse<T> for Option<T> {
    #[inline(always)]
    fn or_refuse(self, reason: Reason) -> Result<T, Reason> {
        match self {
            Some(found) => Ok(found),
            None => Err(seldom(reason)),
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
