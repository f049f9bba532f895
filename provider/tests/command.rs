//! Commands: what they make, what they are told, and what is told of them.

mod support;

use std::fs;
use std::path::PathBuf;

use anneal_provider::{
    ActionKind, Aim, Applied, CommandProvider, Companion, FailureClass, Observed, PlanRequest,
    PlannedAction, Provider, ReadRequest, Verdict,
};
use serde_json::json;
use support::{Host, create, delete, done, failed_look, found, look, prior, read, update, values};

const COMMAND: &str = "Anneal::Command";

fn provider() -> CommandProvider {
    CommandProvider::new(Companion {
        program: PathBuf::from(env!("CARGO_BIN_EXE_anneal-companion")),
    })
}

#[tokio::test]
async fn scripts_make_read_change_and_delete() {
    let (host, provider) = (Host::new(), provider());
    let call = host.call("1", 77);
    let object = host.path("object");
    let wanted = values(json!({
        "create": "echo $CONTENT > $OBJECT; echo noise; echo '{\"id\": 42, \"size\": 5}'",
        "update": ["sh", "-c", "echo $ANNEAL_PHYSICAL_ID $CONTENT $ANNEAL_ATTRIBUTES > $OBJECT"],
        "read": "test -e $OBJECT && echo '{\"size\": 6}'",
        "delete": "rm $OBJECT",
        "environment": {"CONTENT": "hello", "OBJECT": object},
    }));
    let made = done(create(&provider, &call, COMMAND, &wanted).await);
    assert_eq!(
        (made.physical_id.as_str(), &made.attributes["size"]),
        ("42", &json!(5))
    );
    assert_eq!(fs::read_to_string(&object).unwrap(), "hello\n");
    let seen = found(read(&provider, &call, COMMAND, &made).await);
    assert_eq!(
        (seen.as_aimed, &seen.made.attributes),
        (true, &values(json!({"id": 42, "size": 6})))
    );

    let mut changed = wanted.clone();
    changed["environment"]["CONTENT"] = json!("bye");
    let made = done(update(&provider, &call, COMMAND, &made, &changed).await);
    assert_eq!(
        fs::read_to_string(&object).unwrap(),
        "42 bye {\"id\":42,\"size\":5}\n"
    );
    assert_eq!(made.attributes["size"], json!(5));

    assert_eq!(
        delete(&provider, &call, COMMAND, &made).await.unwrap(),
        Applied::Deleted
    );
    assert_eq!(
        read(&provider, &call, COMMAND, &made).await,
        Observed::absent()
    );
}

#[tokio::test]
async fn the_environment_tells_whose_and_which_effect_it_is() {
    let (host, provider) = (Host::new(), provider());
    let script = "printf '{\"id\": \"%s|%s|%s|%s\"}' $ANNEAL_INSTANCE_ID $ANNEAL_IDEMPOTENCY_KEY \
                  $ANNEAL_FENCING_TOKEN $ANNEAL_ACTION";
    let wanted = values(json!({"create": script, "working_directory": host.path("")}));
    let made = done(create(&provider, &host.call("1", 77), COMMAND, &wanted).await);
    assert_eq!(made.physical_id, "cluster-1|cluster-1-create-1|77|create");
    // Without JSON there are no attributes, and the key is the id.
    let quiet = values(json!({"create": ["pwd"]}));
    let made = done(create(&provider, &host.call("2", 78), COMMAND, &quiet).await);
    assert_eq!(
        (made.physical_id.as_str(), made.attributes.len()),
        ("cluster-2-create-1", 0)
    );
}

#[tokio::test]
async fn without_update_a_change_replaces_but_not_one_of_read_or_delete() {
    let (host, provider) = (Host::new(), provider());
    let call = host.call("1", 1);
    let made = done(
        create(
            &provider,
            &call,
            COMMAND,
            &values(json!({"create": "true", "delete": "false"})),
        )
        .await,
    );
    let plan = async |properties| {
        let request = PlanRequest {
            type_name: COMMAND,
            prior: Some(prior(&made)),
            properties,
            unknown: &[],
        };
        provider.plan(request).await.unwrap().action
    };
    let other = values(json!({"create": "echo", "delete": "false"}));
    assert!(matches!(plan(&other).await, PlannedAction::Replace { .. }));
    let applied = update(&provider, &call, COMMAND, &made, &other)
        .await
        .unwrap();
    assert!(
        matches!(applied, Applied::NeedsReplace { because } if because[0].to_string() == "create")
    );

    let mended = values(json!({"create": "true", "delete": "true"}));
    assert!(matches!(plan(&mended).await, PlannedAction::Update { .. }));
    let made = done(update(&provider, &call, COMMAND, &made, &mended).await);
    assert_eq!(
        delete(&provider, &call, COMMAND, &made).await.unwrap(),
        Applied::Deleted
    );
}

#[tokio::test]
async fn a_failure_is_told_in_the_commands_own_words() {
    let (host, provider) = (Host::new(), provider());
    let call = host.call("1", 1);
    let failure = async |script: &str| {
        create(
            &provider,
            &call,
            COMMAND,
            &values(json!({"create": script})),
        )
        .await
        .unwrap_err()
    };

    let failed = failure("echo first >&2; echo disk is full >&2; exit 3").await;
    assert_eq!(
        failed.message,
        "`create` ended with exit code 3: first\ndisk is full"
    );
    let Verdict::LeftBehind(left) = &failed.verdict else {
        panic!("{failed:?}")
    };
    assert_eq!(left.physical_id, "cluster-1-create-1");

    let killed = failure("kill -TERM $$").await;
    assert_eq!(killed.message, "`create` was killed by signal 15");
    let long = failure("yes error | head -c 100000 >&2; echo the end >&2; exit 1").await;
    assert!(
        long.message.ends_with("the end") && long.message.len() < 2300,
        "{}",
        long.message.len()
    );

    let none = values(json!({"create": ["/no/such/program"]}));
    let failure = create(&provider, &call, COMMAND, &none).await.unwrap_err();
    assert_eq!(failure.message, "there is no program /no/such/program");
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Permanent, Verdict::NothingDone)
    );
}

#[tokio::test]
async fn a_failed_create_that_can_be_looked_at_says_whether_it_left_something() {
    let (host, provider) = (Host::new(), provider());
    let call = host.call("1", 1);
    let object = host.path("object");
    let failing = |create: String| {
        values(
            json!({"create": create, "read": format!("test -e {object}"), "delete": format!("rm {object}")}),
        )
    };
    let clean = create(&provider, &call, COMMAND, &failing("exit 1".to_owned()))
        .await
        .unwrap_err();
    assert_eq!(clean.verdict, Verdict::NothingDone);
    let records = || fs::read_dir(host.path("host/commands")).unwrap().count();
    assert_eq!(records(), 0, "what is not there needs no record");
    let half = create(
        &provider,
        &call,
        COMMAND,
        &failing(format!("touch {object}; exit 1")),
    )
    .await
    .unwrap_err();
    assert!(matches!(half.verdict, Verdict::LeftBehind(_)), "{half:?}");

    // All that an engine may have kept of it is its physical id, and yet it can be deleted.
    assert_eq!(records(), 1);
    let left = anneal_provider::Made {
        physical_id: "cluster-1-create-1".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        delete(&provider, &call, COMMAND, &left).await.unwrap(),
        Applied::Deleted
    );
    assert!(!fs::exists(&object).unwrap());
}

#[tokio::test]
async fn an_interrupted_create_that_is_present_is_made_or_updated_once_more() {
    let (host, provider) = (Host::new(), provider());
    let (call, object) = (host.call("1", 2), host.path("object"));
    let plain = values(json!({"create": "true", "read": format!("test -e {object}")}));
    let aim = |properties| Aim::new(ActionKind::Create, Some(properties));
    assert_eq!(
        look(&provider, &call, COMMAND, aim(&plain)).await,
        Observed::absent()
    );
    fs::write(&object, "").unwrap();
    let seen = found(look(&provider, &call, COMMAND, aim(&plain)).await);
    assert!(seen.as_aimed);
    assert_eq!(seen.made.physical_id, "cluster-1-create-1");

    let mut updatable = plain.clone();
    updatable.insert(
        "update".to_owned(),
        json!(format!("echo again >> {object}")),
    );
    let seen = found(look(&provider, &call, COMMAND, aim(&updatable)).await);
    assert!(!seen.as_aimed);
    let made = done(update(&provider, &call, COMMAND, &seen.made, &updatable).await);
    assert_eq!(fs::read_to_string(&object).unwrap(), "again\n");
    assert!(found(read(&provider, &call, COMMAND, &made).await).as_aimed);

    // `read` that fails otherwise proves nothing.
    let broken = values(json!({"create": "true", "read": "exit 2"}));
    let request = ReadRequest {
        type_name: COMMAND,
        prior: prior(&made),
        aim: Some(aim(&broken)),
    };
    let failure = provider.look(&call.ctx, request).await.unwrap_err();
    assert!(failure.message.contains("exit code 2"), "{failure}");
    assert!(
        !provider.schemas()[0]
            .capabilities
            .looks
            .holds(&values(json!({"create": "true"})))
    );
}

#[tokio::test]
async fn megabytes_of_output_are_no_trouble() {
    let (host, provider) = (Host::new(), provider());
    let call = host.call("1", 1);
    let lines = values(
        json!({"create": "yes | head -c 3000000; yes | head -c 3000000 >&2; echo; echo '{\"id\": 1}'"}),
    );
    assert_eq!(
        done(create(&provider, &call, COMMAND, &lines).await).physical_id,
        "1"
    );
    let one_line = values(json!({"create": "head -c 3000000 /dev/zero | tr '\\0' x"}));
    assert!(
        done(create(&provider, &call, COMMAND, &one_line).await)
            .attributes
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_no_utf8_is_told_as_far_as_it_is() {
    let (host, provider) = (Host::new(), provider());
    let script = "printf 'caf\\351\\n{\"id\": 7}\\n'; printf 'r\\351sum\\351' >&2; exit $CODE";
    let wanted = |code: &str| values(json!({"create": script, "environment": {"CODE": code}}));
    let made = done(create(&provider, &host.call("1", 1), COMMAND, &wanted("0")).await);
    assert_eq!(made.physical_id, "7");
    let failure = create(&provider, &host.call("2", 1), COMMAND, &wanted("1"))
        .await
        .unwrap_err();
    assert_eq!(
        failure.message,
        "`create` ended with exit code 1: r\u{fffd}sum\u{fffd}"
    );
}

#[tokio::test]
async fn a_lost_create_of_which_nothing_is_known_is_absent_only_where_it_could_not_have_begun() {
    let (host, provider) = (Host::new(), provider());
    let aim = Aim::new(ActionKind::Create, None);
    let mut call = host.call("1", 1);
    assert_eq!(
        look(&provider, &call, COMMAND, aim).await,
        Observed::absent()
    );
    // On another host there may be a record of it.
    call.ctx.host_bound = false;
    let failure = failed_look(&provider, &call, COMMAND, aim).await;
    assert_eq!(failure.verdict, Verdict::CannotTell);
}
