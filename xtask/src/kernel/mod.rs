//! `cargo xtask kernel`: the verifier's budgets and the golden rows on Debian's own kernel, which is older than most that a
//! change is made on, and whose verifier knows less.
//!
//! The machine is emulated and not virtualised: that takes some ten minutes, and goes everywhere.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    build,
    process::{output, quiet},
    setup::{self, DebianKernel},
    step::step,
    workspace,
};

/// The tests that need a kernel and nothing else of a host.
const TESTS: [&str; 2] = ["golden", "verifier"];

/// What the golden rows read besides.
const FIXTURES: &str = "tests/tests/golden/found";

/// More than the machine takes to run them where it is slow.
const LIMIT: &str = "60m";

/// Sets up what is missing, and runs the tests in the machine; the exit code is theirs.
pub(crate) fn kernel() -> Result<ExitCode> {
    build::with(&setup::for_build()?)?;
    let kernel = setup::debian_kernel()?;
    let tests = step("building the tests", test_programs)?;
    let archive = step("packing them", || pack(&kernel, &tests))?;
    let passed = run(&kernel, &archive)?;
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds the tests; their names and programs.
fn test_programs() -> Result<Vec<(&'static str, PathBuf)>> {
    let mut cargo = workspace::cargo();
    cargo.args([
        "test",
        "--quiet",
        "--workspace",
        "--no-run",
        "--message-format",
        "json",
    ]);
    for test in TESTS {
        cargo.args(["--test", test]);
    }
    let messages = output(&mut cargo).context("the tests cannot be built: `cargo xtask test` says why")?;
    let program = |line| {
        let message: Value = serde_json::from_str(line).ok()?;
        // It also builds the programs that tests of their package may start.
        let name = TESTS
            .into_iter()
            .find(|test| message["target"]["name"] == *test)?;
        Some((name, PathBuf::from(message["executable"].as_str()?)))
    };
    let programs: Vec<_> = messages.lines().filter_map(program).collect();
    ensure!(
        programs.len() == TESTS.len(),
        "cargo has built other tests: {programs:?}"
    );
    Ok(programs)
}

/// Packs all that the machine has into the archive that the kernel unpacks.
fn pack(kernel: &DebianKernel, tests: &[(&str, PathBuf)]) -> Result<PathBuf> {
    let root = workspace::target("kernel/root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for (name, program) in tests {
        copy(program, &root, &Path::new("/tests").join(name))?;
        let libraries = output(Command::new("ldd").arg(program)).context("cannot list a test's libraries")?;
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            copy(Path::new(library), &root, Path::new(library))?;
        }
    }
    let fixtures = workspace::root().join(FIXTURES);
    for fixture in fs::read_dir(&fixtures)? {
        let fixture = fixture?.path();
        copy(&fixture, &root, &fixture)?;
    }
    // Where the tests keep what they find.
    fs::create_dir_all(below(&root, &workspace::target("tmp")))?;
    copy(&kernel.veth, &root, Path::new("/veth.ko"))?;
    copy(&kernel.busybox, &root, Path::new("/busybox"))?;
    let init = root.join("init");
    fs::write(&init, include_str!("init.sh"))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let archive = root.with_file_name("root.cpio");
    let mut shell = Command::new("sh");
    let pack = "find . | ./busybox cpio -o -H newc > ../root.cpio";
    quiet(shell.current_dir(&root).args(["-c", pack]))?;
    Ok(archive)
}

/// Copies a file to a path below `root`, as what it is, and not as a link to it.
fn copy(from: &Path, root: &Path, to: &Path) -> Result<()> {
    let to = below(root, to);
    fs::create_dir_all(to.parent().unwrap_or(root))?;
    fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

/// Where a path is below another root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Starts the machine, shows what its tests found, and keeps all that it said; whether all have passed.
fn run(kernel: &DebianKernel, archive: &Path) -> Result<bool> {
    let log = workspace::target("kernel/console.log");
    let mut said = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut machine = Command::new("timeout")
        .args([LIMIT, "qemu-system-x86_64"])
        .args([
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "3G",
        ])
        .args(["-nographic", "-no-reboot", "-nic", "none"])
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(archive)
        .env("PATH", workspace::search_path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start qemu-system-x86_64")?;
    let console = machine.stdout.take().context("the machine has no console")?;
    let mut passed = 0;
    for line in BufReader::new(console).split(b'\n') {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        writeln!(said, "{}", text.trim_end())?;
        if is_news(&text) {
            eprintln!("  {}", text.trim_end());
        }
        passed += usize::from(text.trim_end().ends_with(" ended with 0"));
    }
    machine.wait()?;
    eprintln!("  all that it said: {}", log.display());
    Ok(passed == TESTS.len())
}

/// Whether a line of the console says how something went.
fn is_news(line: &str) -> bool {
    let words = [
        "Linux 6",
        "instructions verified",
        "beyond",
        "FAILED",
        "panicked",
        "test result",
        " ended with ",
    ];
    words.iter().any(|word| line.contains(word))
}
