//! The second door to unsafe code: table memory, which the packet path on several CPUs and the daemon read and
//! write at the same time.
//!
//! In userspace each access is an atomic one. On the BPF target it is a volatile one of the same width, which the
//! kernel's JITs make a single instruction: the target selects neither atomic loads nor `AtomicU64`'s
//! compare-and-swap. Stores become visible in program order on x86-64; weaker machines would need barriers that
//! BPF has only since Linux 6.14.

use core::cell::UnsafeCell;
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::Ordering;

/// A value in table memory, read and written whole.
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
                #[cfg(target_arch = "bpf")]
                // SAFETY: the cell is valid and aligned; other CPUs change it by single instructions only.
                return unsafe { self.0.get().read_volatile() };
                #[cfg(not(target_arch = "bpf"))]
                // SAFETY: valid and aligned as a cell of this type is, and only ever accessed atomically.
                return unsafe { core::sync::atomic::$atomic::from_ptr(self.0.get()) }.load(Ordering::Acquire);
            }

            /// Makes `value` visible after everything written before.
            #[inline(always)]
            pub fn store(&self, value: $int) {
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

    /// Adds to a counter that only this worker writes: no locked instruction is needed.
    #[inline(always)]
    pub fn add(&self, amount: u64) {
        self.store(self.load().wrapping_add(amount));
    }
}

/// A record that may be copied to and from table memory word by word.
///
/// # Safety
///
/// `repr(C)`, no padding, every bit pattern valid, size and alignment such that it is a row of `u64`s wherever a
/// [`Words`] puts it.
pub unsafe trait Record: Copy {}

/// A record of several words in table memory. Word by word each access is whole; that the words belong together
/// is for the owner to prove (the flow table does it by a generation in a word beside).
#[repr(C, align(8))]
pub struct Words<R>(UnsafeCell<R>);

// SAFETY: every access goes through `Shared<u64>`.
unsafe impl<R: Record + Send> Sync for Words<R> {}

impl<R: Record> Words<R> {
    const COUNT: usize = {
        assert!(size_of::<R>() % 8 == 0 && align_of::<R>() <= 8);
        size_of::<R>() / 8
    };

    /// A record to start with.
    #[must_use]
    pub const fn new(record: R) -> Self {
        Self(UnsafeCell::new(record))
    }

    /// A copy of the record.
    #[inline(always)]
    pub fn load(&self) -> R {
        let mut copy = core::mem::MaybeUninit::<R>::uninit();
        let mut word = 0;
        while word < Self::COUNT {
            // SAFETY: `word` is below `COUNT`, so within `copy`, which is as large and suitably aligned or better
            // written unaligned.
            unsafe { copy.as_mut_ptr().cast::<u64>().wrapping_add(word).write_unaligned(self.word(word).load()) };
            word = word.wrapping_add(1);
        }
        // SAFETY: every byte was written, and `Record` promises that every pattern is valid.
        unsafe { copy.assume_init() }
    }

    /// Writes the record.
    #[inline(always)]
    pub fn store(&self, record: &R) {
        let source = core::ptr::from_ref(record).cast::<u64>();
        let mut word = 0;
        while word < Self::COUNT {
            // SAFETY: `word` is below `COUNT`, so within `record`, whose bytes are all initialised (no padding).
            let value = unsafe { source.wrapping_add(word).read_unaligned() };
            self.word(word).store(value);
            word = word.wrapping_add(1);
        }
    }

    #[inline(always)]
    fn word(&self, index: usize) -> &Shared<u64> {
        // SAFETY: callers keep `index` below `COUNT`; `Words` is aligned for `u64`, and `Shared` is transparent.
        unsafe { &*self.0.get().cast::<Shared<u64>>().wrapping_add(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compare_exchange_says_what_it_did() {
        let cell = Shared::<u64>::new(5);
        assert!(!cell.compare_exchange(4, 9));
        assert_eq!(cell.load(), 5);
        assert!(cell.compare_exchange(5, 9));
        assert_eq!(cell.load(), 9);
    }

    #[test]
    fn a_record_comes_back_as_it_was_stored() {
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[repr(C)]
        struct Two(u32, u32, u64);
        // SAFETY: sixteen bytes without padding.
        unsafe impl Record for Two {}
        let words = Words::new(Two(0, 0, 0));
        words.store(&Two(1, 2, 3));
        assert_eq!(words.load(), Two(1, 2, 3));
    }
}
