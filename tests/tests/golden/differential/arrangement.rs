//! How the world of a story is set up, and what changes in it later.

use lb_common::{
    address::{TCP, UDP},
    layout::{ANSWER_ECHO, COMPLETE_PARTIAL, KEEP_PARTIAL, Service},
    manner::Manner,
};

use super::{random::Random, step::Step};
use crate::world::{BACK, FRONT, Family, PORT, SECOND_PORT};

/// Ticks of a second: so many that what passes while a story is told is nothing beside any time limit.
pub(super) const SECOND: u32 = 10_000_000;

/// How far a service's second backend is from its first.
const NEXT_BACKEND: u32 = 6;

/// What a world begins as.
pub(super) fn arrangement(random: &mut Random) -> Vec<Step> {
    let (first, count) = random.of(&[(1024, 31_744), (1024, 31_744), (20_000, 64), (20_000, 1)]);
    let mut steps = vec![
        Step::PartialChecksums(random.of(&[COMPLETE_PARTIAL, COMPLETE_PARTIAL, KEEP_PARTIAL])),
        Step::Echo(random.of(&[ANSWER_ECHO, ANSWER_ECHO, 0])),
        Step::Pool(first, count),
        Step::Buckets(random.of(&[2, 16, 64, 64])),
    ];
    for family in Family::ALL {
        for service in services(family) {
            let all = vec![service, service + NEXT_BACKEND];
            steps.push(Step::Backends(family, service, all));
            steps.push(choices(random, service));
            steps.push(Step::Scheduler(
                service,
                random.of(&[
                    Service::MAGLEV,
                    Service::SOURCE,
                    Service::ROUND_ROBIN,
                    Service::LEAST_CONN,
                ]),
            ));
        }
        steps.extend(manner(random, family));
        if random.one_in(4) {
            // One server behind two services: in mode nat a client's port can be taken there.
            let [first, .., third] = services(family);
            steps.push(Step::SameServer(third, first));
        }
        for row in services(family)
            .into_iter()
            .flat_map(|row| [row, row + NEXT_BACKEND])
        {
            steps.push(Step::Retries(row, random.of(&[0, 0, 2]), random.one_in(2)));
            if random.one_in(8) {
                steps.push(Step::Local(row));
            }
        }
    }
    steps
}

/// What changes between two frames.
pub(super) fn change(random: &mut Random) -> Step {
    let family = random.of(&Family::ALL);
    let service = random.of(&services(family));
    let backend = service + random.of(&[0, NEXT_BACKEND]);
    match random.below(17) {
        // Beyond the time limits of a SYN that is sent again, of a handshake, and of fragments; and never right at one,
        // however many come together.
        0..4 => Step::Age(random.of(&[2_600_000, 10_300_000, 311_000_000])),
        4 => Step::Answered(random.of(&[0, 0, 1000])),
        5 => choices(random, service),
        6 => Step::ServiceLimit(service, random.of(&[0, 0, 4])),
        7 => Step::BackendLimit(backend, random.of(&[0, 0, 2])),
        8 => Step::Hop(
            backend,
            !random.one_in(4),
            random.of(&[BACK, BACK, FRONT]),
            random.of(&[0, 600, 1280, 1500]),
        ),
        9..11 => Step::Ends(backend, random.one_in(2)),
        11 => Step::SourceLimits(
            service,
            random.of(&[0, 0, 20]),
            random.of(&[0, 0, 5]),
            random.of(&[0, 0, 30]),
        ),
        12 => Step::Denied(service, family, random.one_in(4)),
        13 => Step::Cookies(service, random.of(&[0, 0, 1, 3])),
        14 => Step::Sources(backend, random.of(&[0, 1, 1])),
        15 => Step::Verifies(service, random.one_in(2)),
        _ => Step::Retries(backend, random.of(&[0, 1, 7]), random.one_in(2)),
    }
}

fn services(family: Family) -> [u32; 3] {
    [(TCP, PORT), (UDP, PORT), (TCP, SECOND_PORT)].map(|(protocol, port)| family.row(protocol, port))
}

fn choices(random: &mut Random, service: u32) -> Step {
    let (first, second) = (service, service + NEXT_BACKEND);
    let rows = match random.below(16) {
        0 => Vec::new(),
        1..6 => vec![first],
        _ => vec![first, second],
    };
    Step::Choices(service, rows)
}

fn manner(random: &mut Random, family: Family) -> Option<Step> {
    let port = random.of(&[None, Some(6080)]);
    match random.below(8) {
        0..3 => None,
        3..5 => Some(Step::Manner(family, Manner::NAT.0)),
        5 => Some(Step::Manner(family, Manner::DSR.0)),
        _ => Some(Step::Tunnel(family, random.of(&Family::ALL), port)),
    }
}
