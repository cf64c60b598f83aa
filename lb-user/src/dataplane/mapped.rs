//! Tables of the kernel in the memory of this process.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsRawFd as _, BorrowedFd},
    slice,
};

use memmap2::{MmapOptions, MmapRaw};

/// A type that may be shared with a running packet path through mapped memory.
///
/// # Safety
///
/// `repr(C)` without padding that matters, valid for every bit pattern, and changed through shared references
/// only by cells made for it ([`lb_common::shared`]).
pub(super) unsafe trait Table {}

/// A table mapped from a BPF array map made with `BPF_F_MMAPABLE`.
pub(super) struct Mapped<T> {
    memory: MmapRaw,
    length: usize,
    rows: PhantomData<T>,
}

impl<T: Table> Mapped<T> {
    /// Maps all `length` rows of the map behind `fd`.
    pub(super) fn new(fd: BorrowedFd<'_>, length: u32) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let memory = MmapOptions::new()
            .len(length * size_of::<T>())
            .map_raw(fd.as_raw_fd())?;
        Ok(Self {
            memory,
            length,
            rows: PhantomData,
        })
    }

    /// The rows.
    pub(super) fn rows(&self) -> &[T] {
        // SAFETY: the mapping holds `length` rows (the kernel refuses to map more than the map has), is aligned to
        // a page and stays as long as `self`; `Table` promises that any content is valid and that whatever
        // changes meanwhile is in cells.
        unsafe { slice::from_raw_parts(self.memory.as_ptr().cast(), self.length) }
    }
}
