//! A small stack beside a large one that converges.

use crate::bench::{
    figures::median,
    ground::Ground,
    idle::small_stacks,
    markdown::{figure, head, row},
    shape::{Change, Shape},
};

/// Small stacks that are timed on the idle cluster.
const TIMES: usize = 11;

/// Prints the time of a small stack beside the large one against its idle time.
pub(super) fn print(ground: &Ground, size: usize) -> Result<(), String> {
    let idle = small_stacks(ground, TIMES)?;
    ground.put("bench.json", &Shape::Flat.template(size, Change::Nothing))?;
    ground.timed(&["stack", "create", "large", "-f", "bench.json"])?;
    let mut beside = Vec::new();
    loop {
        let one = small_stacks(ground, 1)?;
        let shown = ground.json(&["stack", "show", "large"])?;
        // The last one may have been beside it only in part.
        if shown["status"] != "converging" {
            break;
        }
        beside.extend(one);
    }
    ground.timed_to_end(&["stack", "delete", "large"])?;
    let ratio = median(&beside)
        .zip(median(&idle))
        .map(|(beside, idle)| beside / idle);
    println!(
        "\n{}\n{}",
        head(&[
            "stack of 10, idle ms (median)",
            "beside ms (median)",
            "times beside",
            "ratio"
        ]),
        row(&[
            figure(median(&idle), 1),
            figure(median(&beside), 1),
            beside.len().to_string(),
            figure(ratio, 2),
        ])
    );
    Ok(())
}
