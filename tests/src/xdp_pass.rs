//! A pass-all XDP program at the far end of the balancer's cable towards the client: on the client's own NIC, or on the
//! switch's port where the balancer is one-armed.
//!
//! A veth delivers frames that its peer sent by `XDP_TX` in time only when it runs an XDP program itself
//! (`veth_xdp_rcv` is then polled; with GRO alone such frames wait up to 1.5 s). Two instructions, handed to the
//! kernel as they are: the lab must not depend on the BPF object it is there to test.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use nix::net::if_::if_nametoindex;

/// Keeps the program attached until dropped.
#[derive(Debug)]
pub(crate) struct XdpPass {
    _link: OwnedFd,
}

impl XdpPass {
    /// Attaches to `interface` of the current thread's namespace, in driver mode.
    pub(crate) fn attach(interface: &str) -> Result<Self> {
        let index =
            if_nametoindex(interface).with_context(|| format!("there is no interface {interface}"))?;
        let program = load().context("cannot load the pass-all XDP program")?;
        let request = LinkCreate {
            program: program.as_raw_fd(),
            interface: index,
            attach_type: BPF_XDP,
            flags: XDP_FLAGS_DRV_MODE,
        };
        let link = bpf(BPF_LINK_CREATE, &request)
            .with_context(|| format!("cannot attach the pass-all XDP program to {interface}"))?;
        Ok(Self { _link: link })
    }
}

// From linux/bpf.h and linux/if_link.h.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
const XDP_PASS: i32 = 2;

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes what is not given as zero.
#[repr(C)]
struct ProgramLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: *const Instruction,
    license: *const libc::c_char,
}

/// The head of `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
struct LinkCreate {
    program: i32,
    interface: u32,
    attach_type: u32,
    flags: u32,
}

/// `struct bpf_insn`.
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

fn load() -> io::Result<OwnedFd> {
    let move_to_r0 = Instruction {
        code: 0xb7,
        registers: 0,
        offset: 0,
        immediate: XDP_PASS,
    };
    let exit = Instruction {
        code: 0x95,
        registers: 0,
        offset: 0,
        immediate: 0,
    };
    let instructions = [move_to_r0, exit];
    let request = ProgramLoad {
        program_type: BPF_PROG_TYPE_XDP,
        instruction_count: 2,
        instructions: instructions.as_ptr(),
        license: c"GPL".as_ptr(),
    };
    bpf(BPF_PROG_LOAD, &request)
}

/// The bpf(2) call, for the commands that return a file descriptor.
fn bpf<T>(command: libc::c_long, request: &T) -> io::Result<OwnedFd> {
    // SAFETY: `request` is laid out as the command's part of `union bpf_attr`, its pointers live until the call
    // returns, and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(request),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the call succeeded, so this is a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
