//! Endpoint lists: how they are written, and one lazily connected channel for each. Knows nothing of calls.

use std::time::Duration;

use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

/// An address that does not accept a connection within this is passed over.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// On a connection with an open call: ask whether the other side is still there this often, and give it that long.
/// Longer than a busy machine keeps a process waiting, short enough that a stream notices a frozen member.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Errors travel in headers, with every problem of a template: more than the usual 16 KiB.
const HEADER_LIMIT: u32 = 256 * 1024;

/// An endpoint list that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing in it.
    #[error("no endpoint given: expected HOST:PORT, comma-separated")]
    Empty,
    /// One of them is not HOST:PORT.
    #[error("`{0}` is no endpoint: expected HOST:PORT")]
    Malformed(String),
    /// The TLS settings do not fit.
    #[error("TLS settings for {address}: {why}")]
    Tls {
        /// The endpoint.
        address: String,
        /// What is wrong.
        why: String,
    },
}

/// Reads `HOST:PORT,HOST:PORT…`. Blanks around a comma and an empty last item are forgiven, duplicates dropped.
///
/// # Errors
/// The first item that is not HOST:PORT, or [`EndpointError::Empty`].
pub fn parse_endpoints(text: &str) -> Result<Vec<String>, EndpointError> {
    let mut found: Vec<String> = Vec::new();
    for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
        if !is_host_port(item) {
            return Err(EndpointError::Malformed(item.to_owned()));
        }
        if !found.iter().any(|known| known == item) {
            found.push(item.to_owned());
        }
    }
    if found.is_empty() {
        return Err(EndpointError::Empty);
    }
    Ok(found)
}

fn is_host_port(item: &str) -> bool {
    let Some((host, port)) = item.rsplit_once(':') else {
        return false;
    };
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let plain = !host.is_empty() && !host.contains([':', '/', '@', ' ', '[', ']']);
    (bracketed || plain) && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// A channel that connects when it is first used, and again whenever it must.
pub(crate) fn channel(
    address: &str,
    tls: Option<&ClientTlsConfig>,
) -> Result<Channel, EndpointError> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let malformed = |_| EndpointError::Malformed(address.to_owned());
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
        .map_err(malformed)?
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .http2_max_header_list_size(HEADER_LIMIT);
    if let Some(tls) = tls {
        endpoint = endpoint
            .tls_config(tls.clone())
            .map_err(|error| EndpointError::Tls {
                address: address.to_owned(),
                why: error.to_string(),
            })?;
    }
    Ok(endpoint.connect_lazy())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_list_that_reads_the_same_again_or_an_error(
            text in prop_oneof![any::<String>(), "[a-z0-9:.,@/ \\[\\]é-]{0,40}", "([a-z]{1,3}:[0-9]{1,6},?){0,4}"],
        ) {
            if let Ok(list) = parse_endpoints(&text) {
                prop_assert_eq!(parse_endpoints(&list.join(",")), Ok(list.clone()));
                for endpoint in list {
                    // What the list takes may still be no address for the transport: an error, then.
                    let address = format!("http://{endpoint}");
                    let _ = Endpoint::from_shared(address);
                }
            }
        }
    }

    #[test]
    fn a_list_is_read_in_order_and_without_duplicates() {
        let list = parse_endpoints(" a:1, b:2 ,a:1,[::1]:7400,").unwrap();
        assert_eq!(list, ["a:1", "b:2", "[::1]:7400"]);
    }

    #[test]
    fn what_is_not_host_and_port_is_named() {
        for bad in [
            "a",
            "a:",
            ":1",
            "a:0",
            "a:70000",
            "http://a:1",
            "::1:80",
            "a b:1",
        ] {
            assert_eq!(
                parse_endpoints(&format!("ok:1,{bad}")),
                Err(EndpointError::Malformed(bad.to_owned())),
            );
        }
        assert_eq!(parse_endpoints(" , "), Err(EndpointError::Empty));
    }
}
