//! Tells the compiler where the eBPF object is that goes into the binary.
//!
//! `BALLAST_EBPF_OBJECT` names it; without that it is where `cargo xtask build` puts it.

use std::path::{Path, PathBuf};

const OBJECT: &str = "BALLAST_EBPF_OBJECT";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={OBJECT}");

    let object = std::env::var_os(OBJECT).map_or_else(default_object, PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        println!("cargo::rustc-env={OBJECT}={}", object.display());
    } else {
        println!(
            "cargo::error=no eBPF object at {}: run `cargo xtask build` first",
            object.display()
        );
    }
}

fn default_object() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.with_file_name("target").join("bpf/ballast.bpf.o")
}
