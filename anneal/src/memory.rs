//! Where this process gets its memory: from jemalloc, for Rust's side and RocksDB's.
//!
//! A large stack is many small allocations that are made and freed by different threads and live long. With glibc's
//! allocator they take an eighth of all CPU time more, and the peak differs from run to run (docs/benchmarks.md).

use std::{convert::Infallible, time::Duration};

use tikv_jemalloc_ctl::{epoch, raw, stats};
use tikv_jemallocator::Jemalloc;
use tracing::Level;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Two arenas: by default there are four for each processor, and what one thread has freed, a compiled template for instance,
/// another can't use again. What has been free for 200 ms goes back to the kernel. A large allocation takes the pages that it needs:
/// by default it takes one more, so as to begin anywhere in a page, and then a page of the state's tables has five instead of four.
/// `MALLOC_CONF` in the environment prevails.
#[allow(
    unsafe_code,
    reason = "jemalloc looks for its settings under this name, and nothing else here has it"
)]
#[unsafe(export_name = "malloc_conf")]
static SETTINGS: &[u8; 93] =
    b"narenas:2,dirty_decay_ms:200,muzzy_decay_ms:0,max_background_threads:1,cache_oblivious:false\0";

/// For a member: memory is given back by a thread of its own. Otherwise whoever asks for memory next does it, and what a large
/// template leaves takes tenths of a second, in which a heartbeat may have to go out.
pub(crate) fn give_back_aside() {
    if let Err(error) = tikv_jemalloc_ctl::background_thread::write(true) {
        tracing::debug!(%error, "memory is given back by whoever asks for some");
    }
}

/// Between two looks at what is used.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// Tells in the log what is used, for as long as it is polled, if that is logged at all (target `anneal::memory`, level debug).
pub(crate) async fn tell() -> Infallible {
    if !tracing::enabled!(target: "anneal::memory", Level::DEBUG) {
        return std::future::pending().await;
    }
    loop {
        match used() {
            Ok(Used {
                allocated,
                resident,
                allocations,
            }) => tracing::debug!(
                target: "anneal::memory",
                allocated, resident, allocations, "memory"
            ),
            Err(error) => tracing::debug!(target: "anneal::memory", %error, "memory"),
        }
        tokio::time::sleep(TOLD_EVERY).await;
    }
}

struct Used {
    /// Bytes that somebody holds.
    allocated: usize,
    /// Bytes for which the kernel gives memory: those, what they leave free between them, and what is not given back yet.
    resident: usize,
    /// How often somebody has asked for memory since the process began.
    allocations: u64,
}

fn used() -> Result<Used, tikv_jemalloc_ctl::Error> {
    epoch::advance()?;
    Ok(Used {
        allocated: stats::allocated::read()?,
        resident: stats::resident::read()?,
        allocations: number(b"stats.arenas.4096.small.nrequests\0")?
            + number(b"stats.arenas.4096.large.nrequests\0")?,
    })
}

/// A counter of jemalloc; 4096 stands for all arenas.
#[allow(
    unsafe_code,
    reason = "the library has a name of its own for some counters only, and these are 64 bits wide"
)]
fn number(name: &[u8]) -> Result<u64, tikv_jemalloc_ctl::Error> {
    unsafe { raw::read(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted() {
        let before = used().expect("jemalloc counts");
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = used().expect("jemalloc counts");
        assert!(after.allocated >= before.allocated + held.len() / 2);
        assert!(after.allocations > before.allocations);
    }
}
