//! Every mutant still fits the code: one that does not would prove nothing, and go unnoticed until somebody runs them.

use anneal_tests::mutants::{all, applies, workspace};

#[test]
fn every_mutant_fits_the_tree() {
    let root = workspace();
    let mutants = all(&root.join("tests/mutants")).expect("the mutants are read");
    let outdated: Vec<String> = mutants
        .iter()
        .filter_map(|mutant| {
            let error = applies(&root, &mutant.text).err()?;
            Some(format!("tests/mutants/{}.patch: {error}", mutant.name))
        })
        .collect();
    assert_eq!(outdated, Vec::<String>::new(), "make these anew");
}
