//! What the packet path is made of: instructions and stack.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Context as _, Result};
use lb_user::dataplane::Object;

use super::{
    kernel::SMALLEST,
    report::{Row, Table, columns},
};
use crate::command;

/// Stack that a chain of calls may take (`MAX_BPF_STACK`, include/linux/filter.h).
const MAX_STACK: f64 = 512.0;

/// Looks at the program as the kernel has it.
pub fn measure() -> Result<Table> {
    let mut object = Object::load(&SMALLEST)?;
    let info = object.program("ballast")?.info()?;
    let dump = command::output(
        Command::new("bpftool")
            .args(["prog", "dump", "xlated", "id"])
            .arg(info.id().to_string()),
    )?;
    let functions = parse(&dump);
    let main = functions.first().context("`bpftool` shows no function")?;
    let stack = f64::from(deepest(main, &functions));
    let whole = [
        info.verified_instruction_count().map(f64::from),
        info.size_translated().map(|bytes| f64::from(bytes) / 8.0),
        Some(f64::from(info.size_jitted())),
        Some(stack),
        Some(stack / MAX_STACK),
    ];
    let mut rows = vec![Row::new("ballast, all of it", whole)];
    for function in &functions {
        let figures = [
            None,
            Some(f64::from(function.instructions)),
            None,
            Some(f64::from(function.frame)),
            None,
        ];
        rows.push(Row::new(readable(&function.name), figures));
    }
    Ok(Table {
        name: "program",
        title: "The program in the kernel".to_owned(),
        notes: vec![
            "Verified: instructions that the verifier looked at, each as often as it came by. Stack: of the deepest \
             chain of calls, and each function's own frame."
                .to_owned(),
        ],
        columns: columns(&[
            ("verified", "verified", 0),
            ("instructions", "instructions", 0),
            ("jit_bytes", "JIT bytes", 0),
            ("stack_bytes", "stack bytes", 0),
            ("stack_to_most", "× most", 2),
        ]),
        rows,
    })
}

/// A function of a program, as `bpftool prog dump xlated` shows it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Function {
    name: String,
    instructions: u32,
    /// Bytes below the frame pointer that it touches.
    frame: u32,
    /// Names of those that it calls.
    calls: Vec<String>,
}

/// Functions in the order of the dump: the program's own first.
fn parse(dump: &str) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::new();
    let mut below_frame: BTreeSet<String> = BTreeSet::new();
    for line in dump.lines() {
        if let Some(name) = header(line) {
            functions.push(Function {
                name: name.to_owned(),
                ..Function::default()
            });
            below_frame.clear();
            continue;
        }
        let (Some(function), Some(instruction)) = (functions.last_mut(), instruction(line)) else {
            continue;
        };
        function.instructions += 1;
        function.frame = function.frame.max(depth(instruction, &mut below_frame));
        if let Some((_, symbol)) = instruction
            .split_once("call pc")
            .and_then(|(_, call)| call.split_once('#'))
        {
            // `bpf_prog_<tag>_<name>`
            function
                .calls
                .extend(symbol.splitn(4, '_').nth(3).map(str::to_owned));
        }
    }
    functions
}

/// The name in a line such as `u32 name(struct xdp_md * ctx):`.
fn header(line: &str) -> Option<&str> {
    let (before, _) = line.strip_suffix("):")?.split_once('(')?;
    before.rsplit(' ').next()
}

/// The text of a line such as `  12: (bf) r1 = r10`.
fn instruction(line: &str) -> Option<&str> {
    let (number, rest) = line.trim_start().split_once(": (")?;
    number.parse::<u32>().ok()?;
    rest.split_once(") ").map(|(_, text)| text)
}

/// How far below the frame pointer an instruction reaches; `pointers` are the registers that are copies of it.
fn depth(instruction: &str, pointers: &mut BTreeSet<String>) -> u32 {
    if let Some((_, rest)) = instruction.split_once("(r10 -") {
        let digits = rest.split(')').next().unwrap_or_default();
        return digits.parse().unwrap_or_default();
    }
    let Some((register, value)) = instruction.split_once(' ') else {
        return 0;
    };
    match value {
        "= r10" => {
            pointers.insert(register.to_owned());
            0
        }
        _ if value.starts_with("+= -") && pointers.remove(register) => {
            value["+= -".len()..].parse().unwrap_or_default()
        }
        _ => 0,
    }
}

/// Stack of the deepest chain of calls from `function` on.
fn deepest(function: &Function, all: &[Function]) -> u32 {
    let called = all.iter().filter(|other| function.calls.contains(&other.name));
    function.frame
        + called
            .map(|called| deepest(called, all))
            .max()
            .unwrap_or_default()
}

/// A name without what the linker puts in the place of other characters (`_3A_` is a colon).
fn readable(name: &str) -> String {
    let (function, arguments) = name.split_once("_3C_").unwrap_or((name, ""));
    let family = ["V4", "V6"].into_iter().find(|family| arguments.contains(family));
    family.map_or_else(|| function.to_owned(), |family| format!("{function}, {family}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "u32 main(struct xdp_md * ctx):
; source
   0: (7b) *(u64 *)(r10 -24) = r3
   1: (bf) r1 = r10
   2: (07) r1 += -48
   3: (85) call pc+2#bpf_prog_d5d5cc881a8ad4e5_inner_3C_A_3A__3A_V4_3E_
   4: (95) exit
struct R_3C_u32_3E_ inner_3C_A_3A__3A_V4_3E_(struct P * p):
   5: (07) r1 += -400
   6: (63) *(u32 *)(r10 -8) = r1
   7: (95) exit
";

    #[test]
    fn reads_instructions_frames_and_calls() {
        let functions = parse(DUMP);
        let figures: Vec<_> = functions.iter().map(|f| (f.instructions, f.frame)).collect();
        assert_eq!(figures, [(5, 48), (3, 8)]);
        assert_eq!(deepest(&functions[0], &functions), 56);
    }

    #[test]
    fn names_are_for_people() {
        assert_eq!(readable("inner_3C_A_3A__3A_V4_3E_"), "inner, V4");
        assert_eq!(readable("main"), "main");
    }
}
