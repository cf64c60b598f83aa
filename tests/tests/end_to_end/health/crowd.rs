//! Two thousand backends checked by one daemon: in time, evenly, and at what price.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use lab::{Family, Lab, Role, Wiring, bench::fleet::Fleet, wait_for};
use tokio::{net::TcpListener, runtime, time};

use super::{LIMIT, global};
use crate::story::{in_lab, usual};

const FLEET: Fleet = Fleet {
    services: 20,
    backends: 100,
};
const INTER: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_secs(12);
/// A tenth of the interval.
const MOST_LATE: Duration = INTER.checked_div(10).unwrap();

type Seen = Arc<Mutex<HashMap<IpAddr, Vec<Instant>>>>;

/// Makes the lab's first backend stand for the fleet, and notes when each of its addresses is connected to.
fn serve(lab: &Lab, seen: &Seen) -> Result<()> {
    let backend = lab.backends()[0].namespace();
    let gateway = Wiring::TwoArmed.address(Role::Backend(1), Family::V4);
    backend.ip_batch(&format!("route add local {} dev lo\n", Fleet::NETWORK))?;
    lab.balancer()
        .ip_batch(&format!("route add {} via {gateway}\n", Fleet::NETWORK))?;
    let seen = Arc::clone(seen);
    backend.spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, Fleet::PORT)).await?;
            // Beyond what any of this takes; the process does not wait for it.
            let _late = time::timeout(2 * LIMIT, async {
                while let Ok((stream, _)) = listener.accept().await {
                    let Ok(address) = stream.local_addr() else {
                        continue;
                    };
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.entry(address.ip()).or_default().push(Instant::now());
                }
            })
            .await;
            Ok(())
        })
    });
    Ok(())
}

/// Memory of its own that a process has, in megabytes, and the CPU time that it has had.
fn price(pid: u32) -> Result<(f64, Duration)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("no RssAnon")?
        .parse()?;
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok((kilobytes * 1024.0 / 1e6, Duration::from_nanos(nanoseconds)))
}

/// How late each check was, against the one before and the interval.
fn lateness(times: &[Instant]) -> impl Iterator<Item = Duration> {
    let pairs = times.windows(2);
    pairs.map(|pair| (pair[1] - pair[0]).saturating_sub(INTER))
}

/// The most checks that began within so much time.
fn largest_burst(times: &[Instant], within: Duration) -> usize {
    let mut first = 0;
    let burst = |(last, time): (usize, &Instant)| {
        while *time - times[first] > within {
            first += 1;
        }
        last - first + 1
    };
    times.iter().enumerate().map(burst).max().unwrap_or_default()
}

#[test]
fn two_thousand_backends_are_checked_in_time_and_evenly() {
    in_lab(usual(), |lab| {
        let seen = Seen::default();
        serve(lab, &seen)?;
        let all = global(lab);
        let global = all
            .split("[stats]")
            .next()
            .unwrap_or_default()
            .replace("[global]", "");
        let check = format!("{{ type = \"tcp\", inter = \"{}s\" }}", INTER.as_secs());
        lab.start_daemon_on(&FLEET.to_toml(&global, &check)?)?;
        let pid = lab.daemon()?.status()?.pid;
        // The first round is made at once; the second is on its way to its rhythm.
        let start = Instant::now();
        let after = |time: Duration| move || Ok((start.elapsed() >= time).then_some(()));
        wait_for("two rounds", LIMIT, after(2 * INTER))?;
        seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let (_, before) = price(pid)?;
        wait_for("what is watched", LIMIT, after(2 * INTER + WATCHED))?;
        let (memory, worked) = price(pid)?;
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));

        let mut late: Vec<Duration> = seen.values().flat_map(|times| lateness(times)).collect();
        late.sort_unstable();
        let mut times: Vec<Instant> = seen.values().flatten().copied().collect();
        times.sort_unstable();
        let window = Duration::from_millis(100);
        let (burst, even) = (largest_burst(&times, window), FLEET.total() as usize / 20);
        let worst = late.last().copied().context("no check was seen twice")?;
        let percent = 100.0 * worked.saturating_sub(before).as_secs_f64() / WATCHED.as_secs_f64();
        println!(
            "{FLEET} every {INTER:?}: {percent:.1} % of a CPU, {memory:.1} MB of its own; {} checks in {WATCHED:?}, late by \
             {worst:?} at worst, {:?} for 99 in 100; at most {burst} in {window:?} where {even} are even",
            times.len(),
            late[late.len() * 99 / 100]
        );
        assert_eq!(seen.len(), FLEET.total() as usize, "some were never checked");
        assert!(worst <= MOST_LATE, "{worst:?}");
        assert!(2 * burst <= 5 * even, "{burst} in {window:?}");
        Ok(())
    });
}
