//! A patch of one resource: does its time depend on the size of the stack?

use clap::Args;

use super::{
    figures::median,
    ground::{Ground, Members, at_least_one},
    markdown::{figure, head, row},
    shape::{Change, Shape},
};

/// Resources of the small stack that the large one is compared with.
const SMALL: usize = 100;

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Resources of the large stack
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one())]
    resources: usize,
    /// Patches of each stack
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    #[command(flatten)]
    members: Members,
}

/// Prints the medians and their ratio.
///
/// # Errors
/// What did not come to an end, in words.
pub fn run(flags: &Flags) -> Result<(), String> {
    let ground = Ground::start(&flags.members)?;
    let stacks = [("small", SMALL), ("large", flags.resources)];
    for (name, size) in stacks {
        ground.put("bench.json", &Shape::Flat.template(size, Change::Nothing))?;
        ground.timed_to_end(&["stack", "create", name, "-f", "bench.json"])?;
    }
    // In turn, so that whatever else the machine does befalls both alike.
    let mut millis = [Vec::new(), Vec::new()];
    let mut bare = Vec::new();
    for time in 1..=flags.times {
        ground.put("patch.json", &document(0, time))?;
        bare.push(ground.timed(&["version"])?.as_secs_f64() * 1e3);
        for (at, (name, _)) in stacks.iter().enumerate() {
            let took = ground.timed_to_end(&["stack", "patch", name, "-f", "patch.json"])?;
            millis[at].push(took.as_secs_f64() * 1e3);
        }
    }
    println!(
        "{}",
        head(&[
            "resources of the stack",
            "median ms of a patch of one",
            "ratio"
        ])
    );
    let small = median(&millis[0]);
    for (at, (_, size)) in stacks.iter().enumerate() {
        let this = median(&millis[at]);
        let ratio = this.zip(small).map(|(this, small)| this / small);
        println!(
            "{}",
            row(&[size.to_string(), figure(this, 1), figure(ratio, 2)])
        );
    }
    println!(
        "\nFrom the start of the command line to the end of its `--wait`, {} times each; of that, starting the \
         command line alone takes {} ms.",
        flags.times,
        figure(median(&bare), 1)
    );
    Ok(())
}

/// A patch that gives resource number `n` another property.
pub(super) fn document(n: usize, value: u32) -> String {
    let value = u64::from(value) + 1;
    format!(
        "{{\"resources\": {{\"r{n}\": {{\"type\": \"OS::Heat::None\", \"properties\": {{\"value\": {value}}}}}}}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_a_template_says() {
        let read: serde_json::Value = serde_json::from_str(&document(7, 1)).expect("JSON");
        assert_eq!(read["resources"]["r7"]["properties"]["value"], 2);
    }
}
