//! Turns conditions in an eBPF object around, where that saves a packet a jump.
//!
//! LLVM knows no condition of BPF by its opposite (`BPFInstrInfo::analyzeBranch` gives up on all), and so leaves
//! `if c goto +1; goto elsewhere` where what it has placed next is for the case that `c` holds. That becomes `if !c goto
//! elsewhere`, and an instruction that does nothing, which the kernel takes away (`opt_remove_nops`, kernel/bpf/verifier.c).
//! All others stay where they are, and what the object says of their places stays right.

use std::collections::HashSet;

use anyhow::{Context as _, Result, ensure};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

/// Bytes of an instruction (RFC 9669 3); a wide one counts as two, of which the second has the operation code 0.
const LENGTH: usize = 8;

/// Turns around all that there are in these functions of an ELF object. Not in every one: the verifier first follows what
/// comes next, and would follow far more of some.
pub(crate) fn turn_around(elf: &mut [u8], wanted: impl Fn(&str) -> bool) -> Result<()> {
    for (start, length) in functions(elf, wanted)? {
        let code = elf.get_mut(start..start.saturating_add(length));
        turn_around_in(code.context("a function ends behind the end of the object")?);
    }
    Ok(())
}

/// Where these functions of an object are, and how long.
fn functions(elf: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Vec<(usize, usize)>> {
    let object = object::File::parse(elf)?;
    let mut functions = Vec::new();
    for symbol in object
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
    {
        let Some(section) = symbol.section_index().filter(|_| symbol.size() != 0) else {
            continue;
        };
        if !wanted(symbol.name()?) {
            continue;
        }
        let section = object.section_by_index(section)?.file_range();
        let (section, _) = section.context("a function is in no part of the object")?;
        let place = (section.saturating_add(symbol.address()), symbol.size());
        functions.push((usize::try_from(place.0)?, usize::try_from(place.1)?));
    }
    ensure!(!functions.is_empty(), "none of the functions is there");
    Ok(functions)
}

fn turn_around_in(code: &mut [u8]) {
    let (instructions, _) = code.as_chunks_mut::<LENGTH>();
    let targets: HashSet<_> = (1_usize..)
        .zip(&*instructions)
        .filter_map(|(next, &instruction)| Jump::read(instruction)?.target(next))
        .collect();
    for condition in 0..instructions.len().saturating_sub(1) {
        let next = condition + 1;
        // Whoever else jumps there would find nothing there.
        if !targets.contains(&next)
            && let Some(turned) = merged(instructions[condition], instructions[next])
        {
            instructions[condition] = turned;
            instructions[next] = NOTHING;
        }
    }
}

/// `goto +0`
const NOTHING: [u8; LENGTH] = [Jump::ALWAYS, 0, 0, 0, 0, 0, 0, 0];

/// What does the same as both: a condition that jumps over a jump.
fn merged(condition: [u8; LENGTH], jump: [u8; LENGTH]) -> Option<[u8; LENGTH]> {
    let (over, elsewhere) = (Jump::read(condition)?, Jump::read(jump)?);
    if over.offset != 1 || elsewhere.code != Jump::ALWAYS {
        return None;
    }
    let code = over.opposite()?;
    let [low, high] = elsewhere.offset.checked_add(1)?.to_le_bytes();
    let mut turned = condition;
    (turned[0], turned[2], turned[3]) = (code, low, high);
    Some(turned)
}

/// A jump within a program, without its operands.
#[derive(Clone, Copy)]
struct Jump {
    code: u8,
    /// How many instructions behind the next one its target is.
    offset: i16,
}

impl Jump {
    /// The bits of the class (RFC 9669 3.1): of jumps `JMP`, or `JMP32`.
    const CLASS: u8 = 0x07;
    const JMP: u8 = 0x05;
    const JMP32: u8 = 0x06;
    /// What is in the class `JMP` and no jump within a program: `CALL` and `EXIT` (RFC 9669 4.3).
    const ELSEWHERE: [u8; 2] = [0x80, 0x90];
    /// `JA` of the class `JMP`.
    const ALWAYS: u8 = Self::JMP;
    /// Operations and their opposites (RFC 9669 4.3). Only `JSET` has none.
    const OPPOSITES: [(u8, u8); 5] = [
        (0x10, 0x50), // JEQ, JNE
        (0x20, 0xb0), // JGT, JLE
        (0x30, 0xa0), // JGE, JLT
        (0x60, 0xd0), // JSGT, JSLE
        (0x70, 0xc0), // JSGE, JSLT
    ];

    /// `None` if that instruction is none. (`JA` of the class `JMP32`, which has its offset elsewhere, is one of version 4.)
    fn read(instruction: [u8; LENGTH]) -> Option<Self> {
        let [code, _, low, high, ..] = instruction;
        let jumps = [Self::JMP, Self::JMP32].contains(&(code & Self::CLASS));
        (jumps && !Self::ELSEWHERE.contains(&(code & 0xf0))).then_some(Self {
            code,
            offset: i16::from_le_bytes([low, high]),
        })
    }

    /// Where it jumps to, if that is `next` which stands behind it.
    fn target(self, next: usize) -> Option<usize> {
        next.checked_add_signed(self.offset.into())
    }

    /// The code of the same jump if the condition does not hold.
    fn opposite(self) -> Option<u8> {
        let operation = self.code & 0xf0;
        let opposite = Self::OPPOSITES.iter().find_map(|&(one, other)| {
            (operation == one)
                .then_some(other)
                .or((operation == other).then_some(one))
        })?;
        Some(self.code & 0x0f | opposite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `if r1 == 8 goto +offset`
    fn if_equal(offset: u8) -> [u8; LENGTH] {
        [0x15, 0x01, offset, 0, 8, 0, 0, 0]
    }

    /// `goto +offset`
    fn goto(offset: u8) -> [u8; LENGTH] {
        [0x05, 0, offset, 0, 0, 0, 0, 0]
    }

    const EXIT: [u8; LENGTH] = [0x95, 0, 0, 0, 0, 0, 0, 0];

    fn turned(code: &[[u8; LENGTH]]) -> Vec<[u8; LENGTH]> {
        let mut code = code.concat();
        turn_around_in(&mut code);
        code.as_chunks().0.to_vec()
    }

    #[test]
    fn a_condition_over_a_jump_becomes_its_opposite() {
        let if_not_equal = [0x55, 0x01, 2, 0, 8, 0, 0, 0];
        assert_eq!(
            turned(&[if_equal(1), goto(1), EXIT, EXIT]),
            [if_not_equal, NOTHING, EXIT, EXIT]
        );
    }

    #[test]
    fn a_jump_that_others_jump_to_stays() {
        let code = [goto(1), if_equal(1), goto(1), EXIT, EXIT];
        assert_eq!(turned(&code), code);
    }

    #[test]
    fn what_jumps_farther_or_over_something_else_stays() {
        let code = [if_equal(2), goto(1), EXIT, EXIT];
        assert_eq!(turned(&code), code);
        let code = [if_equal(1), EXIT, EXIT, EXIT];
        assert_eq!(turned(&code), code);
    }

    #[test]
    fn every_condition_but_that_for_bits_has_an_opposite() {
        let jump = |code| Jump { code, offset: 0 };
        for operation in (0x10..=0xd0_u8).step_by(0x10) {
            for class in [Jump::JMP, Jump::JMP32] {
                let code = operation | class;
                let opposite = jump(code).opposite();
                let has_none = [0x40, 0x80, 0x90].contains(&operation);
                assert_eq!(opposite.is_none(), has_none, "{code:#x}");
                assert_eq!(
                    opposite.and_then(|other| jump(other).opposite()),
                    (!has_none).then_some(code)
                );
            }
        }
    }
}
