//! Nanoseconds per packet, case by case, with warm caches.

use anyhow::{Context as _, Result, ensure};
use lb_common::{
    Packet, Tables as _, V4, V6, Verdict,
    flow::{self, Limits},
    memory::Memory,
    process,
};
use lb_user::dataplane::Capacity;

use super::{
    kernel::{Course, Kernel, Order, action},
    machine,
    report::{Row, Table, columns},
    sample::Sample,
    scene::{Ends, INTERFACE, Kind, Protocol, Scene},
    timing::{Effort, Timed, in_turn},
};
use crate::Family;

/// The floor of the machine that the goals were set on, in nanoseconds.
const FLOOR_OF_GOALS: f64 = 21.0;

/// Room for flows: small enough for its table to stay in the CPU's second-level cache.
const FLOWS: u32 = 1024;

/// The smallest tables, for what uses none of them.
pub(super) const SMALLEST: Capacity = Capacity {
    services: 1,
    virtual_addresses: 1,
    choice_slots: 1,
    backends: 1,
    sources: 1,
    flows_v4: 1,
    flows_v6: 1,
    workers: 1,
};

/// Clients that open flows: more than one measurement needs, so that each is new.
const OPENING: Course = Course {
    first: 0,
    count: 1 << 24,
    order: Order::Random,
};

/// A kind of packet.
struct Case {
    name: &'static str,
    /// The wrapper that gives it a fresh frame, and that wrapper alone.
    programs: (&'static str, &'static str),
    family: Family,
    packet: Packets,
    /// What must become of it.
    action: u32,
    /// Nanoseconds above the floor that it may take, on the machine that the goals were set on.
    goal: Option<f64>,
}

/// Which packet it is.
#[derive(Clone, Copy)]
enum Packets {
    /// From a client, in an established flow.
    Forth(Protocol),
    /// From the backend, in an established flow.
    Back(Protocol),
    /// From a client, with a checksum that its NIC was to finish, and 1,000 bytes of data.
    Unfinished,
    /// From a client, in an established flow whose backend is behind another interface.
    Across,
    /// The first of a flow.
    First(Protocol),
    /// Data of a flow that there is none of.
    Stray,
    /// To a port that nobody wants.
    Other,
    /// To a port that a flow could have, but at an address that is no service's.
    Near,
    /// ARP.
    NotIp,
}

const SAME_V4: (&str, &str) = ("again_v4", "again_v4_alone");
const SAME_V6: (&str, &str) = ("again_v6", "again_v6_alone");
const PLAIN: (&str, &str) = ("plain", "floor_tx");
const OPEN_V4: (&str, &str) = ("open_v4", "open_v4_alone");
const OPEN_V6: (&str, &str) = ("open_v6", "open_v6_alone");

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    use Family::{V4, V6};
    use Packets::{Across, Back, First, Forth, Near, NotIp, Other, Stray, Unfinished};
    use Protocol::{Tcp, Udp};
    use action::{DROP, PASS, REDIRECT, TX};
    let case = |name, programs, family, packet, action, goal| Case { name, programs, family, packet, action, goal };
    vec![
        case("established, TCP v4, to the backend", SAME_V4, V4, Forth(Tcp), TX, Some(35.0)),
        case("established, TCP v4, to the client", SAME_V4, V4, Back(Tcp), TX, Some(35.0)),
        case("established, TCP v4, redirected", SAME_V4, V4, Across, REDIRECT, None),
        case("established, TCP v4, checksum to finish, 1 kB", SAME_V4, V4, Unfinished, TX, None),
        case("established, TCP v6, to the backend", SAME_V6, V6, Forth(Tcp), TX, Some(42.0)),
        case("established, TCP v6, to the client", SAME_V6, V6, Back(Tcp), TX, Some(42.0)),
        case("established, UDP v4, to the backend", SAME_V4, V4, Forth(Udp), TX, Some(35.0)),
        case("established, UDP v4, to the client", SAME_V4, V4, Back(Udp), TX, Some(35.0)),
        case("established, UDP v6, to the backend", SAME_V6, V6, Forth(Udp), TX, Some(42.0)),
        case("new flow, TCP v4", OPEN_V4, V4, First(Tcp), TX, Some(60.0)),
        case("new flow, TCP v6", OPEN_V6, V6, First(Tcp), TX, Some(60.0)),
        case("new flow, UDP v4", OPEN_V4, V4, First(Udp), TX, Some(60.0)),
        case("unknown flow, TCP v4, dropped", PLAIN, V4, Stray, DROP, Some(40.0)),
        case("unknown flow, TCP v6, dropped", PLAIN, V6, Stray, DROP, Some(40.0)),
        case("not for a service, v4, passed", PLAIN, V4, Other, PASS, Some(6.0)),
        case("not for a service, v6, passed", PLAIN, V6, Other, PASS, Some(6.0)),
        case("not for a service, v4, a port of the pool, passed", PLAIN, V4, Near, PASS, None),
        case("not IP, passed", PLAIN, V4, NotIp, PASS, Some(6.0)),
    ]
}

/// Measures all cases.
pub fn measure(effort: Effort) -> Result<Table> {
    let mut benches = (Bench::new(INTERFACE)?, Bench::new(INTERFACE + 1)?);
    let mut measured = Vec::new();
    for case in cases() {
        let bench = match case.packet {
            Packets::Across => &mut benches.1,
            _ => &mut benches.0,
        };
        let (floor, net) = bench
            .time(&case, effort)
            .with_context(|| format!("case `{}`", case.name))?;
        measured.push((case, floor.min(), net));
    }
    // The goals are translated by what the floor is when nothing disturbs.
    let floor = measured
        .iter()
        .map(|(_, floor, _)| *floor)
        .fold(f64::INFINITY, f64::min);
    let rows = measured
        .iter()
        .map(|(case, own, net)| row(case, floor, *own, net))
        .collect();
    Ok(Table {
        name: "packet",
        title: "Packet path, warm caches: nanoseconds per packet in the kernel's test run".to_owned(),
        notes: vec![
            format!(
                "{} measurements of {} runs each; a wrapper puts the header of a forwarded packet back after each run, and what \
                 it costs alone, measured in turn with it, is taken off.",
                effort.rounds, effort.repeat
            ),
            "New flows: each run is a new client; the wrapper empties two buckets in turn, so that none has more \
             than one flow's entries on average."
                .to_owned(),
            format!("The goals are those of a machine with a floor of {FLOOR_OF_GOALS} ns, scaled to this one's."),
        ],
        columns: columns(&[
            ("above_floor_min_ns", "above floor, min ns", 1),
            ("above_floor_median_ns", "median ns", 1),
            ("ratio_to_floor", "× floor", 2),
            ("goal_ns", "goal ns", 1),
            ("ratio_to_goal", "× goal", 2),
            ("floor_ns", "floor ns", 1),
        ]),
        rows,
    })
}

/// `floor` is the machine's, `own` that measured in turn with the case.
fn row(case: &Case, floor: f64, own: f64, net: &Net) -> Row {
    let goal = case.goal.map(|goal| goal * floor / FLOOR_OF_GOALS);
    let ratio = (own + net.min) / own;
    let figures = [
        Some(net.min),
        Some(net.median),
        Some(ratio),
        goal,
        goal.map(|goal| net.min / goal),
        Some(own),
    ];
    Row::new(case.name, figures)
}

/// A program's time less that of its wrapper.
struct Net {
    min: f64,
    median: f64,
}

/// Nanoseconds of the floor, and of an established TCP flow's packet over IPv4 above it.
pub fn established(effort: Effort) -> Result<(f64, f64)> {
    let case = cases().into_iter().next().context("there are no cases")?;
    let (floor, net) = Bench::new(INTERFACE)?.time(&case, effort)?;
    Ok((floor.min(), net.min))
}

/// The programs over tables whose backends are all behind one interface.
struct Bench(Kernel);

impl Bench {
    fn new(towards: u32) -> Result<Self> {
        let scene = Scene::new(&[Family::V4, Family::V6], FLOWS, towards)?;
        let kernel = Kernel::load(&capacity(&scene)?, &[])?;
        scene.install(&kernel.memory())?;
        Ok(Self(kernel))
    }

    /// The floor's times, and the packet path's above it.
    fn time(&mut self, case: &Case, effort: Effort) -> Result<(Sample, Net)> {
        let Self(kernel) = self;
        forget_flows(kernel)?;
        let frame = frame(case, kernel)?;
        kernel.set_header(&frame)?;
        kernel.set_course(OPENING)?;

        let before = packets(&kernel.memory());
        let programs = [
            Timed::tx("floor_tx", &frame),
            Timed::tx(case.programs.1, &frame),
            Timed {
                program: case.programs.0,
                frame: &frame,
                // New flows may be refused, and are counted.
                action: (!matches!(case.packet, Packets::First(_))).then_some(case.action),
            },
        ];
        let samples = in_turn(kernel, effort, &programs)?;
        all_went_the_same_way(case, effort, before, packets(&kernel.memory()))?;
        let [floor, alone, whole] = samples
            .try_into()
            .unwrap_or_else(|_| unreachable!("three programs"));
        let net = Net {
            min: whole.min() - alone.min(),
            median: whole.median() - alone.median(),
        };
        Ok((floor, net))
    }
}

/// Removes the flows of the case before.
fn forget_flows(kernel: &mut Kernel) -> Result<()> {
    let all = |_| Limits {
        established: 0,
        half_open: 0,
        closed: 0,
    };
    let worker = kernel.worker()?;
    for bucket in 0..Capacity::buckets(FLOWS) {
        flow::sweep::<V4, _>(&worker, bucket, worker.now(), all);
        flow::sweep::<V6, _>(&worker, bucket, worker.now(), all);
    }
    Ok(())
}

/// Room for one CPU's counters more than there are CPUs, as in the daemon.
pub(super) fn capacity(scene: &Scene) -> Result<Capacity> {
    let cpus = u32::try_from(machine::processors()?)?;
    Ok(scene.capacity(cpus + 1))
}

/// Packets so far, by verdict.
fn packets(memory: &Memory<'_>) -> [u64; Verdict::COUNT] {
    [0, 1, 2, 3].map(|verdict: usize| {
        let counters = memory.packet_counters.iter();
        counters.map(|counters| counters.verdicts[verdict].load()).sum()
    })
}

/// A time is worth something only if every packet took the way that is timed.
fn all_went_the_same_way(
    case: &Case,
    effort: Effort,
    before: [u64; Verdict::COUNT],
    after: [u64; Verdict::COUNT],
) -> Result<()> {
    let verdict = match case.action {
        action::PASS => 0,
        action::TX => 1,
        action::REDIRECT => 2,
        _ => 3,
    };
    let all = u64::from(effort.rounds + 1) * u64::from(effort.repeat);
    let same = after[verdict] - before[verdict];
    // Of flows at random, a few find their buckets full.
    let strays = match case.packet {
        Packets::First(_) => all / 1000,
        _ => 0,
    };
    ensure!(
        same >= all - strays,
        "{same} of {all} packets were to {}; by verdict: {before:?}, then {after:?}",
        Verdict::NAMES[verdict]
    );
    Ok(())
}

/// The case's packet; its flow is there when it belongs to one.
fn frame(case: &Case, kernel: &mut Kernel) -> Result<Vec<u8>> {
    use Protocol::Tcp;

    let client = Ends::of_client(0, case.family);
    Ok(match case.packet {
        Packets::Forth(protocol) => {
            open(kernel, client, protocol)?;
            client.frame(protocol, Kind::Data, 22)
        }
        Packets::Back(protocol) => open(kernel, client, protocol)?.frame(protocol, Kind::Data, 22),
        Packets::Across => {
            open(kernel, client, Tcp)?;
            client.frame(Tcp, Kind::Data, 22)
        }
        Packets::Unfinished => {
            open(kernel, client, Tcp)?;
            client.unfinished_frame(1000)
        }
        Packets::First(protocol) => client.frame(protocol, Kind::Open, 22),
        Packets::Stray => client.frame(Tcp, Kind::Data, 22),
        Packets::Other => client.to_port(22).frame(Tcp, Kind::Data, 22),
        Packets::Near => client.to_port(2222).frame(Tcp, Kind::Data, 22),
        Packets::NotIp => {
            let mut frame = client.frame(Tcp, Kind::Data, 22);
            frame[12..14].copy_from_slice(&[0x08, 0x06]);
            frame
        }
    })
}

/// Opens a flow with its first packets. Returns what the backend's packets to the client carry.
fn open(kernel: &mut Kernel, client: Ends, protocol: Protocol) -> Result<Ends> {
    establish(&kernel.worker()?, client, protocol)?.with_context(|| format!("{client:?} is refused a flow"))
}

/// Opens a flow with its first packets, which the packet path gets in this process, over the kernel's tables.
/// Returns what the backend's packets to the client carry; `None` where the flow is refused.
pub(super) fn establish<T: lb_common::Tables>(
    tables: &T,
    client: Ends,
    protocol: Protocol,
) -> Result<Option<Ends>> {
    let is_forwarded = |frame: &mut Vec<u8>| {
        let verdict = process(&mut Packet::new(frame, INTERFACE), tables);
        matches!(verdict, Verdict::Tx | Verdict::Redirect(_))
    };
    let mut first = client.frame(protocol, Kind::Open, 22);
    if !is_forwarded(&mut first) {
        return Ok(None);
    }
    let back = Ends::of_frame(&first)
        .context("the packet path made a frame that cannot be parsed")?
        .reversed();
    let answered = is_forwarded(&mut back.frame(protocol, Kind::Answer, 22));
    let established = is_forwarded(&mut client.frame(protocol, Kind::Data, 22));
    ensure!(answered && established, "a flow of {client:?} did not last");
    Ok(Some(back))
}
