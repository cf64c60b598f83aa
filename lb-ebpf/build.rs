//! Options for bpf-linker, which turns LLVM bitcode into the eBPF object.

/// Names the linker when `cargo xtask build` runs us.
const LINKER: &str = "CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");

    // Cargo does not see a linker change; a new one must link again.
    println!("cargo::rerun-if-env-changed={LINKER}");
    if let Ok(linker) = std::env::var(LINKER) {
        println!("cargo::rerun-if-changed={linker}");
    }

    // The host's linker, which would not know these options, sees this crate under `cargo clippy` only.
    println!("cargo::rustc-link-arg-bins=--btf");
    // Otherwise larger programs fail with "built-in function 'memset' is not supported".
    println!("cargo::rustc-link-arg-bins=--disable-expand-memcpy-in-order");
    // Packet bytes are aligned to nothing, and the kernel's JITs load them whole all the same: without this
    // each address is put together from single bytes.
    println!("cargo::rustc-link-arg-bins=--cpu-features=+alu32,+allows-misaligned-mem-access");
    // LLVM's other placement of blocks leaves them in the order of the source, for it cannot turn BPF's conditions around.
    // This one puts next to each other what packets mostly run through (Newell and Pupyrev, IEEE TC 2020).
    println!("cargo::rustc-link-arg-bins=--llvm-args=-enable-ext-tsp-block-placement");
}
