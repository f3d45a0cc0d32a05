//! A plugin's memory. Each call has a fresh instance, so what is allocated first
//! is cut from an arena and given back as a whole, when the instance ends.
//!
//! The arena is part of the memory that the module starts with. More memory has
//! to be asked of the host: it then changes the protection of pages, and changes
//! it back before the next call, and each time all its threads are interrupted.
//! Most calls get by with the arena; what does not fit comes from the standard
//! allocator.
#![allow(unsafe_code, reason = "a global allocator cannot be written without it")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::{Cell, UnsafeCell},
};

/// Enough to read an object of 64 kB with its children and to write the answer.
/// Pages of it that a call does not touch cost nothing.
const ARENA_BYTES: usize = 512 << 10;
/// What asks for more than any type of Rust's does not come from the arena.
const ALIGN_MAX: usize = 16;

#[repr(C, align(16))]
struct Arena {
    bytes: UnsafeCell<[u8; ARENA_BYTES]>,
    used: Cell<usize>,
}

#[global_allocator]
static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; ARENA_BYTES]), used: Cell::new(0) };

// SAFETY: a plugin has one thread.
unsafe impl Sync for Arena {}

impl Arena {
    /// Where in the arena something lies, if it does.
    fn start(&self, at: *mut u8) -> Option<usize> {
        (at as usize).checked_sub(self.bytes.get() as usize).filter(|start| *start < ARENA_BYTES)
    }
}

// SAFETY: what is handed out lies in the arena, above all that is in use, or
// comes from the system's allocator, to which it is given back.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.used.get().next_multiple_of(layout.align());
        match start.checked_add(layout.size()) {
            Some(end) if end <= ARENA_BYTES && layout.align() <= ALIGN_MAX => {
                self.used.set(end);
                // SAFETY: `start` is within the arena.
                unsafe { self.bytes.get().cast::<u8>().add(start) }
            }
            // SAFETY: the caller's promise for this call is the one that is needed.
            _ => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match self.start(at) {
            Some(start) if start + layout.size() == self.used.get() => self.used.set(start),
            Some(_) => {}
            // SAFETY: it is not the arena's, so it is the system's.
            None => unsafe { System.dealloc(at, layout) },
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = self.start(at) else {
            // SAFETY: it is not the arena's, so it is the system's.
            return unsafe { System.realloc(at, layout, size) };
        };
        let is_last = start + layout.size() == self.used.get();
        if let Some(end) = start.checked_add(size).filter(|end| is_last && *end <= ARENA_BYTES) {
            self.used.set(end);
            return at;
        }
        // SAFETY: the caller promises that `size` fits the layout's alignment.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both are as long as that, and the new one is not in use yet.
            unsafe { new.copy_from_nonoverlapping(at, layout.size().min(size)) };
            // SAFETY: it was handed out with this layout.
            unsafe { self.dealloc(at, layout) };
        }
        new
    }
}
