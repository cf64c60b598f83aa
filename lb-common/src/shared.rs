//! The second door to unsafe code: table memory, which the packet path on several CPUs and the daemon read and
//! write at the same time.
//!
//! In userspace each access is an atomic one. On the BPF target it is a volatile one of the same width, which the
//! kernel's JITs make a single instruction: the target selects neither atomic loads nor `AtomicU64`'s
//! compare-and-swap. Stores become visible in program order on x86-64; weaker machines would need barriers that
//! BPF has only since Linux 6.14.
//!
//! In this crate's tests, each access first lets the scheduler of a model choose which thread goes on: see `turn`.

#[cfg(any(test, feature = "memory"))]
use alloc::boxed::Box;
use core::cell::UnsafeCell;
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::Ordering;
#[cfg(any(test, feature = "memory"))]
use core::{marker::PhantomData, ops::Deref};

/// A value in table memory, read and written whole.
///
/// Zero bytes are a value of it: fresh table memory is all zeros.
#[derive(Default)]
#[repr(transparent)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: every access goes through the methods below, which are atomic in userspace and single instructions on
// the BPF target.
unsafe impl<T: Send> Sync for Shared<T> {}

macro_rules! shared {
    ($int:ty, $atomic:ident) => {
        impl Shared<$int> {
            /// A value to start with.
            #[must_use]
            pub const fn new(value: $int) -> Self {
                Self(UnsafeCell::new(value))
            }

            /// The value, and everything written before it was stored.
            #[inline(always)]
            pub fn load(&self) -> $int {
                turn();
                #[cfg(target_arch = "bpf")]
                // SAFETY: the cell is valid and aligned; other CPUs change it by single instructions only.
                return unsafe { self.0.get().read_volatile() };
                #[cfg(not(target_arch = "bpf"))]
                // SAFETY: valid and aligned as a cell of this type is, and only ever accessed atomically.
                return unsafe { core::sync::atomic::$atomic::from_ptr(self.0.get()) }
                    .load(Ordering::Acquire);
            }

            /// Makes `value` visible after everything written before.
            #[inline(always)]
            pub fn store(&self, value: $int) {
                turn();
                #[cfg(target_arch = "bpf")]
                // SAFETY: as in `load`.
                unsafe {
                    self.0.get().write_volatile(value);
                }
                #[cfg(not(target_arch = "bpf"))]
                // SAFETY: as in `load`.
                unsafe { core::sync::atomic::$atomic::from_ptr(self.0.get()) }
                    .store(value, Ordering::Release);
            }
        }

        impl core::fmt::Debug for Shared<$int> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.load().fmt(f)
            }
        }
    };
}

shared!(u8, AtomicU8);
shared!(u16, AtomicU16);
shared!(u32, AtomicU32);
shared!(u64, AtomicU64);

impl Shared<u64> {
    /// Replaces `old` by `new` if `old` is still there; says whether it was. A full barrier where it succeeds.
    #[inline(always)]
    #[must_use]
    pub fn compare_exchange(&self, old: u64, new: u64) -> bool {
        turn();
        #[cfg(target_arch = "bpf")]
        {
            use core::intrinsics::{AtomicOrdering, atomic_cxchg};
            // SAFETY: as in `load`.
            unsafe {
                atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
                    self.0.get(),
                    old,
                    new,
                )
            }
            .1
        }
        #[cfg(not(target_arch = "bpf"))]
        {
            // SAFETY: as in `load`.
            unsafe { core::sync::atomic::AtomicU64::from_ptr(self.0.get()) }
                .compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        }
    }

    /// Adds, and returns what was there before; wraps around.
    #[inline(always)]
    pub fn fetch_add(&self, amount: u64) -> u64 {
        turn();
        #[cfg(target_arch = "bpf")]
        {
            use core::intrinsics::{AtomicOrdering, atomic_xadd};
            // SAFETY: as in `load`.
            unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(self.0.get(), amount) }
        }
        #[cfg(not(target_arch = "bpf"))]
        {
            // SAFETY: as in `load`.
            unsafe { core::sync::atomic::AtomicU64::from_ptr(self.0.get()) }
                .fetch_add(amount, Ordering::SeqCst)
        }
    }

    /// Adds to a counter that only this worker writes: no locked instruction is needed.
    #[inline(always)]
    pub fn add(&self, amount: u64) {
        self.store(self.load().wrapping_add(amount));
    }
}

/// A record of cells, of which zero bytes are a value.
///
/// # Safety
///
/// It holds [`Shared`] cells, arrays and records of them, and integers; nothing else.
#[cfg(any(test, feature = "memory"))]
pub(crate) unsafe trait Zeroable {}

/// A record of zeros.
#[cfg(any(test, feature = "memory"))]
#[expect(
    clippy::unnecessary_box_returns,
    reason = "the largest has no room on a stack"
)]
pub(crate) fn zeroed<T: Zeroable>() -> Box<T> {
    let record = Box::new_zeroed();
    // SAFETY: zero bytes are a value of all that `Zeroable` allows.
    unsafe { record.assume_init() }
}

/// Records of zeros in a row. The system gives large ones memory only where they are used: a table for a million flows of
/// which there are a thousand is small.
///
/// In memory for words: zeros for what is aligned to cache lines are written, and so use all of it.
#[cfg(any(test, feature = "memory"))]
pub(crate) struct Rows<T> {
    words: Box<[UnsafeCell<u64>]>,
    count: usize,
    records: PhantomData<T>,
}

// SAFETY: the words are reached as the records that they are memory for, and only so.
#[cfg(any(test, feature = "memory"))]
unsafe impl<T: Sync> Sync for Rows<T> {}

#[cfg(any(test, feature = "memory"))]
impl<T: Zeroable> Rows<T> {
    /// So many.
    pub(crate) fn zeroed(count: usize) -> Self {
        let bytes = count
            .saturating_mul(size_of::<T>())
            .saturating_add(align_of::<T>());
        let words = Box::new_zeroed_slice(bytes.div_ceil(size_of::<u64>()));
        Self {
            // SAFETY: zero bytes are a word.
            words: unsafe { words.assume_init() },
            count,
            records: PhantomData,
        }
    }
}

#[cfg(any(test, feature = "memory"))]
impl<T: Zeroable> Deref for Rows<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let first = self.words.as_ptr();
        let first = first.wrapping_add(first.align_offset(align_of::<T>()));
        // SAFETY: there is room for `count` records behind as many bytes as alignment can take; zero bytes are a value of
        // each, and whatever changes them goes through their cells.
        unsafe { core::slice::from_raw_parts(first.cast(), self.count) }
    }
}

/// Where another thread may come in between, for models.
#[cfg(not(test))]
#[inline(always)]
const fn turn() {}

#[cfg(test)]
pub(crate) use tests::{turn, with_turns};

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use shuttle::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    std::thread_local! {
        /// Whether accesses are turns: in a model, whose threads all run on one of the system's.
        static TURNS: Cell<bool> = const { Cell::new(false) };
    }

    /// Lets the model's scheduler choose who goes on. Memory and accesses stay what they are: a model runs the code
    /// that runs everywhere, one access at a time.
    pub(crate) fn turn() {
        if TURNS.get() {
            // The scheduler is asked before each access to an atomic of its own; this one is for that alone.
            const { AtomicBool::new(false) }.load(Ordering::SeqCst);
        }
    }

    /// Does something with or without turns at its accesses; without, it is done in an instant.
    pub(crate) fn with_turns<R>(turns: bool, work: impl FnOnce() -> R) -> R {
        let before = TURNS.replace(turns);
        let result = work();
        TURNS.set(before);
        result
    }

    #[test]
    fn fetch_add_returns_what_was_there() {
        let cell = Shared::<u64>::new(5);
        assert_eq!(cell.fetch_add(2), 5);
        assert_eq!(cell.fetch_add(u64::MAX), 7, "one less, by wrapping around");
        assert_eq!(cell.load(), 6);
    }

    #[test]
    fn compare_exchange_says_what_it_did() {
        let cell = Shared::<u64>::new(5);
        assert!(!cell.compare_exchange(4, 9));
        assert_eq!(cell.load(), 5);
        assert!(cell.compare_exchange(5, 9));
        assert_eq!(cell.load(), 9);
    }
}
