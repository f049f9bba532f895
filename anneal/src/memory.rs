//! Where this process gets its memory: from jemalloc, for Rust's side and RocksDB's.
//!
//! A large stack is many small allocations that are made and freed by different threads and live long. glibc's allocator takes a
//! tenth of all CPU time more for them, and its peak differs from run to run (docs/benchmarks.md).

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Two arenas: by default there are four for each processor, and what one thread has freed, a compiled template for instance,
/// another can't use again. What has been free for 200 ms goes back to the kernel as other memory is asked for or freed.
/// `MALLOC_CONF` in the environment prevails.
#[allow(
    unsafe_code,
    reason = "jemalloc looks for its settings under this name, and nothing else here has it"
)]
#[unsafe(export_name = "malloc_conf")]
static SETTINGS: &[u8; 46] = b"narenas:2,dirty_decay_ms:200,muzzy_decay_ms:0\0";
