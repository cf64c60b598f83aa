//! What the packet path costs the kernel's verifier, and how much of its limits is left. Needs root.

mod stack;

use lb_user::dataplane::{Capacity, OBJECT, Object};
use stack::{Chain, LIMIT};

/// What a program may cost. A little above what it does cost: who exceeds one has made the packet path larger,
/// and decides here whether it is worth that.
struct Budget {
    /// Instructions that the verifier follows, all paths together. The kernel gives up at a million; older kernels
    /// prune worse and follow more.
    verified: u32,
    /// Bytes of stack of the deepest chain of calls. The kernel allows [`LIMIT`], and counts in steps of 32.
    stack: u32,
    /// Bytes of instructions.
    size: u32,
}

const BALLAST: Budget = Budget {
    verified: 125_000,
    stack: 448,
    size: 56_000,
};

const BEGIN: Budget = Budget {
    // Some of it is for being sure, where a flow's other direction seems gone, that it is not just being changed. Linux 6.1
    // follows nearly twice as much as its successors.
    verified: 92_000,
    stack: 448,
    size: 25_000,
};

/// Looks at up to 256 backends for one flow, and searches two lists of networks.
const CHOOSE: Budget = Budget {
    verified: 200_000,
    stack: 256,
    size: 26_000,
};

const RESET: Budget = Budget {
    verified: 17_000,
    stack: 256,
    size: 33_000,
};

const ENCAPSULATE: Budget = Budget {
    verified: 60_000,
    stack: 256,
    size: 30_000,
};

const RETRY: Budget = Budget {
    verified: 13_000,
    stack: 256,
    size: 54_000,
};

const ICMP: Budget = Budget {
    verified: 20_000,
    stack: 448,
    size: 27_000,
};

const DETOUR: Budget = Budget {
    verified: 130_000,
    stack: 448,
    size: 44_000,
};

const ERROR: Budget = Budget {
    verified: 20_000,
    stack: 320,
    size: 20_000,
};

const DELIVER: Budget = Budget {
    verified: 30_000,
    stack: 448,
    size: 30_000,
};

const BEGIN_LOCAL: Budget = Budget {
    verified: 110_000,
    stack: 448,
    size: 44_000,
};

const METER: Budget = Budget {
    verified: 10_000,
    stack: 256,
    size: 8_000,
};

const COOKIE: Budget = Budget {
    verified: 25_000,
    stack: 320,
    size: 52_000,
};

const SPLICE: Budget = Budget {
    verified: 50_000,
    stack: 448,
    size: 92_000,
};

/// Calls what it finds a packet's flow with, and the stages, which leave half of the stack to their caller.
const WATCH: Budget = Budget {
    verified: 60_000,
    stack: 448,
    size: 30_000,
};

/// Sums a packet's header and all that it carries.
const VERIFY: Budget = Budget {
    verified: 8_000,
    stack: 256,
    size: 16_000,
};

/// Ends a flow, and logs it.
const MAKE_ROOM: Budget = Budget {
    verified: 12_000,
    stack: 192,
    size: 33_000,
};

/// Ends a flow, and logs it, or opens another in its entries.
const REOPEN: Budget = Budget {
    verified: 20_000,
    stack: 320,
    size: 34_000,
};

const EGRESS: Budget = Budget {
    verified: 30_000,
    stack: 448,
    size: 30_000,
};

/// Looks at up to 256 backends, as a new flow does.
const CONNECT: Budget = Budget {
    verified: 36_000,
    stack: 256,
    size: 12_000,
};

const SMALL: Budget = Budget {
    verified: 10,
    stack: 32,
    size: 100,
};

#[test]
fn the_programs_stay_within_their_budgets() {
    let object = Object::load(&capacity()).unwrap_or_else(|error| panic!("{error}"));
    let mut exceeded = Vec::new();
    for name in Object::programs() {
        let info = object.info(name).expect("the kernel tells about its programs");
        // Kernels before 5.16 do not count.
        let verified = info.verified_instruction_count().unwrap_or_default();
        let size = info.size_translated().expect("root may know the size");
        let chain = Chain::deepest(OBJECT, name);
        println!(
            "{name}: {verified} instructions verified, {size} bytes long ({} as machine code), {} of {LIMIT} bytes of stack: {chain}",
            info.size_jitted(),
            chain.stack(),
        );
        let budget = match name {
            "ballast" => BALLAST,
            "choose" => CHOOSE,
            "begin_v4" | "begin_v6" => BEGIN,
            "reset" => RESET,
            "encapsulate" => ENCAPSULATE,
            "retry" => RETRY,
            "icmp" => ICMP,
            "detour" | "detour_v6" => DETOUR,
            "error" => ERROR,
            "deliver" => DELIVER,
            "begin_local" => BEGIN_LOCAL,
            "meter" => METER,
            "cookie" => COOKIE,
            "splice" => SPLICE,
            "watch" => WATCH,
            "verify" => VERIFY,
            "make_room" => MAKE_ROOM,
            "reopen" => REOPEN,
            "egress" => EGRESS,
            "connect4" | "connect6" => CONNECT,
            _ => SMALL,
        };
        let within = verified <= budget.verified && chain.stack() <= budget.stack && size <= budget.size;
        if !within {
            exceeded.push(name);
        }
    }
    assert!(
        exceeded.is_empty(),
        "beyond their budgets: {}",
        exceeded.join(", ")
    );
}

fn capacity() -> Capacity {
    Capacity {
        services: 8,
        virtual_addresses: 8,
        choice_slots: 65_537,
        backends: 64,
        sources: 8,
        flows_v4: 1024,
        flows_v6: 1024,
        borders: 64,
        workers: 2,
        flow_log: true,
    }
}
