//! The one port: health, reflection, certificates.

mod cluster;

use std::{fs, path::Path};

use anneal_node::{Config, Member, member::TlsFiles, network::Tls};
use anneal_proto::peer::v1::{
    AdmitRequest, IdentifyRequest, ReadIndexRequest, admission_client::AdmissionClient,
    peer_client::PeerClient,
};
use anneal_proto::v1::{ErrorDetail, StackVerbRequest, stacks_client::StacksClient};
use anneal_provider::Registry;
use cluster::{
    PATIENCE, config, eventually, propose, register, registered, start, until_leading, until_voters,
};
use prost::Message as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

async fn channel(address: &str) -> Channel {
    Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

async fn health(address: &str) -> ServingStatus {
    let mut client = HealthClient::new(channel(address).await);
    let answer = client
        .check(HealthCheckRequest {
            service: String::new(),
        })
        .await;
    answer.unwrap().into_inner().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_serves_once_it_knows_a_leader_and_not_without_one() {
    let directories: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = start(config(directories[0].path(), &[])).await;
    let address = first.address().to_owned();
    let second = start(config(directories[1].path(), &[&address])).await;
    until_voters(first.replica(), 2).await;
    for address in [first.address(), second.address()] {
        eventually("it serves", async || {
            (health(address).await == ServingStatus::Serving).then_some(())
        })
        .await;
    }
    // One of two alone has no quorum, and soon no leader.
    first.shutdown().await.unwrap();
    eventually("it serves no more", async || {
        (health(second.address()).await == ServingStatus::NotServing).then_some(())
    })
    .await;
    let read = second.replica().linearize().await;
    assert!(read.is_err(), "a read without a quorum: {read:?}");
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_does_not_serve_before_it_has_looked() {
    let directories: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = start(config(directories[0].path(), &[])).await;
    let address = first.address().to_owned();
    let second = start(config(directories[1].path(), &[&address])).await;
    until_voters(first.replica(), 2).await;
    first.shutdown().await.unwrap();
    let address = second.address().to_owned();
    second.shutdown().await.unwrap();
    // Without the other it knows no leader, from the very first answer on.
    let again = Config {
        listen: Some(address),
        ..config(directories[1].path(), &[])
    };
    let second = start(again).await;
    assert_eq!(health(second.address()).await, ServingStatus::NotServing);
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_every_service() {
    let directory = tempfile::tempdir().unwrap();
    let member = start(config(directory.path(), &[])).await;
    let mut client = ServerReflectionClient::new(channel(member.address()).await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let answer = answers
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for name in [
        "anneal.v1.Stacks",
        "anneal.peer.v1.Peer",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_for_another_member_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let member = start(config(directory.path(), &[])).await;
    until_leading(member.replica()).await;
    let mut other = member.replica().addressee().clone();
    other.member_id += 1;
    let mut client = PeerClient::new(channel(member.address()).await);
    let refused = client
        .read_index(other.address(ReadIndexRequest {}))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let meant_for_another =
        |status: &tonic::Status| status.message().contains("this is member 1 of cluster");
    assert!(meant_for_another(&refused), "{refused}");
    // A client's call names nobody, unless a member passed it on.
    let mut clients = StacksClient::new(channel(member.address()).await);
    let direct = clients.pause(StackVerbRequest::default()).await;
    assert_eq!(direct.unwrap_err().code(), Code::InvalidArgument);
    let mut forwarded = other.address(StackVerbRequest::default());
    let mark = "1".parse().unwrap();
    forwarded.metadata_mut().insert("anneal-forwarded", mark);
    let refused = clients.pause(forwarded).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(meant_for_another(&refused), "{refused}");
    let detail = ErrorDetail::decode(refused.details()).unwrap();
    assert_eq!(detail.reason, "wrong_member");
    let mut admission = AdmissionClient::new(channel(member.address()).await);
    let mut passed_on = other.address(AdmitRequest::default());
    let mark = "1".parse().unwrap();
    passed_on.metadata_mut().insert("anneal-passed-on", mark);
    let refused = admission.admit(passed_on).await.unwrap_err();
    assert!(meant_for_another(&refused), "{refused}");
    let meant = member.replica().addressee().address(ReadIndexRequest {});
    client.read_index(meant).await.unwrap();
    member.shutdown().await.unwrap();
}

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(issuer: &CertifiedIssuer<'static, KeyPair>, directory: &Path) -> TlsFiles {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    TlsFiles {
        ca: write("ca.pem", issuer.pem()),
        certificate: write("member.pem", certificate.pem()),
        key: write("member.key", key.serialize_pem()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_with_certificates_talk_to_each_other_and_to_nobody_else() {
    let (files, directories) = (
        tempfile::tempdir().unwrap(),
        [(); 2].map(|()| tempfile::tempdir().unwrap()),
    );
    let tls = issue(&issuer(), files.path());
    let with_tls = |directory: &Path, join: &[&str]| Config {
        tls: Some(tls.clone()),
        ..config(directory, join)
    };
    let first = start(with_tls(directories[0].path(), &[])).await;
    let address = first.address().to_owned();
    let second = start(with_tls(directories[1].path(), &[&address])).await;
    until_voters(first.replica(), 2).await;
    propose(&[&first], register(1, "secret")).await;
    second.replica().linearize().await.unwrap();
    assert!(registered(second.replica(), 1));

    // Neither plain text nor a certificate of somebody else's.
    let plain = Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    assert!(
        AdmissionClient::new(plain)
            .identify(IdentifyRequest {})
            .await
            .is_err()
    );
    let strange_files = tempfile::tempdir().unwrap();
    let strange = issue(&issuer(), strange_files.path());
    let strange = Tls {
        ca: fs::read(&tls.ca).unwrap(),
        certificate: fs::read(strange.certificate).unwrap(),
        key: fs::read(strange.key).unwrap(),
    };
    let endpoint = Channel::from_shared(format!("https://{address}")).unwrap();
    let channel = endpoint
        .tls_config(strange.client())
        .unwrap()
        .connect_lazy();
    assert!(
        AdmissionClient::new(channel)
            .identify(IdentifyRequest {})
            .await
            .is_err()
    );
    second.shutdown().await.unwrap();
    first.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_world_is_not_listened_to_in_plain_text() {
    let directory = tempfile::tempdir().unwrap();
    let mut open = config(directory.path(), &[]);
    open.listen = Some("0.0.0.0:0".into());
    let error = Member::start(open, Registry::empty())
        .await
        .err()
        .expect("it is refused");
    assert!(error.to_string().contains("--insecure"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_vanished_without_a_word_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let member = start(config(directory.path(), &[])).await;
    let mut line = TcpStream::connect(member.address()).await.unwrap();
    // The beginning of HTTP/2, no settings to speak of, and never an answer to anything.
    line.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    line.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, line.read_to_end(&mut heard)).await;
    // However it ends.
    ended.expect("it is closed").ok();
    member.shutdown().await.unwrap();
}
