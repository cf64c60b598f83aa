//! What LLVM shall not see through, on the BPF target: single instructions that change nothing. Elsewhere there is nothing
//! to hide.

/// A pointer into a frame, so many bytes behind its start, and the address behind `length` bytes there.
///
/// Where LLVM knows how many bytes it is behind the start, it is told that none of them are behind the end of all memory: so
/// it knows that a frame which holds more than that holds them too, and does not ask again. Where it does not know, it is not
/// let see where the pointer comes from: it would compute it again for a later use, and the verifier would not know the
/// second one for the one that was checked ("R1 offset is outside of the packet").
#[inline(always)]
pub(crate) fn span(start: *mut u8, offset: usize, length: usize) -> (*mut u8, usize) {
    let pointer = start.wrapping_add(offset);
    #[cfg(target_arch = "bpf")]
    {
        let mut pointer = pointer;
        let behind = if core::intrinsics::is_val_statically_known(offset) {
            // SAFETY: no frame lies so near the end of all memory; offsets that a program has in it are small.
            unsafe { (start as usize).unchecked_add(offset.unchecked_add(length)) }
        } else {
            // SAFETY: moves a register to itself. (An empty text would leave two line infos at one instruction, which
            // the kernel refuses.)
            unsafe {
                core::arch::asm!("{0} = {0}", inout(reg) pointer, options(nomem, nostack, preserves_flags))
            };
            (pointer as usize).wrapping_add(length)
        };
        // SAFETY: no frame lies at address 0, nor before it. (LLVM would test for it wherever there is an `Option`.)
        unsafe { core::hint::assert_unchecked(!pointer.is_null()) };
        (pointer, behind)
    }
    #[cfg(not(target_arch = "bpf"))]
    (pointer, (pointer as usize).wrapping_add(length))
}

/// Hides how great a number can be, and where it comes from. LLVM would take a comparison away that it knows the outcome of,
/// and verifiers of old kernels (6.1) do not; and it would make one load of two branches', from a place that it computes.
#[inline(always)]
pub(crate) fn number(number: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut number = number;
        // SAFETY: moves a register to itself.
        unsafe { core::arch::asm!("{0} = {0}", inout(reg) number, options(nomem, nostack, preserves_flags)) };
        number
    }
    #[cfg(not(target_arch = "bpf"))]
    number
}

/// Says that a place is seldom reached, and keeps what is computed for it there. LLVM would load the reason that a packet
/// may be refused for before each test that it passes, and keep it on the stack.
#[cold]
#[inline(always)]
pub(crate) fn seldom() {
    core::hint::cold_path();
    apart();
}

/// Keeps what is done here apart from what is done in another case: of two like branches LLVM makes one that computes which
/// of both it is.
#[inline(always)]
pub(crate) fn apart() {
    #[cfg(target_arch = "bpf")]
    // SAFETY: moves a register to itself.
    unsafe {
        core::arch::asm!("{0} = {0}", inout(reg) 0_u64 => _, options(nomem, nostack, preserves_flags));
    }
}
