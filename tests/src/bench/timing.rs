//! Times of programs, as differences within one run.

use anyhow::{Result, ensure};

use super::{
    kernel::{Kernel, action},
    sample::Sample,
};

/// How often everything is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Measurements of each program, after one to warm up.
    pub rounds: u32,
    /// Runs in one measurement.
    pub repeat: u32,
}

impl Effort {
    /// For figures that are kept.
    pub const FULL: Self = Self {
        rounds: 15,
        repeat: 1_000_000,
    };
    /// For a first look.
    pub const QUICK: Self = Self {
        rounds: 5,
        repeat: 200_000,
    };

    /// As many runs in more and shorter measurements: of those, more pass undisturbed. Not in as many as could be, for
    /// the kernel waits some 20 ms around each (`bpf_prog_change_xdp` in `net/bpf/test_run.c`).
    #[must_use]
    pub fn in_pieces(self) -> Self {
        const PIECES: u32 = 5;
        Self {
            rounds: self.rounds * PIECES,
            repeat: self.repeat / PIECES,
        }
    }
}

/// A program to time, the frame that it gets, and the action that it must return.
#[derive(Debug, Clone, Copy)]
pub struct Timed<'a> {
    /// Name of the bench program.
    pub program: &'a str,
    /// Its first frame.
    pub frame: &'a [u8],
    /// The action that it returns; `None` where packets may differ.
    pub action: Option<u32>,
}

impl<'a> Timed<'a> {
    /// A program that returns `XDP_TX`.
    #[must_use]
    pub fn tx(program: &'a str, frame: &'a [u8]) -> Self {
        Self {
            program,
            frame,
            action: Some(action::TX),
        }
    }
}

/// Times all programs in turn, so that what disturbs one disturbs all; nanoseconds per run.
pub fn in_turn(kernel: &mut Kernel, effort: Effort, programs: &[Timed<'_>]) -> Result<Vec<Sample>> {
    let mut samples = vec![Sample::default(); programs.len()];
    for round in 0..=effort.rounds {
        for (timed, sample) in programs.iter().zip(&mut samples) {
            let nanoseconds = once(kernel, timed, effort.repeat)?;
            // The first is to warm up.
            if round > 0 {
                sample.push(nanoseconds);
            }
        }
    }
    Ok(samples)
}

/// Times one program once; nanoseconds per run.
pub fn once(kernel: &mut Kernel, timed: &Timed<'_>, repeat: u32) -> Result<f64> {
    let run = kernel.run(timed.program, timed.frame, repeat)?;
    let expected = match timed.action {
        Some(action) => run.action == action,
        None => run.action != action::ABORTED,
    };
    ensure!(
        expected,
        "bench program `{}` returned action {} instead of {:?}",
        timed.program,
        run.action,
        timed.action
    );
    Ok(run.nanoseconds)
}
