//! Advice to glibc's allocator.

use std::hint::black_box;

/// Has messages of up to `bytes` come and go without the system being asked for their memory each time.
///
/// glibc returns the end of its heap as soon as more than 128 KiB of it are free, and fetches it again for the next
/// large message: two system calls, and a page fault for every 4 KiB. It gives up that habit, for sizes up to the one
/// in question, when it frees a block that it had mapped (`M_MMAP_THRESHOLD` in mallopt(3)). So one is freed, which
/// nobody has touched. Other allocators do not notice.
pub(crate) fn expect_messages_of(bytes: usize) {
    drop(black_box(Vec::<u8>::with_capacity(bytes.clamp(SMALLEST, LARGEST))));
}

/// From this size on, blocks are mapped at first.
const SMALLEST: usize = 128 << 10;

/// Blocks of 32 MiB teach nothing, on 64-bit systems.
const LARGEST: usize = 31 << 20;
