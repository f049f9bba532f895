//! A soak: three members under steady load and no faults, for long, and what they use of memory, disk and descriptors
//! as time goes by. What grows without end is found by comparing late with early, not by a limit.

mod load;
mod usage;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::Cluster;
use usage::{Usage, read};

/// Between two looks at what is used.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// A run is compared in so many parts of equal length. The first is for warming up.
const PARTS: usize = 4;

/// What counts as flat: in the middle of its samples, the last part uses at most so much more than the second. What is used
/// for a moment, as when files are merged, does not count. Percent.
const FLAT_PERCENT: u64 = 10;

/// How a soak is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For how long.
    pub duration: Duration,
    /// Stacks under change at a time, each by a client of its own.
    pub stacks: usize,
    /// Resources of each.
    pub resources: usize,
    /// Whether to say on standard error what is seen.
    pub loud: bool,
}

/// What a member used in one part of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Figure by figure, the one in the middle.
    pub median: Usage,
    /// Figure by figure, the largest.
    pub most: Usage,
}

impl Part {
    fn of(samples: &[Usage]) -> Self {
        let sorted = |figure: fn(&Usage) -> u64| -> (u64, u64) {
            let mut figures: Vec<u64> = samples.iter().map(figure).collect();
            figures.sort_unstable();
            let median = figures.get(figures.len() / 2).copied().unwrap_or(0);
            (median, figures.last().copied().unwrap_or(0))
        };
        let memory = sorted(|it| it.memory_kib);
        let disk = sorted(|it| it.disk_kib);
        let descriptors = sorted(|it| it.descriptors);
        let threads = sorted(|it| it.threads);
        let usage = |of: fn((u64, u64)) -> u64| Usage {
            memory_kib: of(memory),
            disk_kib: of(disk),
            descriptors: of(descriptors),
            threads: of(threads),
        };
        Self {
            median: usage(|(median, _)| median),
            most: usage(|(_, most)| most),
        }
    }
}

/// What a member used in each part of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

impl Member {
    /// What of it is not flat.
    fn grown(&self) -> Vec<String> {
        let (Some(early), Some(late)) = (self.parts.get(1), self.parts.last()) else {
            return vec!["the run was too short to tell".to_owned()];
        };
        let (early, late) = (early.median, late.median);
        let mut grown = Vec::new();
        for (what, early, late) in [
            ("memory (KiB)", early.memory_kib, late.memory_kib),
            ("disk (KiB)", early.disk_kib, late.disk_kib),
            ("descriptors", early.descriptors, late.descriptors),
            ("threads", early.threads, late.threads),
        ] {
            if late > early + early * FLAT_PERCENT / 100 {
                grown.push(format!("{what}: {early}, later {late}"));
            }
        }
        grown
    }
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Seconds that it ran.
    pub seconds: u64,
    /// Changes that were committed and converged.
    pub changes: u64,
    /// Resources that were made, changed or deleted by them.
    pub resources: u64,
    /// The last log index.
    pub log_index: u64,
    /// What the members used.
    pub members: Vec<Member>,
    /// What was not flat, or failed.
    pub guilty: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} s, {} changes of {} resources, log index {}",
            self.seconds, self.changes, self.resources, self.log_index
        )?;
        writeln!(
            f,
            "median (most) of each quarter | memory MiB | disk MiB | descriptors | threads"
        )?;
        for (n, member) in self.members.iter().enumerate() {
            let of = |figure: fn(&Usage) -> u64| {
                let both =
                    |part: &Part| format!("{} ({})", figure(&part.median), figure(&part.most));
                member.parts.iter().map(both).collect::<Vec<_>>().join(" ")
            };
            writeln!(
                f,
                "member {} | {} | {} | {} | {}",
                n + 1,
                of(|part| part.memory_kib / 1024),
                of(|part| part.disk_kib / 1024),
                of(|part| part.descriptors),
                of(|part| part.threads),
            )?;
        }
        match self.guilty.as_slice() {
            [] => write!(f, "flat"),
            guilty => write!(f, "NOT flat: {}", guilty.join("; ")),
        }
    }
}

/// Makes a soak.
///
/// # Errors
/// When the harness fails, or a change does not converge.
pub async fn soak(settings: Settings) -> Result<Report, String> {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(3, &[]));
    let cluster = cluster.await.map_err(|e| e.to_string())?;
    let end = Arc::new(AtomicBool::new(false));
    let changes = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for n in 0..settings.stacks {
        let stack = load::Stack::new(&cluster.endpoints(), n, settings.resources)?;
        clients.push(tokio::spawn(
            stack.run(Arc::clone(&end), Arc::clone(&changes)),
        ));
    }
    let began = Instant::now();
    let mut members = vec![vec![Vec::new(); PARTS]; cluster.members.len()];
    while began.elapsed() < settings.duration {
        tokio::time::sleep(SAMPLE_EVERY).await;
        let elapsed = began.elapsed().min(settings.duration).as_secs_f64();
        let part = (elapsed / settings.duration.as_secs_f64() * PARTS as f64) as usize;
        for (n, member) in cluster.members.iter().enumerate() {
            let used = read(member).map_err(|why| format!("member {}: {why}", n + 1))?;
            members[n][part.min(PARTS - 1)].push(used);
            if settings.loud {
                let seconds = began.elapsed().as_secs();
                eprintln!("soak {seconds:5}s member {}: {used}", n + 1);
            }
        }
        if clients.iter().any(tokio::task::JoinHandle::is_finished) {
            break;
        }
    }
    end.store(true, Ordering::Relaxed);
    let mut guilty = Vec::new();
    for client in clients {
        if let Err(why) = client.await.map_err(|e| e.to_string())? {
            guilty.push(why);
        }
    }
    let parts = |parts: Vec<Vec<Usage>>| parts.iter().map(|part| Part::of(part)).collect();
    let members: Vec<Member> = members
        .into_iter()
        .map(|member| Member {
            parts: parts(member),
        })
        .collect();
    for (n, member) in members.iter().enumerate() {
        let grown = member.grown();
        guilty.extend(grown.iter().map(|what| format!("member {}: {what}", n + 1)));
    }
    let changes = changes.load(Ordering::Relaxed);
    Ok(Report {
        seconds: began.elapsed().as_secs(),
        changes,
        resources: changes * settings.resources as u64,
        log_index: load::log_index(&cluster.endpoints()).await?,
        members,
        guilty,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(memory_kib: [u64; PARTS]) -> Member {
        let part = |memory_kib| {
            let usage = |memory_kib| Usage {
                memory_kib,
                ..Usage::default()
            };
            // For a moment it is much more.
            Part::of(&[usage(memory_kib), usage(10 * memory_kib), usage(memory_kib)])
        };
        Member {
            parts: memory_kib.into_iter().map(part).collect(),
        }
    }

    #[test]
    fn what_grows_after_it_has_warmed_up_is_found() {
        assert_eq!(member([10, 100, 105, 109]).grown(), [""; 0]);
        assert_eq!(member([10, 100, 110, 120]).grown().len(), 1);
    }
}
