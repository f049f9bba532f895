//! Everything a member can be told, with its defaults.

use std::{fs, net::ToSocketAddrs, path::PathBuf, time::Duration};

use super::MemberError;
use crate::{
    dispatch::HistoryLimits, lease::table::LeaseSettings, network::Tls, replica::ReplicaConfig,
};

/// Actions at a time of one engine, unless it is told otherwise: most wait for something outside.
const CAPACITY: u32 = 64;
/// How long actions may run on when the member is asked to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Where members listen unless they are told otherwise.
pub const LISTEN: &str = "127.0.0.1:7400";

/// Files with the certificates of a member, PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Whom to trust.
    pub ca: PathBuf,
    /// This member's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Everything a member can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it keeps what it knows.
    pub data_dir: PathBuf,
    /// HOST:PORT to listen on, port 0 for any; `None`: nobody can call it.
    pub listen: Option<String>,
    /// Members to ask to be let in, HOST:PORT.
    pub join: Vec<String>,
    /// When it joins: stay a learner.
    pub learner: bool,
    /// Which machine this is; `None`: as the machine says.
    pub host_id: Option<String>,
    /// Labels for placement.
    pub labels: Vec<(String, String)>,
    /// Actions at a time; 0: no engine runs here.
    pub capacity: u32,
    /// Certificates.
    pub tls: Option<TlsFiles>,
    /// Listen in plain text although the address is not loopback.
    pub insecure: bool,
    /// Raft and storage.
    pub replica: ReplicaConfig,
    /// Engine leases.
    pub leases: LeaseSettings,
    /// How much history stacks keep, while it leads.
    pub history: HistoryLimits,
    /// How long actions may run on when it is asked to stop.
    pub drain_timeout: Duration,
    /// The bounds of templates that it takes while it leads.
    pub limits: anneal_template::Limits,
}

impl Config {
    /// The defaults, for a member that keeps what it knows in this directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: Some(LISTEN.into()),
            join: Vec::new(),
            learner: false,
            host_id: None,
            labels: Vec::new(),
            capacity: CAPACITY,
            tls: None,
            insecure: false,
            replica: ReplicaConfig::default(),
            leases: LeaseSettings::default(),
            history: HistoryLimits::default(),
            drain_timeout: DRAIN_TIMEOUT,
            limits: anneal_template::Limits::default(),
        }
    }
}

/// The certificates, read.
pub(super) fn read_tls(config: &Config) -> Result<Option<Tls>, MemberError> {
    let Some(files) = &config.tls else {
        return Ok(None);
    };
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|error| MemberError::Certificates {
            path: path.display().to_string(),
            why: error.to_string(),
        })
    };
    let (ca, certificate, key) = (
        read(&files.ca)?,
        read(&files.certificate)?,
        read(&files.key)?,
    );
    Ok(Some(Tls {
        ca,
        certificate,
        key,
    }))
}

/// Refuses to listen to the world in plain text.
pub(super) fn check_exposure(config: &Config) -> Result<(), MemberError> {
    let Some(listen) = &config.listen else {
        return Ok(());
    };
    if config.tls.is_some() || config.insecure {
        return Ok(());
    }
    let resolved = listen.to_socket_addrs();
    let resolved = resolved.map_err(|source| MemberError::Listen {
        address: listen.clone(),
        source,
    })?;
    if resolved
        .into_iter()
        .all(|address| address.ip().is_loopback())
    {
        Ok(())
    } else {
        Err(MemberError::Insecure(listen.clone()))
    }
}

/// Which machine this is: as configured, else its machine id, else its name. Never by chance: host-bound instances
/// are found again by it.
pub(super) fn host_id(config: &Config) -> String {
    let configured = config.host_id.clone();
    let machine = || fs::read_to_string("/etc/machine-id").ok();
    let present = |id: String| Some(id.trim().to_owned()).filter(|id| !id.is_empty());
    configured
        .and_then(present)
        .or_else(|| machine().and_then(present))
        .unwrap_or_else(|| {
            rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(address: &str) -> Config {
        Config {
            listen: Some(address.into()),
            ..Config::new("unused")
        }
    }

    #[test]
    fn only_loopback_is_plain_text_unasked() {
        assert!(check_exposure(&listening("127.0.0.1:0")).is_ok());
        assert!(check_exposure(&listening("[::1]:0")).is_ok());
        let open = listening("0.0.0.0:0");
        assert!(matches!(
            check_exposure(&open),
            Err(MemberError::Insecure(_))
        ));
        assert!(
            check_exposure(&Config {
                insecure: true,
                ..open
            })
            .is_ok()
        );
    }

    #[test]
    fn a_configured_host_id_wins_and_an_empty_one_does_not_count() {
        let named = Config {
            host_id: Some("rack-7".into()),
            ..listening("127.0.0.1:0")
        };
        assert_eq!(host_id(&named), "rack-7");
        let empty = Config {
            host_id: Some("  ".into()),
            ..named
        };
        assert!(!host_id(&empty).trim().is_empty());
    }
}
