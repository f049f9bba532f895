//! Members come, go, lead and follow: incidents, on loopback, in one process.

mod cluster;

use std::time::Duration;

use anneal_node::{
    Config, Member,
    member::MemberError,
    replica::{COMMAND_BYTES, MembershipError, ProposeError, Role, types::MemberNode},
};
use anneal_provider::Registry;
use anneal_statemachine::outcome::Outcome;
use cluster::{
    PATIENCE, allocate, config, eventually, propose, register, registered, start, until_leading,
    until_voters,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_directory_is_a_working_cluster_of_one_and_stays_it() {
    let directory = tempfile::tempdir().unwrap();
    let member = start(config(directory.path(), &[])).await;
    until_leading(member.replica()).await;
    let cluster_id = member.replica().addressee().cluster_id.clone();
    let outcome = propose(&[&member], register(1, "first")).await;
    assert!(matches!(outcome, Outcome::Registered(_)), "{outcome:?}");
    let index = member.replica().linearize().await.unwrap();
    assert_eq!(member.replica().progress().1, index);
    let members = member.replica().members().await;
    assert_eq!(members.len(), 1);
    assert_eq!(
        (members[0].role, members[0].address.as_str()),
        (Role::Leader, member.address())
    );
    member.shutdown().await.unwrap();

    let again = start(config(directory.path(), &["127.0.0.1:1"])).await;
    until_leading(again.replica()).await;
    assert_eq!(again.replica().addressee().cluster_id, cluster_id);
    assert!(again.replica().linearize().await.unwrap() > index);
    // The row is there, and so is what memory makes of it.
    assert!(registered(again.replica(), 1));
    // It listens elsewhere now, and the membership says so.
    eventually("the membership has the new address", async || {
        let members = again.replica().members().await;
        (members[0].address == again.address()).then_some(())
    })
    .await;
    again.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_becomes_a_voter_by_itself_and_has_everything() {
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = start(config(directories[0].path(), &[])).await;
    until_leading(first.replica()).await;
    propose(&[&first], register(1, "before")).await;
    let address = first.address().to_owned();
    let second = start(config(directories[1].path(), &[&address])).await;
    // Any member lets others in.
    let through_second = second.address().to_owned();
    let third = start(config(directories[2].path(), &[&through_second])).await;
    until_voters(first.replica(), 3).await;

    let ids = [&first, &second, &third].map(|member| member.replica().member_id());
    assert!(ids[0] < ids[1] && ids[1] != ids[2], "{ids:?}");
    for member in [&second, &third] {
        member.replica().linearize().await.unwrap();
        assert!(registered(member.replica(), 1));
        let refused = member.replica().propose(allocate()).await;
        assert!(refused.is_err(), "a follower took a proposal");
    }
    for member in [first, second, third] {
        member.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_goes_and_another_leads_with_everything_decided_before() {
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = start(config(directories[0].path(), &[])).await;
    until_leading(first.replica()).await;
    let address = first.address().to_owned();
    let second = start(config(directories[1].path(), &[&address])).await;
    let third = start(config(directories[2].path(), &[&address])).await;
    until_voters(first.replica(), 3).await;
    propose(&[&first], register(7, "decided")).await;
    let before = first.replica().state_ms();
    let term = first.replica().cluster().term;

    first.shutdown().await.unwrap();
    propose(&[&second, &third], register(8, "after")).await;
    for member in [&second, &third] {
        member.replica().linearize().await.unwrap();
        assert!(registered(member.replica(), 7));
        assert!(registered(member.replica(), 8));
        assert!(
            member.replica().state_ms() >= before,
            "state time jumped back"
        );
        assert!(member.replica().cluster().term > term);
    }
    second.shutdown().await.unwrap();
    third.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_missed_more_than_the_log_keeps_is_sent_a_checkpoint() {
    let directories: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut small = config(directories[0].path(), &[]);
    small.replica.limits = cluster::small_log();
    let first = start(small).await;
    until_leading(first.replica()).await;
    for engine in 0..200 {
        propose(&[&first], register(engine, "many")).await;
    }
    eventually("the log is purged", async || {
        (first.replica().cluster().purged_index > 100).then_some(())
    })
    .await;
    propose(&[&first], register(1000, "after the checkpoint")).await;

    let address = first.address().to_owned();
    let second = start(config(directories[1].path(), &[&address])).await;
    until_voters(first.replica(), 2).await;
    second.replica().linearize().await.unwrap();
    assert!(
        second.replica().cluster().checkpoint_index > 100,
        "it got the log instead"
    );
    for engine in [0, 199, 1000] {
        assert!(registered(second.replica(), engine));
    }
    // What was installed is what a restart finds.
    let id = second.replica().member_id();
    second.shutdown().await.unwrap();
    let second = start(config(directories[1].path(), &[])).await;
    assert_eq!(second.replica().member_id(), id);
    assert!(registered(second.replica(), 199));
    first.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_membership_changes_only_as_far_as_a_quorum_is_left() {
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = start(config(directories[0].path(), &[])).await;
    until_leading(first.replica()).await;
    let own = first.replica().member_id();
    let alone = first.replica().remove(own).await;
    assert!(
        matches!(alone, Err(MembershipError::LosesQuorum { .. })),
        "{alone:?}"
    );

    let address = first.address().to_owned();
    let mut learner = config(directories[1].path(), &[&address]);
    learner.learner = true;
    let second = start(learner).await;
    let second_id = second.replica().member_id();
    eventually("the learner is listed", async || {
        let members = first.replica().members().await;
        let found = members.into_iter().find(|member| member.id == second_id)?;
        (found.role == Role::Learner).then_some(())
    })
    .await;
    first.replica().promote(second_id).await.unwrap();
    first
        .replica()
        .promote(second_id)
        .await
        .expect("promoting a voter is fine");
    until_voters(first.replica(), 2).await;

    // Leadership moves first; whoever leads now does it.
    let moved = first.replica().demote(own).await;
    let Err(MembershipError::NotLeader(Some(leader))) = moved else {
        panic!("{moved:?}")
    };
    assert_eq!(leader.member_id, second_id);
    until_leading(second.replica()).await;
    second.replica().demote(own).await.unwrap();
    until_voters(second.replica(), 1).await;
    let unknown = second.replica().remove(999).await;
    assert_eq!(unknown, Err(MembershipError::NoSuchMember(999)));
    second.replica().remove(own).await.unwrap();
    assert_eq!(second.replica().members().await.len(), 1);
    first.shutdown().await.unwrap();
    propose(&[&second], register(3, "alone again")).await;
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_is_kept_while_another_is_away() {
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = start(config(directories[0].path(), &[])).await;
    until_leading(first.replica()).await;
    let address = first.address().to_owned();
    let second = start(config(directories[1].path(), &[&address])).await;
    let third = start(config(directories[2].path(), &[&address])).await;
    until_voters(first.replica(), 3).await;
    let (second_id, third_id) = (second.replica().member_id(), third.replica().member_id());
    third.shutdown().await.unwrap();
    // One of the two that are left may not go; the one that is away may.
    let refused = eventually("the absence is noticed", async || {
        match first.replica().remove(second_id).await {
            Err(error @ MembershipError::LosesQuorum { .. }) => Some(error),
            Err(MembershipError::Unavailable(_)) => None,
            other => panic!("{other:?}"),
        }
    })
    .await;
    let expected = MembershipError::LosesQuorum {
        member_id: second_id,
        live: 1,
        voters: 2,
    };
    assert_eq!(refused, expected);
    first.replica().remove(third_id).await.unwrap();
    first.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_neither_shared_nor_taken_to_another_cluster() {
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = start(config(own.path(), &[])).await;
    let second = Member::start(config(own.path(), &[]), Registry::empty()).await;
    let error = second.err().expect("two members in one directory");
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );

    let elsewhere = start(config(other.path(), &[])).await;
    first.shutdown().await.unwrap();
    let asked = elsewhere.address().to_owned();
    let moved = Member::start(config(own.path(), &[&asked]), Registry::empty()).await;
    let error = moved.err().expect("a member of two clusters");
    assert!(matches!(error, MemberError::OtherCluster { .. }), "{error}");
    elsewhere.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_a_clear_error() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = start(config(one.path(), &[])).await;
    let mut taken = config(two.path(), &[]);
    taken.listen = Some(first.address().into());
    let error = Member::start(taken, Registry::empty())
        .await
        .err()
        .expect("two listeners");
    assert!(
        error.to_string().starts_with("cannot listen on 127.0.0.1:"),
        "{error}"
    );
    first.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_no_message_could_carry_is_refused_before_it_is_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let member = start(config(directory.path(), &[])).await;
    until_leading(member.replica()).await;
    let last = member.replica().progress().0;
    let huge = "a".repeat(COMMAND_BYTES + 1);
    let refused = member.replica().propose(register(1, &huge)).await;
    assert!(
        matches!(refused, Err(ProposeError::TooLarge { bytes }) if bytes > COMMAND_BYTES),
        "{refused:?}"
    );
    assert_eq!(member.replica().progress().0, last);
    propose(&[&member], register(1, "small")).await;
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_proposes_while_the_quorum_is_lost_is_told_that_the_outcome_is_not_known() {
    let directories: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = start(config(directories[0].path(), &[])).await;
    until_leading(first.replica()).await;
    let address = first.address().to_owned();
    let second = start(config(directories[1].path(), &[&address])).await;
    until_voters(first.replica(), 2).await;
    // One proposal after the other, so that one is under way when the other voter vanishes without a word.
    let refused = async {
        loop {
            if let Err(error) = first.replica().propose(allocate()).await {
                return error;
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused);
    let (refused, stopped) = tokio::join!(refused, second.replica().clone().stop());
    stopped.unwrap();
    assert_eq!(refused.expect("it is answered"), ProposeError::Undecided);
    first.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_ends_with_what_has_to_run_as_long_as_it_does() {
    for (what, part) in [
        ("panicked: lost its way", true),
        ("ended, and nobody asked", false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let member = start(config(directory.path(), &[])).await;
        let replica = member.replica();
        // What may end, and what was aborted, is nobody's loss.
        replica.oversee_errand("an errand", tokio::spawn(async {}));
        let aborted = tokio::spawn(std::future::pending());
        aborted.abort();
        replica.oversee("what was aborted", aborted);
        replica.oversee(
            "a part",
            tokio::spawn(async move { assert!(!part, "lost its way") }),
        );
        let why = tokio::time::timeout(PATIENCE, member.failed()).await;
        let why = why.expect("it is noticed");
        assert!(
            why.starts_with("a part has ") && why.contains(what),
            "{why}"
        );
        member.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_asked_to_stop_has_not_failed() {
    let directory = tempfile::tempdir().unwrap();
    let with_engine = Config {
        capacity: 1,
        ..config(directory.path(), &[])
    };
    let member = start(with_engine).await;
    until_leading(member.replica()).await;
    let replica = member.replica().clone();
    let failed = tokio::spawn(async move { replica.failed().await });
    member.shutdown().await.unwrap();
    assert!(!failed.is_finished());
    failed.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_removed_while_it_was_away_does_not_let_itself_in_again() {
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = start(config(directories[0].path(), &[])).await;
    until_leading(first.replica()).await;
    let address = first.address().to_owned();
    let second = start(config(directories[1].path(), &[&address])).await;
    let third = start(config(directories[2].path(), &[&address])).await;
    until_voters(first.replica(), 3).await;
    third.replica().linearize().await.unwrap();
    let id = third.replica().member_id();
    third.shutdown().await.unwrap();
    first.replica().remove(id).await.unwrap();

    // It does not know yet, and listens elsewhere now, which it has to tell the others.
    let third = start(config(directories[2].path(), &[])).await;
    assert_eq!(third.replica().member_id(), id);
    let told = first.replica().enlist(
        id,
        MemberNode {
            address: third.address().to_owned(),
            becomes_voter: true,
        },
        true,
    );
    assert_eq!(told.await, Err(MembershipError::NoSuchMember(id)));
    // That something does not happen can only be watched for a while: it asks every 200 ms.
    let comes_back = async {
        while first.replica().membership().get_node(&id).is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let watched = tokio::time::timeout(Duration::from_secs(2), comes_back).await;
    assert!(watched.is_err(), "it is in the membership again");
    for member in [first, second, third] {
        member.shutdown().await.unwrap();
    }
}
