//! How far a flow has come.

use crate::{
    address::{Address, TCP},
    flow::{control::State, hit::Hit},
    hint::likely,
    opaque,
    parse::Segment,
    tables::Tables,
    wire::{ACK, FIN, RST},
};

/// Notes that a packet of the flow has come, and what it says of the flow's life.
#[inline(always)]
pub fn track<A: Address, T: Tables>(tables: &T, segment: &Segment<A>, hit: &Hit<'_, A>) {
    // Most packets change nothing here but these, and stores that change nothing still cost other CPUs a miss.
    let now = tables.now();
    if hit.entry.seen.load() != now {
        hit.entry.seen.store(now);
    }
    if hit.entry.ack.load() != segment.ack {
        opaque::apart();
        if likely(segment.flags & ACK != 0) {
            hit.entry.ack.store(segment.ack);
        }
    }
    if likely(segment.flags & (FIN | RST) == 0) && likely(hit.control.has(State::ESTABLISHED)) {
        return;
    }
    let old = hit.control.state();
    let sees_answers = hit.way.forwarding().sees_answers();
    let new = next(old, segment.protocol, segment.flags, sees_answers);
    if new == old {
        return;
    }
    if segment.flags & RST != 0 && breaks_off(old) {
        count_reset(tables, hit);
    }
    advance_both(tables, hit, new);
}

/// Whether a RST in this state is a backend's in the midst of a flow, of which neither end has said that it is done.
#[inline(always)]
fn breaks_off(state: State) -> bool {
    let over = [State::CLIENT_FIN, State::BACKEND_FIN, State::CLOSED];
    state.has(State::ESTABLISHED) && state.has(State::REPLY) && !over.iter().any(|end| state.has(*end))
}

#[inline(always)]
fn count_reset<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>) {
    let Some(settings) = tables.settings() else {
        return;
    };
    if let Some(counters) = tables.backend_counters(settings, hit.way.backend()) {
        counters.resets.add(1);
    }
}

/// The state after a packet of the entry's direction.
///
/// Where answers are not seen, each packet counts as answered: the next one (of TCP one with ACK) establishes the flow,
/// and the client's FIN closes it. Its last packets, and all that a client has still to acknowledge that has sent FIN,
/// are strays that the entry lingers for.
#[inline(always)]
fn next(state: State, protocol: u8, flags: u8, sees_answers: bool) -> State {
    let reply = state.has(State::REPLY);
    let state = if state.has(State::ANSWERED) && !reply && (protocol != TCP || flags & ACK != 0) {
        state.with(State::ESTABLISHED)
    } else if reply || !sees_answers {
        state.with(State::ANSWERED)
    } else {
        state
    };
    let state = match (flags & FIN != 0, reply) {
        (true, true) => state.with(State::BACKEND_FIN),
        (true, false) => state.with(State::CLIENT_FIN),
        (false, _) => state,
    };
    if flags & RST != 0 || flags & FIN != 0 && !sees_answers {
        return state.with(State::CLOSED);
    }
    state.settled()
}

/// Both entries go on together.
#[inline(always)]
fn advance_both<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>, new: State) {
    let partner = hit.partner(tables);
    // Not the same flow's any more: then neither is the partner that was found.
    if !hit.advance(tables, new) {
        return;
    }
    if let Some(partner) = partner {
        // All but the direction is common to both.
        partner.advance(tables, State(new.0 & !State::REPLY.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{address::UDP, wire::SYN};

    /// The state after a packet of a flow whose answers are seen.
    fn next(state: State, protocol: u8, flags: u8) -> State {
        super::next(state, protocol, flags, true)
    }

    /// The state after packets of a flow whose answers are not seen.
    fn unseen(protocol: u8, packets: &[u8]) -> State {
        packets
            .iter()
            .fold(CLIENT, |state, flags| super::next(state, protocol, *flags, false))
    }

    const CLIENT: State = State::READY;
    const BACKEND: State = State::READY.with(State::REPLY);

    #[test]
    fn an_answer_and_its_acknowledgement_establish_a_tcp_flow() {
        assert_eq!(next(CLIENT, TCP, SYN), CLIENT);
        assert_eq!(next(BACKEND, TCP, SYN | ACK), BACKEND.with(State::ANSWERED));
        let answered = CLIENT.with(State::ANSWERED);
        assert_eq!(next(answered, TCP, SYN), answered);
        assert_eq!(next(answered, TCP, ACK), answered.with(State::ESTABLISHED));
    }

    #[test]
    fn an_acknowledgement_before_any_answer_establishes_nothing() {
        assert_eq!(next(CLIENT, TCP, ACK), CLIENT);
    }

    #[test]
    fn a_udp_flow_is_established_by_the_second_packet_after_an_answer() {
        let answered = CLIENT.with(State::ANSWERED);
        assert_eq!(next(answered, UDP, 0), answered.with(State::ESTABLISHED));
    }

    #[test]
    fn both_fins_close_and_one_does_not() {
        let one = next(CLIENT.with(State::ANSWERED), TCP, FIN | ACK);
        assert!(one.has(State::CLIENT_FIN) && !one.has(State::CLOSED));
        let both = next(BACKEND.with(State::CLIENT_FIN), TCP, FIN | ACK);
        assert!(both.has(State::CLOSED));
    }

    #[test]
    fn a_reset_closes_from_either_side() {
        assert!(next(CLIENT, TCP, RST).has(State::CLOSED));
        assert!(next(BACKEND, TCP, RST | ACK).has(State::CLOSED));
    }

    #[test]
    fn only_a_backend_breaks_off_a_flow_that_nobody_has_ended() {
        let established = State::ANSWERED.with(State::ESTABLISHED);
        assert!(breaks_off(BACKEND.with(established)));
        assert!(!breaks_off(CLIENT.with(established)), "the client's own");
        assert!(!breaks_off(BACKEND.with(State::ANSWERED)), "no flow yet");
        for end in [State::CLIENT_FIN, State::BACKEND_FIN, State::CLOSED] {
            assert!(!breaks_off(BACKEND.with(established).with(end)), "{end:?}");
        }
    }

    #[test]
    fn unseen_answers_are_known_by_what_the_client_says_next() {
        assert!(!unseen(TCP, &[SYN, SYN]).has(State::ESTABLISHED));
        assert!(unseen(TCP, &[SYN, ACK]).has(State::ESTABLISHED));
        assert!(
            !unseen(TCP, &[ACK]).has(State::ESTABLISHED),
            "one packet of an unknown flow"
        );
        assert!(!unseen(UDP, &[0]).has(State::ESTABLISHED));
        assert!(unseen(UDP, &[0, 0]).has(State::ESTABLISHED));
    }

    #[test]
    fn where_answers_are_not_seen_the_clients_fin_closes() {
        assert!(!unseen(TCP, &[SYN, ACK]).has(State::CLOSED));
        assert!(unseen(TCP, &[SYN, ACK, FIN | ACK]).has(State::CLOSED));
        assert!(unseen(TCP, &[SYN, RST]).has(State::CLOSED));
    }
}
