//! Many small stacks at once.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use crate::bench::{
    figures::{median, percentile},
    ground::Ground,
    idle::SMALL,
    markdown::{figure, head, row},
    shape::{Change, Shape},
};

/// Prints rate, latency and fairness. Each stack is timed from the start of its own command line.
pub(super) fn print(ground: &Ground, stacks: usize, submitters: usize) -> Result<(), String> {
    ground.put("small.json", &Shape::Flat.template(SMALL, Change::Nothing))?;
    let next = AtomicUsize::new(0);
    let submit = || -> Result<Vec<f64>, String> {
        let mut seconds = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= stacks {
                return Ok(seconds);
            }
            let name = format!("crowd-{n}");
            let took = ground.timed_to_end(&["stack", "create", &name, "-f", "small.json"])?;
            seconds.push(took.as_secs_f64());
        }
    };
    let began = Instant::now();
    let ended: Vec<_> = thread::scope(|scope| {
        let submitting: Vec<_> = (0..submitters).map(|_| scope.spawn(submit)).collect();
        submitting
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let wall = began.elapsed().as_secs_f64();
    let mut seconds = Vec::new();
    for one in ended {
        seconds.extend(one.map_err(|_| "a submitter failed".to_owned())??);
    }
    let worst = percentile(&seconds, 100.0);
    let fairness = worst
        .zip(median(&seconds))
        .map(|(worst, median)| worst / median);
    println!(
        "\n{}\n{}",
        head(&[
            "small stacks",
            "side by side",
            "stacks/s",
            "p50 s",
            "p99 s",
            "max / median"
        ]),
        row(&[
            stacks.to_string(),
            submitters.to_string(),
            format!("{:.0}", stacks as f64 / wall),
            figure(percentile(&seconds, 50.0), 3),
            figure(percentile(&seconds, 99.0), 3),
            figure(fairness, 2),
        ])
    );
    Ok(())
}
