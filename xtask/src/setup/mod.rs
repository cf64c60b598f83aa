//! What this machine must have, and how it comes to have it.
//!
//! Each part is looked for where it would be, which costs milliseconds; only what is missing is installed. Nothing
//! is remembered between runs, so nothing can be remembered wrongly.

mod cargo_tools;
mod debian_kernel;
mod linker;
mod packages;
pub(crate) mod schemathesis;
mod toolchain;

use std::path::PathBuf;

use anyhow::Result;
pub(crate) use debian_kernel::{DebianKernel, ensure as debian_kernel};
pub(crate) use toolchain::Toolchain;

use self::packages::{Apt, Program};

/// What turns `lb-ebpf` into an eBPF object.
pub(crate) struct BpfTools {
    /// The compiler.
    pub(crate) toolchain: Toolchain,
    /// The linker.
    pub(crate) linker: PathBuf,
}

/// Programs that the lab calls.
const LAB: [Program; 2] = [
    Program {
        command: "ip",
        package: "iproute2",
    },
    Program {
        command: "ethtool",
        package: "ethtool",
    },
];

/// Programs that the tests call besides.
const TESTS: [Program; 7] = [
    Program {
        command: "bpftool",
        package: "bpftool",
    },
    Program {
        command: "nft",
        package: "nftables",
    },
    // Servers that users have, as backends. MariaDB without what would start one on this machine.
    Program {
        command: "nginx",
        package: "nginx-light",
    },
    Program {
        command: "mariadbd",
        package: "mariadb-server-core",
    },
    Program {
        command: "mariadb",
        package: "mariadb-client-core",
    },
    Program {
        command: "chromium",
        package: "chromium",
    },
    Program {
        command: "prometheus",
        package: "prometheus",
    },
];

/// Compiles libFuzzer.
const FUZZ: [Program; 1] = [Program {
    command: "c++",
    package: "g++",
}];

/// Programs that the bench calls besides: who Ballast is compared with, and who makes the load.
const BENCH: [Program; 6] = [
    Program {
        command: "bpftool",
        package: "bpftool",
    },
    Program {
        command: "haproxy",
        package: "haproxy",
    },
    Program {
        command: "nginx",
        package: "nginx-light",
    },
    // It has no command of its own, and nginx may be here without it.
    Program {
        command: "/usr/lib/nginx/modules/ngx_stream_module.so",
        package: "libnginx-mod-stream",
    },
    Program {
        command: "nft",
        package: "nftables",
    },
    Program {
        command: "wrk",
        package: "wrk",
    },
];

/// Makes sure of what `build` needs.
pub(crate) fn for_build() -> Result<BpfTools> {
    with_apt(&mut Apt::default(), &[])
}

/// Makes sure of what `run` needs.
pub(crate) fn for_run() -> Result<BpfTools> {
    with_apt(&mut Apt::default(), &[&LAB])
}

/// Makes sure of what `bench` needs.
pub(crate) fn for_bench() -> Result<BpfTools> {
    with_apt(&mut Apt::default(), &[&LAB, &BENCH])
}

/// Makes sure of what `fuzz` needs.
pub(crate) fn for_fuzz() -> Result<BpfTools> {
    with_apt(&mut Apt::default(), &[&FUZZ])
}

/// Makes sure of what `test` needs: all there is.
pub(crate) fn for_tests() -> Result<BpfTools> {
    let tools = with_apt(&mut Apt::default(), &[&LAB, &TESTS, &FUZZ])?;
    cargo_tools::ensure()?;
    Ok(tools)
}

fn with_apt(apt: &mut Apt, programs: &[&[Program]]) -> Result<BpfTools> {
    for programs in programs {
        packages::ensure(programs, apt)?;
    }
    let toolchain = toolchain::ensure(apt)?;
    let linker = linker::ensure(apt)?;
    eprintln!("  eBPF compiler: {toolchain}; bpf-linker {}", linker::VERSION);
    Ok(BpfTools { toolchain, linker })
}
