//! What the compiler is told of the way that packets mostly take, for it to stand in one piece: a CPU that has just done
//! something else has little of it in its caches, and has yet to learn which branches are taken.

/// A condition that nearly always holds.
#[inline(always)]
pub(crate) fn likely(condition: bool) -> bool {
    if condition {
        true
    } else {
        core::hint::cold_path();
        false
    }
}

/// A condition that hardly ever holds.
#[inline(always)]
pub(crate) fn unlikely(condition: bool) -> bool {
    !likely(!condition)
}
