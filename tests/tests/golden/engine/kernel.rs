//! The packet path as the kernel runs it: `BPF_PROG_TEST_RUN` of the program that is attached in production.

use std::{
    fs::File,
    process::Command,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use aya::{TestRun as _, TestRunOptions};
use lb_common::{Verdict, memory::Memory};
use lb_user::dataplane::Object;
use nix::{
    sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, setns, unshare},
    unistd::Pid,
};

use super::{Engine, Forwarded, capacity, watch_everything};

/// Actions of XDP programs (include/uapi/linux/bpf.h), in order, as verdicts.
const ACTIONS: [&str; 5] = ["aborted", "drop", "pass", "tx", "redirect"];

/// The program over its maps, in a network namespace that has the interfaces which frames come in by.
pub(crate) struct Kernel {
    object: Object,
    namespace: File,
    is_watched: bool,
}

impl Kernel {
    /// The one that all rows take turns at: loading takes longer than a row.
    pub(crate) fn borrow() -> MutexGuard<'static, Self> {
        static KERNEL: LazyLock<Mutex<Kernel>> = LazyLock::new(|| Mutex::new(Kernel::new()));
        // A row that failed leaves nothing behind that the next one's set-up would not clear.
        let mut kernel = KERNEL.lock().unwrap_or_else(PoisonError::into_inner);
        kernel.is_watched = false;
        // The kernel looks a frame's interface up in the calling thread's namespace; each test is its own thread.
        setns(&kernel.namespace, CloneFlags::CLONE_NEWNET).expect("cannot enter the network namespace");
        stay_on_one_cpu();
        kernel
    }

    /// Has the program run that is attached while somebody watches, or the other one.
    pub(crate) fn set_watched(&mut self, is_watched: bool) {
        self.is_watched = is_watched;
        if is_watched {
            let now = self.now();
            watch_everything(&self.object.memory(), now);
        }
    }

    /// Its clock, which goes on.
    pub(crate) fn now(&mut self) -> u32 {
        self.object.now().expect("the kernel has a clock")
    }

    fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET).expect("cannot make a network namespace (this needs root)");
        // Index 1 is the loopback interface's: together they are world::OTHER, FRONT and BACK.
        let made = Command::new("ip")
            .args("link add index 2 name front type veth peer name back index 3".split(' '))
            .status()
            .expect("cannot run `ip`");
        assert!(made.success(), "cannot make two interfaces");
        Self {
            object: Object::load(&capacity()).unwrap_or_else(|error| panic!("{error}")),
            namespace: File::open("/proc/thread-self/ns/net").expect("cannot open the namespace"),
            is_watched: false,
        }
    }
}

/// What one stage leaves for the next, and what is counted in a second, is each CPU's own.
fn stay_on_one_cpu() {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).expect("the kernel tells");
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).is_ok_and(|set| set));
    let mut one = CpuSet::new();
    one.set(first.expect("we run somewhere")).expect("a CPU's number");
    sched_setaffinity(this, &one).expect("a CPU that is allowed");
}

impl Engine for Kernel {
    fn name(&self) -> &'static str {
        if self.is_watched {
            "kernel test run, watched"
        } else {
            "kernel test run"
        }
    }

    fn memory(&self) -> Memory<'_> {
        self.object.memory()
    }

    fn forward(&mut self, frame: &[u8], interface: u32) -> Forwarded {
        let mut bytes = vec![0; frame.len() + 256];
        let context = context(frame.len(), interface);
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut bytes),
            ctx_in: Some(&context),
            ..TestRunOptions::new()
        };
        let program = if self.is_watched { "watch" } else { "ballast" };
        let program = self.object.program(program).expect("the program is loaded");
        let result = program.test_run(options).expect("the kernel runs the program");
        bytes.truncate(result.data_size_out.try_into().expect("a frame's length"));
        let action = usize::try_from(result.return_value).expect("an action");
        let verdict = ACTIONS.get(action).copied().unwrap_or("no action");
        assert!(
            Verdict::NAMES.contains(&verdict),
            "the program ended with {action}"
        );
        Forwarded {
            verdict,
            interface: None,
            bytes,
        }
    }

    fn emit(&mut self, frame: &[u8]) -> Forwarded {
        let mut bytes = vec![0; frame.len()];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut bytes),
            ..TestRunOptions::new()
        };
        let program = self.object.egress().expect("the program is loaded");
        let result = program.test_run(options).expect("the kernel runs the program");
        // TC_ACT_UNSPEC and TC_ACT_SHOT (include/uapi/linux/pkt_cls.h).
        let verdict = match result.return_value.cast_signed() {
            -1 => "pass",
            2 => "drop",
            other => panic!("the program ended with {other}"),
        };
        Forwarded {
            verdict,
            interface: None,
            bytes,
        }
    }
}

/// The program's context, a `struct xdp_md` (include/uapi/linux/bpf.h): `data`, `data_end`, `data_meta`,
/// `ingress_ifindex`, `rx_queue_index`, `egress_ifindex`.
fn context(length: usize, interface: u32) -> Vec<u8> {
    let end = u32::try_from(length).expect("a frame's length");
    [0, end, 0, interface, 0, 0].map(u32::to_ne_bytes).concat()
}
