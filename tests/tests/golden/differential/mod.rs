//! The same stories through both engines, frame by frame: every frame must become the same, and leave the same behind.
//!
//! A story ([`source`]) is a world set up by chance and some thousand steps in it: frames, and changes between them.
//! What fails is made as short as it can be ([`shortest`]) and written to a file; kept in `found`, under a name that says
//! what it shows, it is told again in every run.

mod arrangement;
mod random;
mod shortest;
mod source;
mod step;
mod twins;

use std::{
    collections::BTreeMap,
    env, fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lb_common::{Reason, Verdict};

use self::{
    random::Random,
    shortest::shortest,
    source::Source,
    step::Step,
    twins::{Difference, Twins},
};
use crate::engine::Kernel;

/// Frames of a run.
const FRAMES: u64 = 100_000;

/// Names another number.
const FRAMES_VARIABLE: &str = "BALLAST_TEST_FRAMES";

/// Names a seed to begin with, to repeat what a run before has found.
const SEED_VARIABLE: &str = "BALLAST_TEST_SEED";

/// Frames of a story.
const STORY: u64 = 2000;

/// After so many frames all that they have left is compared.
const COMPARED_AFTER: u64 = 64;

/// How long what fails is made shorter.
const SHORTENED_FOR: Duration = Duration::from_secs(30);

#[test]
fn plain_memory_and_kernel_agree_on_every_frame() {
    let seed = number(SEED_VARIABLE).unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let frames = number(FRAMES_VARIABLE).unwrap_or(FRAMES);
    println!("{SEED_VARIABLE}={seed} {FRAMES_VARIABLE}={frames} repeats this run");
    let mut kernel = Kernel::borrow();
    let mut twins = Twins::new(&mut kernel);
    let mut outcomes = Outcomes::default();
    let start = Instant::now();
    for story in 0..frames.div_ceil(STORY) {
        let mut source = Source::new(Random::new(seed, story));
        let mut told = Vec::new();
        if let Err(difference) = tell(&mut twins, &mut source, &mut told) {
            let end = Instant::now() + SHORTENED_FOR;
            let story = shortest(&told, |story| {
                Instant::now() < end && retell(&mut twins, story).is_err()
            });
            let shown = retell(&mut twins, &story).err().unwrap_or(difference);
            panic!(
                "{SEED_VARIABLE}={seed}: {shown}\nkept in {}",
                keep(&story).display()
            );
        }
        outcomes.add(&twins);
    }
    outcomes.print(start);
    outcomes.check();
}

#[test]
fn what_was_found_once_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/found");
    let mut kernel = Kernel::borrow();
    let mut twins = Twins::new(&mut kernel);
    for file in fs::read_dir(folder).expect("the folder is there") {
        let file = file.expect("it can be read").path();
        let text = fs::read_to_string(&file).expect("a story");
        let story: Vec<Step> = text
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            })
            .collect();
        retell(&mut twins, &story).unwrap_or_else(|difference| panic!("{}: {difference}", file.display()));
    }
}

/// Tells a story from a source, and notes it.
fn tell(twins: &mut Twins<'_>, source: &mut Source, told: &mut Vec<Step>) -> Result<(), Difference> {
    twins.begin();
    let mut frames = 0;
    while frames < STORY {
        told.push(source.step());
        let Some(step) = told.last() else { continue };
        let outcome = twins.take(step)?;
        if let (Some(outcome), Step::Frame(_, frame) | Step::Emit(frame)) = (outcome, step) {
            source.learn(&frame.0, outcome);
            frames += 1;
            if frames % COMPARED_AFTER == 0 {
                twins.compare()?;
            }
        }
    }
    Ok(())
}

/// Tells a story that is known.
fn retell(twins: &mut Twins<'_>, story: &[Step]) -> Result<(), Difference> {
    twins.begin();
    for (number, step) in story.iter().enumerate() {
        let shown = |difference| format!("{difference}, after step {number}, {step:?}");
        twins.take(step).map_err(shown)?;
        twins.compare().map_err(shown)?;
    }
    Ok(())
}

/// Writes a story to a file; which.
fn keep(story: &[Step]) -> PathBuf {
    let lines = story
        .iter()
        .map(|step| serde_json::to_string(step).expect("a step is JSON") + "\n");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("difference.jsonl");
    fs::write(&file, lines.collect::<String>()).expect("the target folder can be written");
    file
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
    )
}

/// What became of frames.
#[derive(Default)]
struct Outcomes {
    frames: u64,
    verdicts: BTreeMap<&'static str, u64>,
    reasons: BTreeMap<&'static str, u64>,
}

impl Outcomes {
    /// Adds those of the story that was told last.
    fn add(&mut self, twins: &Twins<'_>) {
        self.frames += STORY;
        let (verdicts, reasons) = twins.packets();
        for (name, count) in Verdict::NAMES.into_iter().zip(verdicts) {
            *self.verdicts.entry(name).or_default() += count;
        }
        for (reason, count) in Reason::ALL.iter().zip(reasons) {
            *self.reasons.entry(reason.name()).or_default() += count;
        }
    }

    fn print(&self, start: Instant) {
        println!(
            "{} frames in {:.1} s, and no difference: {:?}",
            self.frames,
            start.elapsed().as_secs_f32(),
            self.verdicts
        );
        println!("    {:?}", self.reasons);
    }

    /// A source that no longer makes what tables and stages are for would find nothing.
    fn check(&self) {
        for (verdict, count) in &self.verdicts {
            assert!(*count > self.frames / 100, "only {count} times {verdict}");
        }
        let never = self.reasons.iter().filter(|(_, count)| **count == 0);
        let never: Vec<_> = never.map(|(reason, _)| reason).collect();
        println!("    never: {never:?}");
        assert!(
            never.len() <= Reason::ALL.len() / 4,
            "too many reasons never came up"
        );
    }
}
