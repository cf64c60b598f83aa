//! How deep the stack of a BPF program grows, read from its instructions.
//!
//! The kernel's verifier finds the same (`check_max_stack_depth`, kernel/bpf/verifier.c), but tells it in a log
//! that is not kept for programs which it accepts. In BPF every access to the stack has its offset from the frame
//! pointer in the instruction, or in an addition to a copy of that pointer.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionIndex, SymbolKind,
    read::elf::ElfFile64,
};

/// Bytes of stack that the kernel allows a chain of calls (`MAX_BPF_STACK`).
pub(crate) const LIMIT: u32 = 512;

/// Each function's part is rounded up to this.
const ROUNDED_TO: u32 = 32;

/// The frame pointer.
const R10: u8 = 10;

/// Instructions (Documentation/bpf/standardization/instruction-set.rst): classes of loads and stores, a copy of a
/// register, an addition to it, a call, and what tells one of our own functions from a helper.
const LDX: u8 = 0x01;
const ST: u8 = 0x02;
const STX: u8 = 0x03;
const MOV: u8 = 0xbf;
const ADD: u8 = 0x07;
const CALL: u8 = 0x85;
const PSEUDO_CALL: u8 = 1;

/// Functions that call each other, outermost first, with the bytes of stack that each takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain(Vec<(String, u32)>);

impl Chain {
    /// The chain of calls from a program that takes the most stack.
    pub(crate) fn deepest(object: &[u8], program: &str) -> Self {
        let functions = functions(object);
        let (place, _) = functions
            .iter()
            .find(|(_, function)| function.name == program)
            .unwrap_or_else(|| panic!("no program {program} in the object"));
        deepest(&functions, *place)
    }

    /// Bytes of stack of all of them.
    pub(crate) fn stack(&self) -> u32 {
        self.0
            .iter()
            .map(|(_, stack)| stack.max(&1).next_multiple_of(ROUNDED_TO))
            .sum()
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(name, stack)| format!("{name} {stack}"))
            .collect();
        f.write_str(&parts.join(" > "))
    }
}

/// A function's section and its offset there.
type Place = (SectionIndex, u64);

struct Function {
    name: String,
    /// Bytes below the frame pointer.
    stack: u32,
    calls: Vec<Place>,
}

/// BPF has no recursion: the verifier refuses it.
fn deepest(functions: &HashMap<Place, Function>, place: Place) -> Chain {
    let function = &functions[&place];
    let below = function.calls.iter().map(|call| deepest(functions, *call));
    let mut chain = Chain(vec![(function.name.clone(), function.stack)]);
    chain
        .0
        .extend(below.max_by_key(Chain::stack).unwrap_or_default().0);
    chain
}

fn functions(object: &[u8]) -> HashMap<Place, Function> {
    let file = ElfFile64::<object::Endianness>::parse(object).expect("an ELF object");
    let symbols = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    symbols
        .map(|symbol| {
            let place = (
                symbol.section_index().expect("a defined function"),
                symbol.address(),
            );
            (place, function(&file, &symbol, place))
        })
        .collect()
}

fn function<'d>(
    file: &ElfFile64<'d>,
    symbol: &impl object::ObjectSymbol<'d>,
    (index, start): Place,
) -> Function {
    let section = file.section_by_index(index).expect("the function's section");
    let code = section
        .data_range(start, symbol.size())
        .expect("an uncompressed section");
    let code = code.expect("the function's instructions");
    let code: Vec<Instruction> = code.as_chunks().0.iter().copied().map(Instruction::new).collect();
    let relocations: BTreeMap<u64, Place> = section
        .relocations()
        .filter_map(|(offset, relocation)| match relocation.target() {
            RelocationTarget::Symbol(index) => {
                let symbol = file.symbol_by_index(index).ok()?;
                Some((offset, (symbol.section_index()?, symbol.address())))
            }
            _ => None,
        })
        .collect();
    let offsets = (start..).step_by(8);
    let calls = offsets
        .zip(&code)
        .filter(|(_, instruction)| instruction.is_call());
    let calls = calls.map(|(at, call)| {
        // A call counts in instructions: from the symbol that its relocation names, or else from itself.
        let (section, from) = relocations.get(&at).copied().unwrap_or((index, at));
        let target = from.checked_add_signed(8 * (i64::from(call.immediate) + 1));
        (section, target.expect("a call into a section"))
    });
    Function {
        name: short_name(symbol.name().expect("a function's name")),
        stack: stack(&code),
        calls: calls.collect(),
    }
}

/// The deepest byte below the frame pointer that instructions name.
fn stack(code: &[Instruction]) -> u32 {
    // Where copies of the frame pointer point to, relative to it.
    let mut copies: BTreeMap<u8, i64> = BTreeMap::from([(R10, 0)]);
    let mut lowest = 0;
    for instruction in code {
        let offset = i64::from(instruction.offset);
        let base = match instruction.class() {
            LDX => copies.get(&instruction.source),
            ST | STX => copies.get(&instruction.target),
            _ => None,
        };
        lowest = base.map_or(lowest, |base| lowest.min(base + offset));
        let copy = copies.get(&instruction.source).copied();
        match (instruction.code, copy, copies.get_mut(&instruction.target)) {
            (MOV, Some(base), _) => drop(copies.insert(instruction.target, base)),
            (ADD, _, Some(base)) => {
                *base += i64::from(instruction.immediate);
                lowest = lowest.min(*base);
            }
            _ if instruction.writes_target() => drop(copies.remove(&instruction.target)),
            _ => {}
        }
    }
    u32::try_from(-lowest).expect("a stack grows down")
}

/// One instruction: eight bytes.
struct Instruction {
    code: u8,
    target: u8,
    source: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    fn new(bytes: [u8; 8]) -> Self {
        let [code, registers, o0, o1, i0, i1, i2, i3] = bytes;
        Self {
            code,
            target: registers & 0x0f,
            source: registers >> 4,
            offset: i16::from_le_bytes([o0, o1]),
            immediate: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }

    fn class(&self) -> u8 {
        self.code & 0x07
    }

    fn is_call(&self) -> bool {
        self.code == CALL && self.source == PSEUDO_CALL
    }

    /// Whether the target register is another afterwards: loads and arithmetic, neither stores nor jumps.
    fn writes_target(&self) -> bool {
        matches!(self.class(), 0x00 | LDX | 0x04 | 0x07)
    }
}

/// A function's name without its path and what it is generic over.
fn short_name(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    let path = name.split("::<").next().unwrap_or(&name);
    path.rsplit("::").next().unwrap_or(path).to_owned()
}
