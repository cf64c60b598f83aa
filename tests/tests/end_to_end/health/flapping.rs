//! A backend that goes up and down ten times a second.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use lab::{Family, Role, Wiring, wait_for};

use super::{LIMIT, global};
use crate::story::{in_lab, usual};

const FLAPPED: Duration = Duration::from_secs(8);
const MOST: usize = 5;

/// Answers that it is well for a twentieth of a second, and that it is not for the next.
fn flap(listener: &TcpListener, end: &AtomicBool) -> Result<()> {
    let start = Instant::now();
    while !end.load(Ordering::Relaxed) {
        let (mut stream, _) = listener.accept()?;
        let is_well = (start.elapsed().as_millis() / 50).is_multiple_of(2);
        let status = if is_well { "200 OK" } else { "503 No" };
        let _request = stream.read(&mut [0; 1024])?;
        // A check that has waited too long is gone.
        let _sent = write!(stream, "HTTP/1.1 {status}\r\n\r\n");
    }
    Ok(())
}

#[test]
fn a_flapping_backend_rebuilds_the_choice_table_a_bounded_number_of_times() {
    in_lab(usual(), |lab| {
        let ip = |number| Wiring::TwoArmed.address(Role::Backend(number), Family::V4);
        let (flapping, steady) = (SocketAddr::new(ip(1), 9000), lab.direct(2, Family::V4));
        let end = Arc::new(AtomicBool::new(false));
        let server = lab.backends()[0].namespace().spawn({
            let end = Arc::clone(&end);
            move || flap(&TcpListener::bind(flapping)?, &end)
        });
        let config = format!(
            "{}[[service]]\nname = \"s\"\nbind = [\"{}:9000\"]\n\
             check = {{ type = \"http\", inter = \"20ms\", rise = 1, fall = 1, max_flaps = {MOST} }}\n\
             backend = [{{ name = \"flapping\", address = \"{flapping}\" }}, {{ name = \"steady\", address = \"{steady}\" }}]\n",
            global(lab),
            Family::V4.vip()
        );
        lab.start_daemon_unready(&config)?;
        let begun = Instant::now();
        wait_for("the backend to have flapped for a while", LIMIT, || {
            Ok((begun.elapsed() >= FLAPPED).then_some(()))
        })?;
        let log = lab.daemon_log()?;
        let built = log.matches("choice table is written").count();
        let downs = log.matches("backend is down").count();
        println!(
            "{FLAPPED:?} of flapping ten times a second: down {downs} times, choice table built {built} times"
        );
        assert!(downs > MOST, "it was not flapping");
        // Down once more than it may, up again in between, and twice at the start.
        assert!(built <= 2 * (MOST + 1) + 2, "{built}");
        assert_eq!(lab.daemon()?.backend_state("s", "steady")?, "up");
        end.store(true, Ordering::Relaxed);
        wait_for("the server to end", LIMIT, || {
            Ok(server.is_finished().then_some(()))
        })?;
        Ok(())
    });
}
