//! How this process asks the C library for memory.

/// Arenas of the allocator. By default there are eight for each processor, and what one thread has freed, a compiled template
/// for instance, another can't use again: with two, a member that takes a stack of 10^5 resources peaks a quarter lower, and
/// is not slower (docs/benchmarks.md).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: i32 = 2;

/// To be called before other threads are started.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library offers it in no other way")]
pub(crate) fn share_arenas() {
    if std::env::var_os("MALLOC_ARENA_MAX").is_some() {
        return;
    }
    // SAFETY: it sets one number, and no other thread is there yet. If it does not work, more memory is used.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}

/// Other C libraries have their own ways.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn share_arenas() {}
