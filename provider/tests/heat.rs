//! Heat's types do what they do in Heat.

mod support;

use std::time::{Duration, Instant};

use anneal_provider::{
    Applied, BootTime, Companion, DelayProvider, FailureClass, NoneProvider, PlanRequest,
    PlannedAction, Provider, RandomStringProvider, Registry, TestResourceProvider, ValueProvider,
    Verdict,
};
use serde_json::json;
use support::{Host, PATIENCE, create, delete, done, found, prior, read, update, values};

const TEST: &str = "OS::Heat::TestResource";
const DELAY: &str = "OS::Heat::Delay";
const RANDOM: &str = "OS::Heat::RandomString";
const VALUE: &str = "OS::Heat::Value";
const NONE: &str = "OS::Heat::None";

#[tokio::test]
async fn none_takes_anything_and_is_never_changed() {
    let (host, provider) = (Host::new(), NoneProvider::default());
    let call = host.call("1", 1);
    let anything = values(json!({"a": {"b": [1, 2]}}));
    assert!(provider.validate(NONE, &anything, &[]).await.is_empty());
    let made = done(create(&provider, &call, NONE, &anything).await);
    assert_eq!(made.physical_id, "cluster-1");
    let other = values(json!({"c": 1}));
    let request = PlanRequest {
        type_name: NONE,
        prior: Some(prior(&made)),
        properties: &other,
        unknown: &[],
    };
    assert_eq!(
        provider.plan(request).await.unwrap().action,
        PlannedAction::Nothing
    );
    assert_eq!(
        done(update(&provider, &call, NONE, &made, &other).await),
        made
    );
    assert!(found(read(&provider, &call, NONE, &made).await).as_aimed);
    assert_eq!(
        delete(&provider, &call, NONE, &made).await.unwrap(),
        Applied::Deleted
    );
}

#[tokio::test]
async fn a_value_is_changed_in_place() {
    let (host, provider) = (Host::new(), ValueProvider::default());
    let call = host.call("1", 1);
    let made = done(
        create(
            &provider,
            &call,
            VALUE,
            &values(json!({"value": "5", "type": "number"})),
        )
        .await,
    );
    assert_eq!(made.attributes["value"], json!(5));
    let updated = done(
        update(
            &provider,
            &call,
            VALUE,
            &made,
            &values(json!({"value": {"a": []}})),
        )
        .await,
    );
    assert_eq!(updated.attributes["value"], json!({"a": []}));
    assert_eq!(updated.physical_id, made.physical_id);
    let wrong = provider
        .validate(VALUE, &values(json!({"value": "x", "type": "number"})), &[])
        .await;
    assert_eq!(wrong[0].path.to_string(), "value");
}

#[tokio::test]
async fn a_random_string_is_kept_until_a_property_changes() {
    let (host, provider) = (Host::new(), RandomStringProvider::default());
    let call = host.call("1", 1);
    let made = done(create(&provider, &call, RANDOM, &values(json!({"length": 12}))).await);
    let value = made.attributes["value"].as_str().unwrap().to_owned();
    assert_eq!(
        (value.len(), made.reference_id.as_deref()),
        (12, Some(value.as_str()))
    );
    assert!(provider.schemas()[0].attribute("value").unwrap().secret);
    let seen = found(read(&provider, &call, RANDOM, &made).await);
    assert_eq!((seen.as_aimed, &seen.made), (true, &made));

    // To write out what is the default anyway changes nothing.
    let same = values(json!({"length": 12, "salt": null}));
    assert_eq!(
        done(update(&provider, &call, RANDOM, &made, &same).await),
        made
    );
    for other in [
        json!({"length": 13}),
        json!({"length": 12, "salt": "again"}),
    ] {
        let applied = update(&provider, &call, RANDOM, &made, &values(other))
            .await
            .unwrap();
        assert!(
            matches!(applied, Applied::NeedsReplace { .. }),
            "{applied:?}"
        );
    }
}

#[tokio::test]
async fn a_test_resource_stores_fails_and_is_replaced_as_it_is_told() {
    let (host, provider) = (Host::new(), TestResourceProvider::default());
    let call = host.call("1", 1);
    let failure = create(&provider, &call, TEST, &values(json!({"fail": true})))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Permanent, Verdict::NothingDone)
    );
    assert!(failure.message.contains("site"), "{}", failure.message);

    let made = done(create(&provider, &call, TEST, &values(json!({}))).await);
    assert_eq!(made.attributes["output"], json!("test_string"));
    assert!(
        made.physical_id.starts_with("web-site-"),
        "{}",
        made.physical_id
    );

    // A failed update does not store the new value, and fails with an unchanged one too.
    for failing in [json!({"value": "new", "fail": true}), json!({"fail": true})] {
        update(&provider, &call, TEST, &made, &values(failing))
            .await
            .unwrap_err();
    }
    let updated = done(
        update(
            &provider,
            &call,
            TEST,
            &made,
            &values(json!({"value": "new"})),
        )
        .await,
    );
    assert_eq!(
        (&updated.attributes["output"], &updated.physical_id),
        (&json!("new"), &made.physical_id)
    );

    for replacing in [
        json!({"value": "x", "update_replace": true}),
        json!({"update_replace_value": "x"}),
    ] {
        let applied = update(&provider, &call, TEST, &made, &values(replacing))
            .await
            .unwrap();
        assert!(
            matches!(applied, Applied::NeedsReplace { .. }),
            "{applied:?}"
        );
    }
    // Without a changed value, update_replace alone replaces nothing.
    done(
        update(
            &provider,
            &call,
            TEST,
            &made,
            &values(json!({"update_replace": true})),
        )
        .await,
    );
    let failing = done(
        update(
            &provider,
            &call,
            TEST,
            &made,
            &values(json!({"value": "y"})),
        )
        .await,
    );
    assert_eq!(
        delete(&provider, &call, TEST, &failing).await.unwrap(),
        Applied::Deleted
    );

    let wrong = provider
        .validate(
            TEST,
            &values(json!({"client_name": "nova", "wait_secs": "x"})),
            &[],
        )
        .await;
    assert_eq!(wrong.len(), 2, "{wrong:?}");
}

#[tokio::test]
async fn waits_are_taken_from_the_action_and_fractions_count() {
    let (host, provider) = (Host::new(), TestResourceProvider::default());
    let call = host.call("1", 1);
    let took = async |properties: serde_json::Value| {
        let start = Instant::now();
        done(create(&provider, &call, TEST, &values(properties)).await);
        start.elapsed()
    };
    assert!(took(json!({"wait_secs": 0.15})).await >= Duration::from_millis(150));
    assert!(took(json!({"wait_secs": 3600, "action_wait_secs": {"create": 0}})).await < PATIENCE);
}

#[tokio::test]
async fn a_wait_for_ever_ends_with_the_call() {
    let (host, provider) = (Host::new(), TestResourceProvider::default());
    let endless = values(json!({"wait_secs": -1}));

    let cancelled = host.call("1", 1);
    let cancel = cancelled.ctx.cancel.clone();
    let end = async {
        tokio::task::yield_now().await;
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(create(&provider, &cancelled, TEST, &endless), end);
    assert_eq!(ended.unwrap_err().class, FailureClass::Aborted);

    let expired = host.call("2", 1);
    expired
        .lease
        .send(BootTime::now().after(Duration::from_millis(50)))
        .unwrap();
    assert_eq!(
        create(&provider, &expired, TEST, &endless)
            .await
            .unwrap_err()
            .class,
        FailureClass::Aborted
    );

    let mut timed_out = host.call("3", 1);
    timed_out.ctx.not_after = BootTime::now().after(Duration::from_millis(50));
    let failure = create(&provider, &timed_out, TEST, &endless)
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (FailureClass::Transient, "timed out")
    );
}

#[tokio::test]
async fn a_delay_waits_when_it_is_told_to() {
    let (host, provider) = (Host::new(), DelayProvider::default());
    let call = host.call("1", 1);
    let properties = values(
        json!({"min_wait": 0.1, "max_jitter": 1, "jitter_multiplier": 0.05, "actions": ["DELETE"]}),
    );
    let start = Instant::now();
    let made = done(create(&provider, &call, DELAY, &properties).await);
    let created = start.elapsed();
    assert_eq!(made.reference_id.as_deref(), Some("site"));
    assert_eq!(
        delete(&provider, &call, DELAY, &made).await.unwrap(),
        Applied::Deleted
    );
    assert!(start.elapsed() - created >= Duration::from_millis(100));

    let wrong = provider
        .validate(
            DELAY,
            &values(json!({"actions": ["SUSPEND", "MAKE"], "min_wait": -1})),
            &[],
        )
        .await;
    let said: Vec<String> = wrong
        .iter()
        .map(|one| format!("{}: {}", one.path, one.message))
        .collect();
    assert_eq!(
        said,
        [
            "min_wait: -1 is out of range: at least 0",
            "actions[0]: stacks are not suspended here; only CREATE and DELETE mean something",
            "actions[1]: `MAKE` is not one of CREATE, DELETE",
        ]
    );
}

#[test]
fn the_registry_knows_the_types_and_suggests_the_nearest() {
    let registry = Registry::built_in(&Companion::this_program());
    assert_eq!(registry.nearest("OS::Heat::Delayed"), Some(DELAY));
    assert!(registry.schema(NONE).unwrap().capabilities.derived_id);
    assert_eq!(
        registry.schema_json(RANDOM).unwrap()["properties"][0]["default"],
        json!(32)
    );
}
