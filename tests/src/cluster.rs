//! A cluster of member processes in one temporary directory.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Anneal, Launch, MemberProcess, Network, PATIENCE, SmallDisk, eventually, free_port};

/// What is waited for until a cluster is there.
pub(crate) const ALL_VOTE: &str = "all members vote";

/// Members of one cluster. Dropping it kills them and removes their directories.
#[derive(Debug)]
pub struct Cluster {
    /// The processes, in the order of their start; the first founded the cluster.
    pub members: Vec<MemberProcess>,
    /// A disk of its own that one of them is on. Dropped after the members, and before the directory.
    pub disk: Option<SmallDisk>,
    dir: TempDir,
    /// Directories that were lost so far.
    lost: usize,
    /// Dropped after the members.
    network: Option<Network>,
}

impl Cluster {
    /// Starts `size` members and waits until all of them vote.
    pub fn start(size: usize, flags: &[&str]) -> Self {
        Self::start_on(None, size, flags)
    }

    /// The same on a network whose members can be cut off from each other.
    pub fn start_on(network: Option<Network>, size: usize, flags: &[&str]) -> Self {
        let dir = TempDir::with_prefix("anneal-test-").expect("a temporary directory");
        let mut cluster = Self {
            members: Vec::new(),
            disk: None,
            dir,
            lost: 0,
            network,
        };
        for _ in 0..size {
            cluster.add(flags);
        }
        cluster.wait_for_voters(size);
        cluster
    }

    /// Starts one more member, which joins those that are there.
    pub fn add(&mut self, flags: &[&str]) -> &mut MemberProcess {
        let position = self.members.len();
        let mut flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let host = match &self.network {
            None => "127.0.0.1".to_owned(),
            Some(network) => {
                flags.push("--insecure".to_owned());
                network.address(position)
            }
        };
        let launch = Launch {
            data_dir: self.dir.path().join(format!("member-{position}")),
            listen: format!("{host}:{}", free_port()),
            join: self
                .members
                .iter()
                .map(|m| m.address().to_owned())
                .collect(),
            flags,
            namespace: self
                .network
                .as_ref()
                .map(|network| network.namespace(position)),
        };
        self.members.push(MemberProcess::start(launch));
        if self.members.len() == 1 {
            self.wait_for_voters(1);
        }
        self.members.last_mut().expect("one was just added")
    }

    /// A member that was removed from the cluster loses its directory, and starts at its address as a new one.
    pub fn start_anew(&mut self, position: usize) {
        self.lost += 1;
        let data_dir = self.dir.path().join(format!("anew-{}", self.lost));
        let others = self.members.iter().enumerate();
        let join = others
            .filter(|(n, _)| *n != position)
            .map(|(_, member)| member.address().to_owned())
            .collect();
        self.members[position].start_anew(data_dir, join);
    }

    /// Kills a member that is no part of the cluster any more, and removes its directory.
    pub fn discard(&mut self, position: usize) {
        self.members.remove(position).discard();
    }

    /// A directory that lives as long as the cluster, for templates and objects.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The network of its own that it is on, if it is.
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// Every member's address, comma-separated.
    pub fn endpoints(&self) -> String {
        self.members
            .iter()
            .map(MemberProcess::address)
            .collect::<Vec<_>>()
            .join(",")
    }

    /// The command line against every member.
    pub fn anneal(&self) -> Anneal {
        Anneal::against(&self.endpoints(), self.dir())
    }

    /// The members as they are listed.
    pub fn listing(&self) -> Result<Vec<Value>, String> {
        match self.anneal().json(&["cluster", "members"])? {
            Value::Array(members) => Ok(members),
            other => Err(format!("not a listing: {other}")),
        }
    }

    /// Waits until exactly `count` members vote, one of them leading.
    pub fn wait_for_voters(&self, count: usize) {
        eventually(ALL_VOTE, PATIENCE, || {
            let roles: Vec<_> = self
                .listing()?
                .iter()
                .map(|m| m["role"].as_str().unwrap_or("").to_owned())
                .collect();
            let voting = roles
                .iter()
                .filter(|role| *role == "voter" || *role == "leader")
                .count();
            let led = roles.iter().filter(|role| *role == "leader").count() == 1;
            if voting == count && led {
                Ok(())
            } else {
                Err(format!("{roles:?}"))
            }
        });
    }

    /// Position in `members` of the one that leads.
    pub fn leader(&self) -> usize {
        eventually("a leader is known", PATIENCE, || {
            let listing = self.listing()?;
            let leader = listing
                .iter()
                .find(|m| m["role"] == "leader")
                .ok_or_else(|| format!("{listing:?}"))?;
            let address = leader["address"].as_str().unwrap_or_default();
            self.members
                .iter()
                .position(|m| m.address() == address)
                .ok_or_else(|| format!("unknown {address}"))
        })
    }
}
