//! Members in network namespaces of their own, so that they can be cut off from each other. Needs root; everything is
//! made here, and removed at the end.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// A bridge, and a namespace for each member. Dropping it removes them all.
#[derive(Debug)]
pub struct Network {
    name: String,
    /// The first three numbers of its addresses.
    prefix: String,
    size: usize,
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip")
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("ip {words}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {words}: {}", said.trim()))
}

/// Removes the networks of processes that were killed before they could.
fn remove_left_over() {
    let is_dead = |name: &str| {
        let digits = name
            .strip_prefix("anl")
            .and_then(|rest| rest.split('-').next());
        let pid = digits.and_then(|digits| digits.parse::<u32>().ok());
        pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    };
    let names = |dir: &str| -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| is_dead(name)).collect()
    };
    // With a namespace goes what is in it. Another run may be at it too, and be faster.
    for space in names("/run/netns") {
        let _ = ip(&format!("netns del {space}"));
    }
    for link in names("/sys/class/net") {
        let _ = ip(&format!("link del {link}"));
    }
}

impl Network {
    /// A network of so many members.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn make(size: usize) -> Result<Self, String> {
        remove_left_over();
        // Of this process alone: interface names have 15 characters at most.
        let own = std::process::id();
        let network = Self {
            name: format!("anl{own}"),
            prefix: format!("10.{}.{}", 128 + own / 256 % 64, own % 256),
            size,
        };
        let Self { name, prefix, .. } = &network;
        ip(&format!("link add {name} type bridge"))?;
        ip(&format!("addr add {prefix}.1/24 dev {name}"))?;
        ip(&format!("addr add {prefix}.2/24 dev {name}"))?;
        ip(&format!("link set {name} up"))?;
        for n in 0..size {
            let (space, inside) = (network.namespace(n), network.address(n));
            ip(&format!("netns add {space}"))?;
            ip(&format!(
                "link add {space} type veth peer name eth0 netns {space}"
            ))?;
            ip(&format!("link set {space} master {name} up"))?;
            ip(&format!("-n {space} addr add {inside}/24 dev eth0"))?;
            ip(&format!("-n {space} link set eth0 up"))?;
            ip(&format!("-n {space} link set lo up"))?;
        }
        Ok(network)
    }

    /// Where clients are.
    pub fn clients(&self) -> String {
        format!("{}.1", self.prefix)
    }

    /// Where the cloud is.
    pub fn cloud(&self) -> String {
        format!("{}.2", self.prefix)
    }

    /// Where a member is.
    pub fn address(&self, member: usize) -> String {
        format!("{}.{}", self.prefix, 10 + member)
    }

    /// The namespace of a member.
    pub fn namespace(&self, member: usize) -> String {
        format!("{}-{member}", self.name)
    }

    /// What one member sends to another is lost, which breaks all connections between them.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn cut(&self, from: usize, to: usize) -> Result<(), String> {
        self.lose(from, &self.address(to))
    }

    /// Ends [`Network::cut`].
    ///
    /// # Errors
    /// When there was none.
    pub fn mend(&self, from: usize, to: usize) -> Result<(), String> {
        self.let_through(from, &self.address(to))
    }

    /// What a member answers to clients is lost.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn cut_from_clients(&self, member: usize) -> Result<(), String> {
        self.lose(member, &self.clients())
    }

    /// Ends [`Network::cut_from_clients`].
    ///
    /// # Errors
    /// When there was none.
    pub fn mend_to_clients(&self, member: usize) -> Result<(), String> {
        self.let_through(member, &self.clients())
    }

    fn lose(&self, from: usize, address: &str) -> Result<(), String> {
        let space = self.namespace(from);
        ip(&format!("-n {space} route add blackhole {address}/32"))
    }

    fn let_through(&self, from: usize, address: &str) -> Result<(), String> {
        let space = self.namespace(from);
        ip(&format!("-n {space} route del blackhole {address}/32"))
    }

    /// Whether nothing that one member sends to another gets there.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        let (space, address) = (self.namespace(from), self.address(to));
        ip(&format!("-n {space} route get {address}")).is_err()
    }

    /// Ends whatever is cut.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn mend_all(&self) -> Result<(), String> {
        (0..self.size).try_for_each(|n| {
            let space = self.namespace(n);
            ip(&format!("-n {space} route flush type blackhole"))
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for n in 0..self.size {
            // What was not made yet is not there to be removed.
            let _ = ip(&format!("netns del {}", self.namespace(n)));
        }
        let _ = ip(&format!("link del {}", self.name));
    }
}
