//! Whom a call is meant for, in its metadata, so that a wrong recipient can tell.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataMap, MetadataValue},
};

const CLUSTER: &str = "anneal-cluster";
const MEMBER: &str = "anneal-member";

/// One member of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// The cluster.
    pub cluster_id: String,
    /// The member.
    pub member_id: u64,
}

impl Addressee {
    /// Names it in a call.
    pub fn address<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let cluster: MetadataValue<Ascii> = self
            .cluster_id
            .parse()
            .expect("a cluster id is made of hexadecimal digits");
        request.metadata_mut().insert(CLUSTER, cluster);
        request
            .metadata_mut()
            .insert(MEMBER, MetadataValue::from(self.member_id));
        request
    }

    /// Refuses a call that names another, or nobody.
    pub fn check(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let cluster = metadata.get(CLUSTER).and_then(|value| value.to_str().ok());
        let member = metadata.get(MEMBER).and_then(|value| value.to_str().ok());
        let is_me = cluster == Some(self.cluster_id.as_str())
            && member.and_then(|member| member.parse().ok()) == Some(self.member_id);
        if is_me {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "this is member {} of cluster {}, not member {} of cluster {}",
            self.member_id,
            self.cluster_id,
            member.unwrap_or("(unnamed)"),
            cluster.unwrap_or("(unnamed)"),
        )))
    }
}

/// Something that calls can be meant for.
pub trait Addressed {
    /// The member that this is.
    fn addressee(&self) -> &Addressee;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(cluster: &str, member_id: u64) -> Addressee {
        Addressee {
            cluster_id: cluster.into(),
            member_id,
        }
    }

    #[test]
    fn an_address_that_came_to_another_hand_is_noticed() {
        let call = member("c1", 4).address(());
        assert!(member("c1", 4).check(call.metadata()).is_ok());
        assert!(member("c1", 9).check(call.metadata()).is_err());
        assert!(member("c2", 4).check(call.metadata()).is_err());
        assert!(member("c1", 4).check(Request::new(()).metadata()).is_err());
    }
}
