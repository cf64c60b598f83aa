//! Mode `tunnel`: packets travel to their backend within others. Each row is told for each tunnel: either outer family,
//! with and without UDP.

use lb_common::{
    Reason,
    wire::{ACK, FIN, SYN},
};

use super::{
    errors::{is_reported, is_too_long},
    rows,
};
use crate::{
    bench::Bench,
    frame::{Check, Frame},
    tunnel::Tunnel,
    world::{self, BACKEND_MAC, FRONT, Family, MTU},
};

rows! {
    a_tcp_connection_travels_within_others: v4 v6;
    a_udp_flow_travels_within_others: v4 v6;
    a_backend_behind_the_clients_interface_is_sent_to_by_tx: v4 v6;
    dscp_and_ecn_are_copied_outside: v4 v6;
    ip_options_stay_inside: v4;
    padding_stays_behind: v4 v6;
    an_unfinished_checksum_is_finished_inside: v4 v6;
    flows_differ_outside_and_packets_of_one_do_not: v4 v6;
    a_packet_that_just_fits_is_sent_and_one_byte_more_is_reported: v4 v6;
    a_syn_asks_for_segments_that_fit: v4 v6;
    a_syn_with_its_mss_at_an_odd_place_keeps_a_right_checksum: v4 v6;
    a_syn_that_asks_for_less_stays: v4 v6;
    a_syn_with_broken_options_stays: v4 v6;
    a_ttl_that_ends_here_is_reported_for_tunnels: v4 v6;
    the_clients_fin_ends_a_flow: v4 v6;
    a_connection_of_another_balancer_goes_on: v4 v6;
    a_tunnel_without_a_source_address_drops: v4 v6;
}

const GUE: Option<u16> = Some(6080);

/// Tells a story with each tunnel, in a world of its own.
fn each(bench: &mut Bench<'_>, story: impl Fn(&mut Bench<'_>, Tunnel)) {
    for outer in [Family::V4, Family::V6] {
        for gue in [None, GUE] {
            let tunnel = Tunnel { outer, gue };
            world::set_up(&bench.memory());
            world::tunnel(&bench.memory(), bench.family, tunnel);
            story(bench, tunnel);
        }
    }
}

fn a_tcp_connection_travels_within_others(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let syn = Frame::syn(bench.family);
        bench.travels(&syn, tunnel);
        for length in [0, 1, 700, 1300] {
            bench.travels(&syn.with(ACK, &vec![0x5a; length]), tunnel);
        }
        assert_eq!(bench.flows(), (1, 0));
        assert_eq!(world::traffic(&bench.memory()).0, 5);
    });
}

fn a_udp_flow_travels_within_others(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let question = Frame::datagram(bench.family);
        bench.travels(&question, tunnel);
        bench.travels(&question.with(0, b"another"), tunnel);
        assert_eq!(bench.flows(), (1, 0));
    });
}

fn a_backend_behind_the_clients_interface_is_sent_to_by_tx(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let syn = Frame::syn(bench.family);
        let row = bench.family.row(syn.protocol, syn.to.port());
        world::next_hop(&bench.memory(), row, BACKEND_MAC, FRONT);
        bench.travels(&syn, tunnel);
    });
}

fn dscp_and_ecn_are_copied_outside(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        for class in [0, 1, 2, 3, 0xb8, 0xff] {
            let mut frame = Frame::datagram(bench.family);
            frame.class = class;
            bench.travels(&frame, tunnel);
        }
    });
}

fn ip_options_stay_inside(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let mut syn = Frame::syn(bench.family);
        syn.options = vec![1; 40];
        syn.tcp_options = mss(9000);
        let mut travels = syn.clone();
        travels.tcp_options = mss(1460 - overhead(tunnel));
        bench.travels_as(&syn, &travels, tunnel);
    });
}

fn padding_stays_behind(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let mut frame = Frame::datagram(bench.family);
        frame.trailer = vec![0; 11];
        bench.travels(&frame, tunnel);
    });
}

fn an_unfinished_checksum_is_finished_inside(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        for mut frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
            frame.check = Check::Partial;
            bench.travels(&frame, tunnel);
        }
    });
}

fn flows_differ_outside_and_packets_of_one_do_not(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let [one, other] = [40_000, 40_001].map(|port| Frame::datagram(bench.family).sent_from(port));
        let first = bench.travels(&one, tunnel);
        assert_eq!(bench.travels(&one.with(0, b"more"), tunnel), first);
        let second = bench.travels(&other, tunnel);
        let plain = tunnel.outer == Family::V4 && tunnel.gue.is_none();
        assert_eq!(first == second, plain, "IPv4 alone has nothing to differ by");
    });
}

fn a_packet_that_just_fits_is_sent_and_one_byte_more_is_reported(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let empty = Frame::datagram(bench.family).with(0, b"");
        let room = MTU as usize - tunnel.overhead() - (empty.bytes().len() - 14);
        bench.travels(&empty.with(0, &vec![1; room]), tunnel);
        let mtu = MTU - u32::from(overhead(tunnel));
        is_too_long(bench, &empty.with(0, &vec![1; room + 1]), mtu);
    });
}

/// The option, as it stands in a TCP header.
fn mss(value: u16) -> Vec<u8> {
    [[2, 4], value.to_be_bytes()].concat()
}

fn overhead(tunnel: Tunnel) -> u16 {
    u16::try_from(tunnel.overhead()).expect("a few bytes")
}

/// The MSS that fits a tunnel.
fn fitting(family: Family, tunnel: Tunnel) -> u16 {
    let usual = if family == Family::V4 { 1460 } else { 1440 };
    usual - overhead(tunnel)
}

fn a_syn_asks_for_segments_that_fit(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let fits = mss(fitting(bench.family, tunnel));
        // SACK permitted, window scale and padding, as Linux has them.
        let others = [4, 2, 1, 3, 3, 7, 0, 0];
        for check in [Check::Right, Check::Partial, Check::Off(1)] {
            let mut syn = Frame::syn(bench.family).sent_from(40_001);
            (syn.tcp_options, syn.check) = ([mss(1460).as_slice(), &others].concat(), check);
            let mut travels = syn.clone();
            travels.tcp_options = [fits.as_slice(), &others].concat();
            bench.travels_as(&syn, &travels, tunnel);
        }
    });
}

fn a_syn_with_its_mss_at_an_odd_place_keeps_a_right_checksum(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let mut syn = Frame::syn(bench.family);
        syn.tcp_options = [[1].as_slice(), &mss(1460), &[1, 1, 0]].concat();
        let mut travels = syn.clone();
        travels.tcp_options = [[1].as_slice(), &mss(fitting(bench.family, tunnel)), &[1, 1, 0]].concat();
        bench.travels_as(&syn, &travels, tunnel);
    });
}

fn a_syn_that_asks_for_less_stays(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        for value in [536, fitting(bench.family, tunnel)] {
            let mut syn = Frame::syn(bench.family);
            syn.tcp_options = mss(value);
            bench.travels(&syn, tunnel);
        }
    });
}

fn a_syn_with_broken_options_stays(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let broken: [&[u8]; 6] = [
            &[3, 0, 2, 4],
            &[3, 1, 2, 4],
            &[0, 2, 4, 5],
            &[1, 1, 2, 4],
            &[8, 255, 2, 4],
            &[1; 40],
        ];
        for options in broken {
            let mut syn = Frame::syn(bench.family);
            syn.tcp_options = options.to_vec();
            bench.travels(&syn, tunnel);
        }
    });
}

fn a_ttl_that_ends_here_is_reported_for_tunnels(bench: &mut Bench<'_>) {
    each(bench, |bench, _| {
        let mut syn = Frame::syn(bench.family);
        syn.ttl = 1;
        is_reported(bench, &syn);
    });
}

fn the_clients_fin_ends_a_flow(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let syn = Frame::syn(bench.family);
        bench.travels(&syn, tunnel);
        bench.travels(&syn.with(FIN | ACK, b""), tunnel);
        assert_eq!(bench.flows(), (1, 1));
        bench.travels(&syn.with(ACK, b""), tunnel);
        bench.travels(&syn, tunnel);
        assert_eq!(bench.flows(), (2, 1));
    });
}

fn a_connection_of_another_balancer_goes_on(bench: &mut Bench<'_>) {
    each(bench, |bench, tunnel| {
        let syn = Frame::syn(bench.family);
        for (number, flags) in (0..).zip([ACK, SYN | ACK]) {
            bench.travels(&syn.sent_from(40_000 + number).with(flags, b"data"), tunnel);
        }
        assert_eq!(bench.flows(), (2, 0));
    });
}

fn a_tunnel_without_a_source_address_drops(bench: &mut Bench<'_>) {
    each(bench, |bench, _| {
        for record in bench.memory().backends {
            record.sources.store(0);
        }
        bench.drops(&Frame::syn(bench.family), Reason::NoSource);
    });
}
