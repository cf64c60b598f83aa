//! Whether a packet is one of those that are watched.

use super::subject::Subject;
use crate::layout::Watch;

/// Whether a packet is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// It is.
    Yes,
    /// It is if its flow, which is new, goes to the backend that is watched.
    Perhaps,
    /// It is not.
    No,
}

/// Whether a packet about this is watched.
#[inline(always)]
pub(super) fn matches(watch: &Watch, subject: &Subject) -> Match {
    if !is_of_client(watch, subject) || !is_of_service(watch, subject) {
        return Match::No;
    }
    let wanted = watch.backend.load();
    if wanted == 0 || wanted == subject.backend {
        Match::Yes
    } else if subject.backend == 0 && subject.service != 0 {
        Match::Perhaps
    } else {
        Match::No
    }
}

#[inline(always)]
fn is_of_client(watch: &Watch, subject: &Subject) -> bool {
    let port = watch.client_port.load();
    if port != 0 && port != subject.client_port {
        return false;
    }
    let ([first, second], [mask_first, mask_second]) = (&watch.client, &watch.mask);
    let [address_first, address_second] = subject.client.0;
    let other = (first.load() ^ address_first) & mask_first.load()
        | (second.load() ^ address_second) & mask_second.load();
    other == 0
}

#[inline(always)]
fn is_of_service(watch: &Watch, subject: &Subject) -> bool {
    let [first, second] = &watch.services;
    let (first, second) = (first.load(), second.load());
    let any = first | second == 0;
    any || subject.service != 0 && (subject.service == first || subject.service == second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Address as _, V4, V6};

    fn subject(service: u32, backend: u32) -> Subject {
        Subject {
            client: V4([192, 0, 2, 7]).mapped(),
            client_port: 40_000,
            service,
            backend,
            ..Subject::default()
        }
    }

    fn from(network: V6, mask: V6) -> Watch {
        let watch = Watch::default();
        for (place, (address, bits)) in network.0.into_iter().zip(mask.0).enumerate() {
            watch.client[place].store(address);
            watch.mask[place].store(bits);
        }
        watch
    }

    #[test]
    fn who_asks_for_nothing_sees_everything() {
        let watch = Watch::default();
        for subject in [Subject::default(), subject(0, 0), subject(3, 0), subject(3, 9)] {
            assert_eq!(matches(&watch, &subject), Match::Yes);
        }
    }

    #[test]
    fn a_client_is_of_a_network_and_has_a_port() {
        let mask = V6::from_octets([
            255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0,
        ]);
        let watch = from(V4([192, 0, 2, 0]).mapped(), mask);
        assert_eq!(matches(&watch, &subject(0, 0)), Match::Yes);
        watch.client_port.store(40_000);
        assert_eq!(matches(&watch, &subject(0, 0)), Match::Yes);
        watch.client_port.store(40_001);
        assert_eq!(matches(&watch, &subject(0, 0)), Match::No);
        let elsewhere = from(V4([192, 0, 3, 0]).mapped(), mask);
        assert_eq!(matches(&elsewhere, &subject(0, 0)), Match::No);
        assert_eq!(
            matches(&elsewhere, &Subject::default()),
            Match::No,
            "what is no IP packet has no client"
        );
    }

    #[test]
    fn a_service_may_have_two_rows() {
        let watch = Watch::default();
        watch.services[1].store(4);
        assert_eq!(matches(&watch, &subject(4, 0)), Match::Yes);
        assert_eq!(matches(&watch, &subject(3, 0)), Match::No);
        assert_eq!(matches(&watch, &subject(0, 0)), Match::No);
        watch.services[0].store(3);
        assert_eq!(matches(&watch, &subject(3, 0)), Match::Yes);
    }

    #[test]
    fn a_new_flow_may_turn_out_to_go_to_the_backend() {
        let watch = Watch::default();
        watch.backend.store(9);
        assert_eq!(matches(&watch, &subject(4, 0)), Match::Perhaps);
        assert_eq!(matches(&watch, &subject(4, 9)), Match::Yes);
        assert_eq!(matches(&watch, &subject(4, 8)), Match::No);
        assert_eq!(matches(&watch, &subject(0, 0)), Match::No);
    }
}
