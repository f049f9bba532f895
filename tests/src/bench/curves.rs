//! The curves: what each operation costs, by shape and size.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{
    figures::exponent,
    ground::{Ground, Members, at_least_one},
    markdown::{figure, head, row},
    operation::{Measured, Operation, Standing, Subject},
    plot::{Line, plot},
    shape::Shape,
};

/// Larger stacks take minutes each, so not all shapes come in them unless asked for.
const LARGE: usize = 100_000;

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Resources of the stacks
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000", value_parser = at_least_one())]
    sizes: Vec<usize>,
    /// Shapes of the stacks
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "flat,layers,tree,chain,sink,source,dag"
    )]
    shapes: Vec<Shape>,
    /// Those of them that are measured above 100,000 resources, too
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "flat,layers,dag"
    )]
    large: Vec<Shape>,
    #[command(flatten)]
    members: Members,
    /// Write all figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Plot the time of the create over the size, one line a shape, to this file as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Plot along what earlier runs wrote as JSON, of shapes and sizes that this one does not measure
    #[arg(long, value_name = "FILE", value_delimiter = ',', requires = "svg")]
    along: Vec<PathBuf>,
}

/// Of what an earlier run wrote, what is plotted.
#[derive(Deserialize)]
struct Earlier {
    measured: Vec<EarlierOne>,
}

#[derive(Deserialize)]
struct EarlierOne {
    shape: String,
    resources: usize,
    operation: String,
    converged_seconds: f64,
}

/// The growth of one cost with the size of the stack: `cost ~ N^exponent`.
#[derive(Debug, Serialize)]
struct Slope {
    shape: Shape,
    operation: &'static str,
    /// Of the time until it converged. None with fewer than two sizes.
    time_exponent: Option<f64>,
    /// Of the CPU time of all members. None with fewer than two sizes.
    cpu_exponent: Option<f64>,
}

/// Everything that was seen.
#[derive(Debug, Default, Serialize)]
struct Report {
    measured: Vec<Measured>,
    slopes: Vec<Slope>,
    /// What was left out or did not come to an end, and why.
    missing: Vec<String>,
}

/// Prints the table and the slopes, and writes the files that are asked for.
///
/// # Errors
/// What did not come to an end, or could not be written, in words. What was measured until then is printed and written.
pub fn run(flags: &Flags) -> Result<(), String> {
    let mut report = Report::default();
    let mut failed = Vec::new();
    print_head();
    for &shape in &flags.shapes {
        for &size in &flags.sizes {
            if let Some(why) = shape.left_out(size) {
                report.missing.push(why);
            } else if size > LARGE && !flags.large.contains(&shape) {
                let why = format!("{} of {size} left out: see --large", shape.name());
                report.missing.push(why);
            } else if let Err(why) = measure(flags, shape, size, &mut report.measured) {
                failed.push(format!("{} of {size}: {why}", shape.name()));
            }
        }
    }
    report.slopes = slopes(&report.measured);
    report.missing.extend(failed.iter().cloned());
    print_slopes(&report.slopes);
    for missing in &report.missing {
        println!("\n{missing}");
    }
    write(flags, &report)?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("; "))
    }
}

fn measure(
    flags: &Flags,
    shape: Shape,
    size: usize,
    measured: &mut Vec<Measured>,
) -> Result<(), String> {
    let ground = Ground::start(&flags.members)?;
    let empty = Standing::of(&ground)?;
    let subject = Subject {
        ground: &ground,
        shape,
        size,
        empty,
    };
    for operation in Operation::ALL {
        let one = subject
            .measure(operation)
            .map_err(|why| format!("{}: {why}", operation.name()))?;
        println!("{}", row(&cells(&one)));
        measured.push(one);
    }
    Ok(())
}

fn print_head() {
    println!(
        "{}",
        head(&[
            "members",
            "shape",
            "resources",
            "operation",
            "touched",
            "compiled s",
            "committed s",
            "converged s",
            "touched/s",
            "CPU s (all members)",
            "CPU µs per resource",
            "log entries",
            "MiB written (all)",
            "peak MiB (each member)",
            "growth B per resource",
            "held B per resource",
            "allocations per resource",
            "log MiB (each)",
            "longest apply ms",
            "longest leader silence ms",
        ])
    );
}

fn cells(of: &Measured) -> Vec<String> {
    let peaks: Vec<String> = of
        .peak_kib
        .iter()
        .map(|kib| (kib / 1024).to_string())
        .collect();
    let rate = (of.touched > 0).then(|| of.touched as f64 / of.converged_seconds);
    vec![
        of.members.to_string(),
        of.shape.name().to_owned(),
        of.resources.to_string(),
        of.operation.to_owned(),
        of.touched.to_string(),
        figure(of.compiled_seconds, 3),
        format!("{:.3}", of.committed_seconds),
        format!("{:.3}", of.converged_seconds),
        figure(rate, 0),
        format!("{:.2}", of.cpu_seconds),
        format!("{:.1}", of.cpu_us_per_resource),
        of.log_entries.to_string(),
        format!("{:.1}", of.bytes_written as f64 / f64::from(1 << 20)),
        peaks.join(" "),
        format!("{:.0}", of.growth_bytes_per_resource),
        format!("{:.0}", of.held_bytes_per_resource),
        format!("{:.1}", of.allocations_per_resource),
        format!("{:.1}", of.log_bytes as f64 / f64::from(1 << 20)),
        figure(of.pace.longest_apply_ms, 1),
        figure(of.pace.longest_leader_silence_ms, 0),
    ]
}

fn slopes(measured: &[Measured]) -> Vec<Slope> {
    let mut seen = Vec::new();
    let mut slopes = Vec::new();
    for one in measured {
        if seen.contains(&(one.shape, one.operation)) {
            continue;
        }
        seen.push((one.shape, one.operation));
        let fit = |cost: fn(&Measured) -> f64| {
            let same = measured
                .iter()
                .filter(|it| (it.shape, it.operation) == (one.shape, one.operation));
            let points: Vec<_> = same.map(|it| (it.resources as f64, cost(it))).collect();
            exponent(&points)
        };
        slopes.push(Slope {
            shape: one.shape,
            operation: one.operation,
            time_exponent: fit(|it| it.converged_seconds),
            cpu_exponent: fit(|it| it.cpu_seconds),
        });
    }
    slopes
}

fn print_slopes(slopes: &[Slope]) {
    println!("\nCost ~ N^exponent, from the sizes above (1 is linear, 0 does not depend on N):\n");
    println!(
        "{}",
        head(&["shape", "operation", "exponent of time", "exponent of CPU"])
    );
    for slope in slopes {
        println!(
            "{}",
            row(&[
                slope.shape.name().to_owned(),
                slope.operation.to_owned(),
                figure(slope.time_exponent, 2),
                figure(slope.cpu_exponent, 2),
            ])
        );
    }
}

fn write(flags: &Flags, report: &Report) -> Result<(), String> {
    if let Some(path) = &flags.json {
        let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
        put(path, &(text + "\n"))?;
    }
    if let Some(path) = &flags.svg {
        let title = format!(
            "Create, submitted to converged, {} members",
            flags.members.count()
        );
        let mut points = creates(report.measured.iter().map(to_plot));
        for path in &flags.along {
            add_missing(&mut points, read_along(path)?);
        }
        let drawn = plot(&title, "resources", "seconds", &lines(points));
        put(path, &drawn.ok_or("there is nothing to plot")?)?;
    }
    Ok(())
}

/// Seconds over resources, by shape.
type Points = BTreeMap<String, Vec<(f64, f64)>>;

fn to_plot(of: &Measured) -> (&str, &str, usize, f64) {
    (
        of.shape.name(),
        of.operation,
        of.resources,
        of.converged_seconds,
    )
}

/// Of what was measured: shape, operation, resources and seconds.
fn creates<'a>(measured: impl Iterator<Item = (&'a str, &'a str, usize, f64)>) -> Points {
    let mut points = Points::new();
    for (shape, operation, resources, seconds) in measured {
        if operation == Operation::Create.name() {
            let of_shape = points.entry(shape.to_owned()).or_default();
            of_shape.push((resources as f64, seconds));
        }
    }
    points
}

/// Adds what was measured elsewhere, of shapes and sizes that are not among the points.
fn add_missing(points: &mut Points, elsewhere: Points) {
    for (shape, of_shape) in elsewhere {
        let present = points.entry(shape).or_default();
        for (size, seconds) in of_shape {
            if present.iter().all(|(at, _)| *at != size) {
                present.push((size, seconds));
            }
        }
    }
}

fn read_along(path: &Path) -> Result<Points, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    let earlier: Earlier = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    Ok(creates(earlier.measured.iter().map(|it| {
        let (shape, operation) = (it.shape.as_str(), it.operation.as_str());
        (shape, operation, it.resources, it.converged_seconds)
    })))
}

fn lines(points: Points) -> Vec<Line> {
    points
        .into_iter()
        .map(|(name, mut points)| {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Line { name, points }
        })
        .collect()
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::pace::Pace;

    fn measured(shape: Shape, resources: usize, seconds: f64) -> Measured {
        Measured {
            members: 3,
            shape,
            resources,
            operation: Operation::Create.name(),
            touched: resources,
            compiled_seconds: None,
            committed_seconds: 0.1,
            converged_seconds: seconds,
            cpu_seconds: seconds,
            cpu_us_per_resource: 1.0,
            log_entries: 1,
            bytes_written: 1,
            peak_kib: vec![1_024, 2_048],
            growth_bytes_per_resource: 1.0,
            log_bytes: 1,
            held_bytes_per_resource: 1.0,
            allocations_per_resource: 1.0,
            pace: Pace::default(),
        }
    }

    #[test]
    fn each_shape_has_a_line_and_a_slope() {
        let seen = [
            measured(Shape::Flat, 10_000, 2.0),
            measured(Shape::Flat, 1_000, 0.2),
            measured(Shape::Dag, 1_000, 0.3),
        ];
        let slopes = slopes(&seen);
        assert_eq!(slopes.len(), 2);
        assert!((slopes[0].time_exponent.expect("two sizes") - 1.0).abs() < 1e-9);
        assert_eq!(slopes[1].time_exponent, None);
        let lines = lines(creates(seen.iter().map(to_plot)));
        assert_eq!(lines[1].points, [(1_000.0, 0.2), (10_000.0, 2.0)]);
    }

    #[test]
    fn what_was_measured_elsewhere_fills_gaps_only() {
        let of = |all: &[Measured]| creates(all.iter().map(to_plot));
        let mut points = of(&[measured(Shape::Flat, 1_000, 0.2)]);
        let elsewhere = [
            measured(Shape::Flat, 1_000, 9.0),
            measured(Shape::Flat, 10_000, 2.0),
            measured(Shape::Dag, 1_000, 0.3),
        ];
        add_missing(&mut points, of(&elsewhere));
        assert_eq!(points["flat"], [(1_000.0, 0.2), (10_000.0, 2.0)]);
        assert_eq!(points["dag"], [(1_000.0, 0.3)]);
    }

    #[test]
    fn figures_lie_flat_in_the_json() {
        let json = serde_json::to_value(measured(Shape::Flat, 1, 1.0)).expect("JSON");
        assert_eq!(json["shape"], "flat");
        assert!(json["longest_apply_ms"].is_null());
    }
}
