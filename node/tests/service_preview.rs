//! Previews: by name, without effect, and applied exactly or not at all.

mod service;

use anneal_client::{Error, RequestId, StackName, Submission};
use service::{World, id, template, up};

fn site(content: &str, extra: &str, directory: &str) -> String {
    template(&format!(
        "resources:\n  page:\n    type: Anneal::File\n    properties: {{path: {directory}/page, content: {content}}}\n  \
         note:\n    type: OS::Heat::Value\n    properties: {{value: {{get_attr: [page, digest]}}}}\n{extra}"
    ))
}

const ALONE: &str = "  alone:\n    type: OS::Heat::Value\n    properties: {value: 1}\n";

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, action): &(&str, &str)| (name.to_string(), action.to_string());
    expected.iter().map(owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_would_happen_by_name_and_changes_nothing() {
    let world = World::new().await;
    let directory = world.path("").display().to_string();
    let first = up("web", &site("one", ALONE, &directory));
    let (summary, resources) = world.preview(&first).await;
    let expected = [("alone", "create"), ("note", "create"), ("page", "create")];
    assert_eq!(resources, pairs(&expected));
    assert_eq!((summary.create, summary.base_revision), (3, 0));
    let listed = world.client.list_stacks(None, false).all().await.unwrap();
    assert!(listed.is_empty(), "it changed nothing");

    world
        .converged("web", &site("one", ALONE, &directory))
        .await;
    let (summary, resources) = world
        .preview(&up("web", &site("one", ALONE, &directory)))
        .await;
    assert_eq!(summary.unchanged, 3, "{resources:?}");

    let (summary, resources) = world
        .preview(&up("web", &site("two", "", &directory)))
        .await;
    // What refers to the page's digest follows.
    let expected = [("alone", "delete"), ("note", "update"), ("page", "update")];
    assert_eq!(resources, pairs(&expected));
    assert_eq!(summary.base_revision, 1);
    assert_eq!(world.show("web").await.revision, 1);
    assert_eq!(std::fs::read_to_string(world.path("page")).unwrap(), "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_path_replaces_a_file_and_the_preview_says_why() {
    let world = World::new().await;
    let directory = world.path("").display().to_string();
    world.converged("web", &site("one", "", &directory)).await;
    let moved = up(
        "web",
        &site("one", "", &directory).replace("/page,", "/other,"),
    );
    let mut preview = world.client.preview(&moved).await.unwrap();
    let mut page = None;
    while let Some(resource) = preview.next().await.unwrap() {
        if resource.name == "page" {
            page = Some(resource);
        }
    }
    let page = page.unwrap();
    assert_eq!(page.action, "replace");
    assert_eq!(page.properties, ["path"]);
    assert!(page.because.contains("path"), "{}", page.because);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_applied_exactly_or_refused() {
    let world = World::new().await;
    let directory = world.path("").display().to_string();
    world.converged("web", &site("one", "", &directory)).await;
    let change = up("web", &site("two", "", &directory));
    let (summary, _) = world.preview(&change).await;
    let planned = |request_id| Submission {
        plan_id: Some(summary.plan_id.clone()),
        request_id,
        ..change.clone()
    };
    // Somebody else comes first, so that the plan is stale.
    let patch = "resources:\n  alone:\n    type: OS::Heat::Value\n    properties: {value: 1}\n";
    world.patch("web", patch).await.unwrap();
    let Err(Error::Refused(refusal)) = world.client.submit(&planned(id())).await else {
        panic!("it is stale");
    };
    assert_eq!(refusal.reason, "plan_stale");

    let (summary, _) = world.preview(&change).await;
    let fresh = Submission {
        plan_id: Some(summary.plan_id),
        request_id: id(),
        ..change.clone()
    };
    let reply = world.client.submit(&fresh).await.unwrap();
    assert_eq!(reply.revision, 3);
    let stack = world.converges("web", &reply).await;
    assert_eq!(stack.name, StackName::new("web").name);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_replace_something_protected_is_refused_and_the_preview_says_so() {
    let world = World::new().await;
    let directory = world.path("").display().to_string();
    let guarded = |path: &str, content: &str| {
        template(&format!(
            "resources:\n  page:\n    type: Anneal::File\n    protect: true\n    properties: {{path: {directory}/{path}, content: {content}}}\n"
        ))
    };
    world.converged("web", &guarded("page", "one")).await;
    world.converged("web", &guarded("page", "two")).await;

    let moved = up("web", &guarded("other", "two"));
    let mut preview = world.client.preview(&moved).await.unwrap();
    let page = preview.next().await.unwrap().unwrap();
    assert_eq!(page.action, "replace");
    assert!(page.because.contains("refused"), "{}", page.because);

    let refused = world.client.submit(&moved).await.unwrap_err();
    let Error::Refused(refusal) = refused else {
        panic!("{refused}");
    };
    assert_eq!(refusal.reason, "resource_protected");
    assert!(refusal.message.contains("page"), "{}", refusal.message);
    assert_eq!(world.show("web").await.revision, 2, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_protected_stack_is_replaced_and_it_does_not_go_back_to_nothing() {
    let world = World::new().await;
    let directory = world.path("").display().to_string();
    let mut first = up("web", &site("one", "", &directory));
    first.options.protect = Some(true);
    let reply = world.client.submit(&first).await.unwrap();
    world.converges("web", &reply).await;

    let moved = site("one", "", &directory).replace("/page,", "/other,");
    let refused = world.client.submit(&up("web", &moved)).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    let stack = StackName::new("web");
    let back = world
        .client
        .rollback(&RequestId::fresh(), &stack, Some(0), None)
        .await;
    assert!(matches!(back, Err(Error::Refused(_))), "{back:?}");
    world.converged("web", &site("two", "", &directory)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_made_is_previewed_as_made() {
    let world = World::new().await;
    let text = template(
        "resources:\n  bad:\n    type: Anneal::File\n    properties: {path: /proc/nowhere/file, content: x}\n  \
         after:\n    type: OS::Heat::Value\n    depends_on: bad\n    properties: {value: 1}\n",
    );
    let reply = world.up("web", &text).await.unwrap();
    let ended = world.ended("web", &reply).await;
    assert!(
        matches!(ended, anneal_client::Ended::Failed(_)),
        "{ended:?}"
    );
    let (_, resources) = world.preview(&up("web", &text)).await;
    let expected = [("after", "create"), ("bad", "create")];
    assert_eq!(resources, pairs(&expected));
}
