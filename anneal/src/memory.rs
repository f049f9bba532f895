//! Where this process gets its memory: from jemalloc, for Rust's side and RocksDB's.
//!
//! A large stack is many small allocations that are made and freed by different threads and live long. With glibc's
//! allocator they take an eighth of all CPU time more, and the peak differs from run to run (docs/benchmarks.md).

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Two arenas: by default there are four for each processor, and what one thread has freed, a compiled template for instance,
/// another can't use again. What has been free for 200 ms goes back to the kernel. `MALLOC_CONF` in the environment prevails.
#[allow(
    unsafe_code,
    reason = "jemalloc looks for its settings under this name, and nothing else here has it"
)]
#[unsafe(export_name = "malloc_conf")]
static SETTINGS: &[u8; 71] =
    b"narenas:2,dirty_decay_ms:200,muzzy_decay_ms:0,max_background_threads:1\0";

/// For a member: memory is given back by a thread of its own. Otherwise whoever asks for memory next does it, and what a large
/// template leaves takes tenths of a second, in which a heartbeat may have to go out.
pub(crate) fn give_back_aside() {
    if let Err(error) = tikv_jemalloc_ctl::background_thread::write(true) {
        tracing::debug!(%error, "memory is given back by whoever asks for some");
    }
}
