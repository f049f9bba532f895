//! What is read of a stack: pages, edges, secrets, reasons, events and watches.

mod service;

use anneal_client::{
    Cursor, Ended, Error, From, Goal, Read, RequestId, ResourceName, StackName, WatchItem,
};
use anneal_statemachine::{
    command::{ActionResult, CommandKind, Done, ReportItem},
    id::{EngineRef, InstanceId, Revision, StackId, Token},
};
use service::{World, template, up, values};

fn web() -> StackName {
    StackName::new("web")
}

const SECRETS: &str = "
parameters:
  password: {type: string, hidden: true, default: swordfish}
resources:
  plain:
    type: OS::Heat::Value
    properties: {value: {get_param: password}}
  random: {type: OS::Heat::RandomString, properties: {length: 12}}
outputs:
  plain: {value: {get_attr: [plain, value]}}
  direct: {value: {list_join: ['-', [a, {get_param: password}]]}}
  random: {value: {get_attr: [random, value]}}
";

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_a_hidden_parameter_is_masked_unless_asked_for() {
    let world = World::new().await;
    world.converged("web", &template(SECRETS)).await;
    let shown = world.show("web").await;
    let output = |name: &str| shown.outputs.iter().find(|it| it.name == name).unwrap();
    assert_eq!(output("plain").json, r#""******""#);
    assert_eq!(output("direct").json, r#""******""#);
    assert!(output("plain").hidden && output("plain").sensitive);
    assert!(output("random").sensitive && !output("random").hidden);
    assert_eq!(
        output("random").json.len(),
        14,
        "in clear: JSON is for programs"
    );

    let secrets = Read {
        show_secrets: true,
        ..Read::default()
    };
    let shown = world.client.show_stack(&web(), secrets).await.unwrap();
    let output = |name: &str| shown.outputs.iter().find(|it| it.name == name).unwrap();
    assert_eq!(output("plain").json, r#""swordfish""#);
    assert_eq!(output("direct").json, r#""a-swordfish""#);

    let plain = ResourceName::new(web(), "plain");
    let resource = world
        .client
        .show_resource(&plain, Read::default())
        .await
        .unwrap();
    let value = resource
        .attributes
        .iter()
        .find(|it| it.name == "value")
        .unwrap();
    assert_eq!(value.json, r#""******""#);
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_are_paged_without_a_gap_and_in_the_order_of_names() {
    let world = World::new().await;
    world.converged("web", &values(2500)).await;
    let mut pages = world.client.list_resources(&web(), Read::default(), true);
    let mut sizes = Vec::new();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        sizes.push(page.len());
        names.extend(page.into_iter().map(|resource| resource.name));
    }
    assert_eq!(sizes, [1000, 1000, 500]);
    let expected: Vec<String> = (0..2500).map(|n| format!("v{n:05}")).collect();
    assert_eq!(names, expected);
    let graph = world.client.graph(&web(), Read::default()).await.unwrap();
    assert_eq!(graph.len(), 2500);

    for name in ["a", "b", "c"] {
        world.converged(name, &template("resources: {}\n")).await;
    }
    let stacks = world.client.list_stacks(None, false).all().await.unwrap();
    let names: Vec<&str> = stacks.iter().map(|stack| stack.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "web"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_why_and_what_waits_for_it_names_it() {
    let world = World::new().await;
    let text = template(
        "resources:\n  bad:\n    type: OS::Heat::TestResource\n    properties: {value: x, fail: true}\n  after:\n    \
         type: OS::Heat::Value\n    properties: {value: {get_attr: [bad, output]}}\n",
    );
    let reply = world.up("web", &text).await.unwrap();
    let Ended::Failed(stack) = world.ended("web", &reply).await else {
        panic!("it fails");
    };
    assert!(stack.reason.contains("bad"), "{}", stack.reason);
    let bad = ResourceName::new(web(), "bad");
    let bad = world
        .client
        .show_resource(&bad, Read::default())
        .await
        .unwrap();
    assert_eq!(
        (bad.phase.as_str(), bad.required_by),
        ("failed", vec!["after".to_owned()])
    );
    assert!(
        bad.reason.len() > "failed after 1 attempt: ".len(),
        "{}",
        bad.reason
    );
    let explained = world
        .client
        .explain(&web(), Some("after"), Read::default())
        .await
        .unwrap();
    assert_eq!(explained.status, "waiting");
    assert_eq!(explained.blockers, ["bad"]);
    assert!(
        explained
            .reasons
            .iter()
            .any(|reason| reason.starts_with("bad: "))
    );
    let stack = world
        .client
        .explain(&web(), None, Read::default())
        .await
        .unwrap();
    assert!(
        stack.reasons.iter().any(|reason| reason.contains("bad")),
        "{stack:?}"
    );
    let unknown = world
        .client
        .explain(&web(), Some("nobody"), Read::default())
        .await;
    assert!(matches!(unknown, Err(Error::NotFound(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_every_event_once_however_it_is_split() {
    let world = World::new().await;
    world.converged("web", &values(50)).await;
    let listed = world
        .client
        .list_events(&web(), None, Read::default())
        .all()
        .await
        .unwrap();
    let listed: Vec<(u64, u32)> = listed
        .iter()
        .map(|event| (event.index, event.sequence))
        .collect();
    assert!(listed.len() > 50 && listed.is_sorted());

    let mut watch = world.client.watch(&web(), From::Oldest, false);
    let mut seen = Vec::new();
    while seen.len() < 20 {
        if let Some(WatchItem::Event(event)) = watch.next().await.unwrap() {
            seen.push((event.index, event.sequence));
        }
    }
    let cursor = watch.cursor().unwrap();
    drop(watch);
    let mut watch = world.client.watch(&web(), From::After(cursor), false);
    while seen.len() < listed.len() {
        if let Some(WatchItem::Event(event)) = watch.next().await.unwrap() {
            seen.push((event.index, event.sequence));
        }
    }
    assert_eq!(seen, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_now_on_sees_what_comes_and_ends_with_the_stack() {
    let world = World::new().await;
    world.converged("web", &values(1)).await;
    let mut watch = world.client.watch(&web(), From::Now, true);
    while watch.cursor().is_none() {
        watch.next().await.unwrap();
    }
    let deleted = world
        .client
        .delete_stack(&service::id(), &web(), None)
        .await
        .unwrap();
    let mut kinds = Vec::new();
    let mut last = String::new();
    while let Some(item) = watch.next().await.unwrap() {
        match item {
            WatchItem::Event(event) => {
                assert!(event.index >= deleted.index, "only what comes after");
                kinds.push(event.kind);
            }
            WatchItem::Stack { stack, .. } => last = stack.status,
            WatchItem::Progress(_) => {}
        }
    }
    assert_eq!(kinds.last().unwrap(), "deleted");
    assert_eq!(last, "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_one_says_who_it_is_and_what_it_can_do() {
    let world = World::new().await;
    let members = world.client.members(false).await.unwrap();
    assert_eq!(members.members.len(), 1);
    assert_eq!(members.members[0].role, "leader");
    assert_eq!(members.members[0].address, world.member.address());
    world.converged("web", &values(3)).await;
    let status = world.client.cluster_status(false).await.unwrap();
    assert_eq!((status.stacks, status.resources, status.voters), (1, 3, 1));
    assert!(status.healthy);
    let engines = world.client.engines(false).await.unwrap();
    assert_eq!(engines[0].lease, "live");
    let types = world
        .client
        .provider_types(Some("Anneal::File"))
        .await
        .unwrap();
    assert!(types[0].schema_json.contains("content"));
    let unknown = world.client.provider_types(Some("Anneal::Fille")).await;
    let Err(Error::NotFound(refusal)) = unknown else {
        panic!("there is none");
    };
    assert!(
        refusal.message.contains("Anneal::File?"),
        "{}",
        refusal.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_what_was_changed_by_hand() {
    let world = World::new().await;
    let path = world.path("page");
    let text = template(&format!(
        "resources:\n  page:\n    type: Anneal::File\n    properties: {{path: {}, content: one}}\n",
        path.display()
    ));
    let mut told = up("web", &text);
    told.options.drift = anneal_client::v1::DriftPolicy::Report.into();
    told.options.observe_interval_ms = Some(0);
    let reply = world.client.submit(&told).await.unwrap();
    world.converges("web", &reply).await;
    let checked = world.client.check(&service::id(), &web()).await.unwrap();
    assert_eq!((checked.read, checked.drifts.len()), (1, 0), "{checked:?}");
    std::fs::write(&path, "by hand").unwrap();
    let checked = world.client.check(&service::id(), &web()).await.unwrap();
    assert_eq!(checked.drifts[0].resource, "page");
    assert!(!checked.drifts[0].differences.is_empty());
    assert!(world.show("web").await.reason.contains("drifted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_watched_as_one_history_from_the_oldest_on() {
    let world = World::new().await;
    world.converged("first", &values(30)).await;
    world.converged("second", &values(30)).await;
    world.converged("first", &values(5)).await;
    let mut expected = Vec::new();
    for name in ["first", "second"] {
        let name = StackName::new(name);
        let events = world.client.list_events(&name, None, Read::default());
        let events = events.all().await.unwrap();
        expected.extend(
            events
                .into_iter()
                .map(|it| (it.index, it.sequence, it.stack)),
        );
    }
    expected.sort();
    let mut watch = world.client.watch_namespace("default", From::Oldest);
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        if let Some(WatchItem::Event(event)) = watch.next().await.unwrap() {
            seen.push((event.index, event.sequence, event.stack));
        }
    }
    assert_eq!(seen, expected);
    // And it goes on with a stack that did not exist when it began.
    world.converged("third", &values(1)).await;
    loop {
        if let Some(WatchItem::Event(event)) = watch.next().await.unwrap()
            && (event.stack.as_str(), event.kind.as_str()) == ("third", "converged")
        {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_history_is_forgotten_and_who_asks_for_it_is_told() {
    let world = World::with(|config| {
        config.history = anneal_node::dispatch::HistoryLimits {
            event_bytes: 2_000,
            revisions: 4,
        };
    })
    .await;
    let mut last = 0;
    for value in 0..30 {
        let text = format!(
            "resources:\n  one:\n    type: OS::Heat::Value\n    properties: {{value: {value}}}\n"
        );
        world.converged("web", &template(&text)).await;
        last = world.show("web").await.revision;
    }
    assert_eq!(last, 30);
    let client = &world.client;
    let gone = async {
        loop {
            let mut watch = client.watch(
                &web(),
                From::After(Cursor {
                    index: 2,
                    sequence: 0,
                }),
                false,
            );
            match watch.next().await {
                Err(Error::HistoryGone(_)) => return,
                _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    };
    let patience = std::time::Duration::from_secs(60);
    tokio::time::timeout(patience, gone)
        .await
        .expect("old events go");
    let back = client
        .rollback(&RequestId::fresh(), &web(), Some(1), None)
        .await;
    assert!(matches!(back, Err(Error::NotFound(_))), "{back:?}");
    let near = client
        .rollback(&RequestId::fresh(), &web(), Some(29), None)
        .await;
    assert_eq!(
        near.unwrap().revision,
        31,
        "what is kept can be gone back to"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_a_random_string_alone_is_a_secret_of_its_type_however_it_came() {
    let world = World::new().await;
    let text = "resources:\n  random: {type: OS::Heat::RandomString, properties: {length: 12}}\n  \
        copy:\n    type: OS::Heat::Value\n    properties: {value: {get_attr: [random, value]}}\n\
        outputs:\n  copy: {value: {get_attr: [copy, value]}}\n";
    let stack = world.converged("web", &template(text)).await;
    let shown = world.show("web").await;
    assert!(
        shown.outputs[0].sensitive && !shown.outputs[0].hidden,
        "{stack:?}"
    );
    let copy = ResourceName::new(web(), "copy");
    let copy = world
        .client
        .show_resource(&copy, Read::default())
        .await
        .unwrap();
    let value = copy
        .attributes
        .iter()
        .find(|it| it.name == "value")
        .unwrap();
    assert!(value.sensitive && !value.hidden, "{value:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_told_of_stacks_that_are_gone_by_the_time_it_looks() {
    let world = World::new().await;
    let empty = template("resources: {}\n");
    world.converged("before", &empty).await;
    let mut watch = world.client.watch_namespace("default", From::Now);
    while watch.cursor().is_none() {
        watch.next().await.unwrap();
    }
    // Nothing to take down: it goes in the entry that says that it shall.
    for name in ["before", "brief"] {
        if name == "brief" {
            world.up(name, &empty).await.unwrap();
        }
        let (id, name) = (service::id(), StackName::new(name));
        world.client.delete_stack(&id, &name, None).await.unwrap();
    }
    let mut gone = Vec::new();
    while gone.len() < 2 {
        if let Some(WatchItem::Event(event)) = watch.next().await.unwrap()
            && event.kind == "deleted"
        {
            gone.push(event.stack);
        }
    }
    assert_eq!(gone, ["before", "brief"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_whose_history_has_a_gap_after_the_cursor_is_told_so() {
    let world = World::new().await;
    world.converged("kept", &values(1)).await;
    let cursor = Cursor::through(world.member.replica().progress().1);
    let passing = world.converged("passing", &values(1)).await;
    let from = From::After(cursor);
    let mut watch = world.client.watch_namespace("default", from);
    assert!(watch.next().await.is_ok());
    drop(watch);

    let (id, name) = (service::id(), StackName::new("passing"));
    world.client.delete_stack(&id, &name, None).await.unwrap();
    let mut follow = world.client.follow(&name, Goal::Deleted, passing.id);
    follow.to_end(None).await.unwrap();
    let mut watch = world.client.watch_namespace("default", from);
    let refused = watch.next().await;
    assert!(matches!(refused, Err(Error::HistoryGone(_))), "{refused:?}");
    // From the oldest on is from what is kept, and another namespace has lost nothing.
    let mut watch = world.client.watch_namespace("default", From::Oldest);
    assert!(watch.next().await.is_ok());
    let mut watch = world.client.watch_namespace("other", from);
    assert!(watch.next().await.is_ok());

    let cursor = Cursor::through(world.member.replica().progress().1);
    let kept = world.converged("kept", &values(2)).await;
    let expire = CommandKind::ExpireHistory {
        stack: StackId(kept.id),
        revisions_through: Revision(0),
        events_before: world.member.replica().progress().1,
    };
    world.member.replica().propose(expire).await.unwrap();
    let mut watch = world.client.watch_namespace("default", From::After(cursor));
    let refused = watch.next().await;
    assert!(matches!(refused, Err(Error::HistoryGone(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_saw_half_of_the_entry_in_which_a_stack_went_is_told_that_the_rest_is_gone() {
    let world = World::new().await;
    world.converged("brief", &template("resources: {}\n")).await;
    let mut watch = world.client.watch_namespace("default", From::Now);
    while watch.cursor().is_none() {
        watch.next().await.unwrap();
    }
    // It goes in the entry that says that it shall, so that this one has several events.
    let (id, name) = (service::id(), StackName::new("brief"));
    world.client.delete_stack(&id, &name, None).await.unwrap();
    let mut heard = Vec::new();
    let through = loop {
        match watch.next().await.unwrap() {
            Some(WatchItem::Event(event)) => heard.push(event),
            Some(WatchItem::Progress(index)) if !heard.is_empty() => break index,
            _ => {}
        }
    };
    let gone = heard.last().unwrap();
    assert_eq!((gone.kind.as_str(), gone.index), ("deleted", through));
    assert!(gone.sequence > 0, "{heard:?}");
    let before = Cursor {
        index: gone.index,
        sequence: gone.sequence - 1,
    };
    let from = |cursor| world.client.watch_namespace("default", From::After(cursor));
    let refused = from(before).next().await;
    assert!(matches!(refused, Err(Error::HistoryGone(_))), "{refused:?}");
    world.up("later", &values(1)).await.unwrap();
    let later = from(Cursor::through(through)).next().await;
    assert!(later.is_ok(), "{later:?}");
}

/// Everything that a watch says up to an index.
async fn heard_through(
    watch: &mut anneal_client::Watch,
    index: u64,
) -> Vec<anneal_client::v1::Event> {
    let mut heard = Vec::new();
    loop {
        let item = tokio::time::timeout(service::PATIENCE, watch.next());
        match item.await.expect("in time").unwrap() {
            Some(WatchItem::Progress(through)) if through >= index => return heard,
            Some(WatchItem::Event(event)) => heard.push(event),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_read_from_the_oldest_on_though_a_stack_is_gone_since() {
    let world = World::new().await;
    let mut resources = String::from("resources:\n");
    for n in 0..1100 {
        resources.push_str(&format!("  v{n}: {{type: OS::Heat::None}}\n"));
    }
    world.converged("long", &template(&resources)).await;
    world.converged("brief", &template("resources: {}\n")).await;
    let (id, name) = (service::id(), StackName::new("brief"));
    let gone = world.client.delete_stack(&id, &name, None).await.unwrap();
    let mut watch = world.client.watch_namespace("default", From::Oldest);
    let heard = heard_through(&mut watch, gone.index).await;
    let made = heard.iter().filter(|event| event.kind == "created");
    assert_eq!(made.count(), 1100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_told_of_what_is_left_of_a_stack_that_is_gone() {
    let world = World::new().await;
    let path = world.path("file");
    let file = template(&format!(
        "resources:\n  made: {{type: Anneal::File, properties: {{path: {path:?}, content: a}}}}\n"
    ));
    world.converged("web", &file).await;
    let made = ResourceName::new(web(), "made");
    let read = Read::default();
    let made = world.client.show_resource(&made, read).await.unwrap();
    let engines = world.client.engines(false).await.unwrap();
    let late = |instance, physical_id: &str| {
        let item = ReportItem {
            instance: InstanceId(instance),
            token: Token(1),
            engine: EngineRef {
                member: engines[0].member_id,
                incarnation: engines[0].incarnation,
            },
            result: ActionResult::Done(Done {
                physical_id: Some(physical_id.into()),
                ..Done::default()
            }),
        };
        world
            .member
            .replica()
            .propose(CommandKind::Report { items: vec![item] })
    };
    // What is found beside it is an instance of its own, the next one. It is looked at, and is not there.
    let now = Cursor::through(world.member.replica().progress().1);
    late(made.instance, "/another").await.unwrap();
    let mut watch = world.client.watch(&web(), From::After(now), false);
    until(&mut watch, "gone").await;
    let reply = world
        .client
        .delete_stack(&service::id(), &web(), None)
        .await
        .unwrap();
    until(&mut watch, "deleted").await;
    // The same comes again as soon as an engine has looked: then what is left is gone too, with its history.
    for _ in 0..50 {
        let cursor = Cursor::through(world.member.replica().progress().1);
        late(made.instance + 1, "/third").await.unwrap();
        let from = From::After(cursor);
        let mut watch = world.client.watch_namespace("default", from);
        match watch.next().await {
            Err(Error::HistoryGone(_)) => {}
            Ok(Some(WatchItem::Event(event))) => {
                let told = (event.kind.as_str(), event.stack_id);
                assert_eq!(told, ("id_kept", reply.stack_id));
                return;
            }
            other => panic!("what is left of it is passed over: {other:?}"),
        }
    }
    panic!("it was never seen while it was there");
}

/// Waits for an event of a kind.
async fn until(watch: &mut anneal_client::Watch, kind: &str) {
    loop {
        let item = tokio::time::timeout(service::PATIENCE, watch.next());
        match item.await.expect("in time").unwrap() {
            Some(WatchItem::Event(event)) if event.kind == kind => return,
            Some(_) => {}
            None => panic!("it ended without {kind}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_is_shown_with_everything_that_requires_it() {
    const DEPENDENTS: usize = 10_001;
    let world = World::new().await;
    let mut resources =
        String::from("resources:\n  hub: {type: OS::Heat::Value, properties: {value: 0}}\n");
    for n in 0..DEPENDENTS {
        resources.push_str(&format!(
            "  v{n:05}: {{type: OS::Heat::Value, properties: {{value: 1}}, depends_on: hub}}\n"
        ));
    }
    world.converged("web", &template(&resources)).await;
    let read = Read::default();
    let hub = ResourceName::new(web(), "hub");
    let hub = world.client.show_resource(&hub, read).await.unwrap();
    assert_eq!(hub.required_by.len(), DEPENDENTS);
    assert!(hub.required_by.is_sorted() && hub.requires.is_empty());
    let mut pages = world.client.list_resources(&web(), read, false);
    let page = pages.next().await.unwrap().unwrap();
    assert_eq!(page[0].required_by, hub.required_by);
    assert_eq!(page[1].requires, ["hub"]);
}
