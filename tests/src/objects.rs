//! A witness outside of Anneal: objects that are directories, made and removed by commands which write down every
//! effect. It, not our own state, says whether something was made twice, lost, left over or out of order.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The place where the objects and their journal live.
#[derive(Clone, Debug)]
pub struct Objects {
    dir: PathBuf,
}

impl Objects {
    /// An empty place below `dir`.
    pub fn below(dir: &Path) -> Self {
        let dir = dir.join("objects");
        fs::create_dir_all(&dir).expect("a directory for objects");
        Self { dir }
    }

    /// A template of `layers` × `width` objects; each refers to one of the layer above. Each create takes `seconds`
    /// before its effect and as long after it.
    pub fn template(&self, layers: usize, width: usize, seconds: f64) -> String {
        let mut text = String::from("heat_template_version: 2021-04-16\nresources:\n");
        for layer in 0..layers {
            for n in 0..width {
                text += &self.resource(
                    &format!("o{layer}_{n}"),
                    (layer > 0).then(|| format!("o{}_{n}", layer - 1)),
                    seconds,
                );
            }
        }
        text
    }

    fn resource(&self, name: &str, above: Option<String>, seconds: f64) -> String {
        let journal = self.dir.join("journal").display().to_string();
        let object = self
            .dir
            .join(format!("{name}.object"))
            .display()
            .to_string();
        let above = above.map_or(String::new(), |above| {
            format!("        ABOVE: {{ get_attr: [{above}, name] }}\n")
        });
        format!(
            "  {name}:\n    type: Anneal::Command\n    properties:\n      environment:\n        NAME: {name}\n{above}      \
             create: |\n        sleep {seconds}\n        mkdir {object} && echo made {name} >> {journal} || echo twice {name} >> {journal}\n        \
             sleep {seconds}\n        echo '{{\"id\": \"{name}\", \"name\": \"{name}\"}}'\n      \
             read: |\n        test -d {object} && echo '{{\"id\": \"{name}\", \"name\": \"{name}\"}}'\n      \
             delete: rmdir {object} && echo removed {name} >> {journal}\n"
        )
    }

    /// Every line of the journal, in the order of the effects.
    pub fn journal(&self) -> Vec<String> {
        fs::read_to_string(self.dir.join("journal"))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// When an object that exists was made.
    ///
    /// The journal does not tell for certain: who is killed between the making and the line writes none.
    pub fn made_at(&self, name: &str) -> Option<SystemTime> {
        let object = fs::metadata(self.dir.join(format!("{name}.object")));
        object.and_then(|object| object.modified()).ok()
    }

    /// The names of the objects that exist now, sorted.
    pub fn present(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.dir)
            .expect("the objects' directory")
            .filter_map(|entry| {
                entry
                    .ok()?
                    .file_name()
                    .to_str()?
                    .strip_suffix(".object")
                    .map(str::to_owned)
            })
            .collect();
        names.sort();
        names
    }

    /// How often each object was made, and that nothing was made while it was there.
    pub fn times_made(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for line in self.journal() {
            assert!(
                !line.starts_with("twice"),
                "made while it was there: {line}\n{:#?}",
                self.journal()
            );
            if let Some(name) = line.strip_prefix("made ") {
                *times.entry(name.to_owned()).or_default() += 1;
            }
        }
        times
    }
}
