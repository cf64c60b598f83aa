//! Database sessions that are quiet for 70 minutes, while two million handshakes are begun and never finished: the packet
//! path over plain memory, with a clock that the test moves.

use std::time::Duration;

use lab::{
    Family,
    bench::scene::{Ends, INTERFACE, Kind, Protocol, Scene},
};
use lb_common::{
    Packet, V4,
    flow::sweep,
    memory::{Heap, Worker},
    process,
};
use lb_user::control::Control;

/// Sessions, established before it begins.
const SESSIONS: u32 = 1_000;

/// Flows that the table is made for: a flood of a second is more.
const ROOM: u32 = 8_192;

/// For how long they are quiet.
const MINUTES: u32 = 70;

/// SYNs in the first seconds of each minute: two million in all.
const SYNS: u32 = 28_572;
const SECONDS: u32 = 3;

/// The clock's.
const TICK: Duration = Duration::from_millis(4);
const TICKS_PER_SECOND: u32 = 250;

/// The interface that leads to the backends.
const TO_BACKENDS: u32 = 2;

/// Room before and behind a frame, as in the kernel.
const MARGIN: usize = 256;

#[test]
fn sessions_that_are_quiet_for_70_minutes_live_through_two_million_unfinished_handshakes() {
    let mut balancer = Balancer::new();
    let sessions: Vec<_> = (0..SESSIONS).map(|number| balancer.establish(number)).collect();
    let (mut client, mut forwarded) = (SESSIONS, 0);
    for _ in 0..MINUTES {
        let start = balancer.now;
        for number in 0..SYNS {
            balancer.now = start.wrapping_add(number * SECONDS * TICKS_PER_SECOND / SYNS);
            let syn = Ends::of_client(client, Family::V4).frame(Protocol::Tcp, Kind::Open, 0);
            forwarded += u32::from(balancer.forward(&syn, INTERFACE, |_| ()).is_some());
            client += 1;
        }
        balancer.now = start.wrapping_add(60 * TICKS_PER_SECOND);
        balancer.sweep();
    }
    let is_alive = |(number, left): &(u32, Ends)| balancer.carries(*number, *left);
    let alive = sessions.iter().filter(|session| is_alive(session)).count();
    println!(
        "{} SYNs in {MINUTES} minutes, {forwarded} of them forwarded; {alive} of {SESSIONS} sessions go on",
        client - SESSIONS
    );
    assert!(forwarded > SYNS * MINUTES / 2, "the flood was none");
    assert_eq!(alive, sessions.len());
}

/// A packet path, who rules over its tables, and its clock.
struct Balancer {
    tables: Heap,
    control: Control,
    now: u32,
}

impl Balancer {
    fn new() -> Self {
        let scene = Scene::new(&[Family::V4], ROOM, TO_BACKENDS).unwrap();
        let tables = Heap::new(&scene.capacity().unwrap().sizes());
        let control = scene.install(&tables.memory()).unwrap();
        Self {
            tables,
            control,
            // Not far from where the clock begins anew.
            now: u32::MAX - 60 * TICKS_PER_SECOND,
        }
    }

    /// Has a client and its backend shake hands; the client's number, and where its packets leave to.
    fn establish(&self, number: u32) -> (u32, Ends) {
        let client = Ends::of_client(number, Family::V4);
        let left = self.sends(client, Kind::Open).expect("there is room");
        let answer = left.reversed().frame(Protocol::Tcp, Kind::Answer, 0);
        assert_eq!(self.answers(&answer), Some(client.reversed()));
        assert_eq!(self.sends(client, Kind::Data), Some(left));
        (number, left)
    }

    /// Whether packets of a session still go both ways.
    fn carries(&self, number: u32, left: Ends) -> bool {
        let client = Ends::of_client(number, Family::V4);
        let answer = left.reversed().frame(Protocol::Tcp, Kind::Data, 100);
        self.sends(client, Kind::Data) == Some(left) && self.answers(&answer) == Some(client.reversed())
    }

    /// With which ends a client's segment leaves, if it does.
    fn sends(&self, client: Ends, kind: Kind) -> Option<Ends> {
        let frame = client.frame(Protocol::Tcp, kind, 0);
        self.forward(&frame, INTERFACE, Ends::of_frame).flatten()
    }

    /// With which ends a backend's frame leaves, if it does.
    fn answers(&self, frame: &[u8]) -> Option<Ends> {
        self.forward(frame, TO_BACKENDS, Ends::of_frame).flatten()
    }

    /// Hands a frame to the packet path, and looks at it as it leaves, if it does.
    fn forward<T>(&self, frame: &[u8], interface: u32, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let mut buffer = [&[0; MARGIN], frame, &[0; MARGIN]].concat();
        let worker = Worker::new(self.tables.memory(), 0, self.now);
        let mut packet = Packet::in_buffer(&mut buffer, MARGIN, frame.len(), interface)?;
        let verdict = process(&mut packet, &worker);
        verdict.reason().is_none().then(|| look(packet.bytes()))
    }

    /// Removes what is over, as the daemon does.
    fn sweep(&self) {
        let memory = self.tables.memory();
        let worker = Worker::new(memory, 0, self.now);
        let limits = |backend| self.control.limits(backend, TICK);
        for bucket in 0..u32::try_from(memory.buckets_v4.len()).unwrap() {
            sweep::<V4, _>(&worker, bucket, self.now, limits);
        }
    }
}
