//! The kernel's coarse clock, which flow entries carry the time of.

use std::{
    thread,
    time::{Duration, Instant},
};

use aya::{
    TestRun as _, TestRunOptions,
    programs::{ProgramError, Xdp},
};

/// The rates that a kernel can be built with (kernel/Kconfig.hz).
const RATES: [u32; 4] = [100, 250, 300, 1000];

/// Long enough to tell 250 from 300 Hz with a tick's error at either end.
const MEASURED: Duration = Duration::from_millis(80);

/// The clock now, in ticks.
pub(super) fn now(program: &Xdp) -> Result<u32, ProgramError> {
    // The least that a test run takes is an Ethernet header.
    let frame = [0; 14];
    let options = TestRunOptions {
        data_in: Some(&frame),
        ..TestRunOptions::new()
    };
    Ok(program.test_run(options)?.return_value)
}

/// Length of a tick. No interface of the kernel tells it, so that it is measured.
pub(super) fn tick(program: &Xdp) -> Result<Duration, ProgramError> {
    let (first, start) = (now(program)?, Instant::now());
    thread::sleep(MEASURED);
    let (last, elapsed) = (now(program)?, start.elapsed());
    let measured = f64::from(last.wrapping_sub(first)) / elapsed.as_secs_f64();
    Ok(Duration::from_secs(1) / nearest_rate(measured))
}

/// How many ticks a time is.
pub(super) fn ticks_of(time: Duration, tick: Duration) -> u32 {
    u32::try_from(time.as_nanos() / tick.as_nanos().max(1)).unwrap_or(u32::MAX)
}

fn nearest_rate(measured: f64) -> u32 {
    let distance = |rate: u32| (f64::from(rate) - measured).abs() / f64::from(rate);
    RATES
        .into_iter()
        .min_by(|a, b| distance(*a).total_cmp(&distance(*b)))
        .unwrap_or(250)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_more_or_less_does_not_change_the_rate() {
        for rate in RATES {
            let ticks = f64::from(rate) * MEASURED.as_secs_f64();
            for error in [-1.0, 0.0, 1.0] {
                assert_eq!(nearest_rate((ticks + error) / MEASURED.as_secs_f64()), rate);
            }
        }
    }
}
