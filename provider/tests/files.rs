//! Files and directories, with the accidents that happen to them.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anneal_provider::{
    ActionKind, Aim, Applied, BootTime, DirectoryProvider, FailureClass, FileProvider, Made,
    Observed, PlanRequest, PlannedAction, Prior, Provider, ReadRequest, Values, Verdict,
};
use serde_json::json;
use support::{Call, Host, create, delete, done, found, look, prior, read, update, values};
use support::{told, told as told_of};

/// Reads while the properties that it was made of are known.
async fn read_knowing(
    files: &FileProvider,
    call: &Call,
    made: &Made,
    properties: &Values,
) -> Observed {
    let prior = Prior {
        properties: Some(properties),
        ..prior(made)
    };
    let request = ReadRequest {
        type_name: FILE,
        prior,
        aim: None,
    };
    files.read(&call.ctx, request).await.unwrap()
}

const FILE: &str = "Anneal::File";
const DIRECTORY: &str = "Anneal::Directory";

#[tokio::test]
async fn a_file_is_made_changed_and_deleted() {
    let (host, files) = (Host::new(), FileProvider::default());
    let call = host.call("1", 10);
    let path = host.path("motd");
    let made = done(
        create(
            &files,
            &call,
            FILE,
            &values(json!({"path": path, "content": "hello", "mode": "0600"})),
        )
        .await,
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(made.physical_id, path);
    assert_eq!(made.attributes["path"], json!(path));
    let digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(made.attributes["digest"], json!(digest));

    let made = done(
        update(
            &files,
            &call,
            FILE,
            &made,
            &values(json!({"path": path, "content": "bye"})),
        )
        .await,
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "bye");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o644
    );

    assert_eq!(
        delete(&files, &call, FILE, &made).await.unwrap(),
        Applied::Deleted
    );
    assert_eq!(
        delete(&files, &call, FILE, &made).await.unwrap(),
        Applied::Gone
    );
    let (left, none) = (host.entries(), Vec::<String>::new());
    assert_eq!(left, none);
    let records = fs::read_dir(host.path("host/files")).unwrap().count();
    assert_eq!(records, 0, "what is gone has no record");
}

#[tokio::test]
async fn somebody_elses_file_is_a_conflict_and_stays_as_it_is() {
    let (host, files) = (Host::new(), FileProvider::default());
    let path = host.path("theirs");
    fs::write(&path, "theirs").unwrap();
    let wanted = values(json!({"path": path, "content": "ours"}));
    let Applied::Conflict {
        physical_id,
        message,
    } = create(&files, &host.call("1", 1), FILE, &wanted)
        .await
        .unwrap()
    else {
        panic!("a conflict expected")
    };
    assert_eq!(physical_id, path);
    assert!(message.contains("overwrite"), "{message}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");

    let mut wanted = wanted;
    wanted.insert("overwrite".to_owned(), json!(true));
    let made = done(create(&files, &host.call("1", 2), FILE, &wanted).await);
    assert_eq!(fs::read_to_string(&path).unwrap(), "ours");

    // Another instance neither takes it nor deletes it.
    let other = values(json!({"path": path, "content": "other"}));
    assert!(matches!(
        create(&files, &host.call("2", 3), FILE, &other)
            .await
            .unwrap(),
        Applied::Conflict { .. }
    ));
    assert_eq!(
        delete(&files, &host.call("2", 3), FILE, &made)
            .await
            .unwrap(),
        Applied::Gone
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
}

#[tokio::test]
async fn a_lost_create_is_found_again_by_its_mark_and_repeated_without_harm() {
    let (host, files) = (Host::new(), FileProvider::default());
    let path = host.path("config");
    let wanted = values(json!({"path": path, "content": "v1"}));
    let aim = Aim::new(ActionKind::Create, Some(&wanted));
    assert_eq!(
        look(&files, &host.call("1", 1), FILE, aim).await,
        Observed::absent()
    );

    done(create(&files, &host.call("1", 1), FILE, &wanted).await);
    // Its report was lost. Another engine looks, under a larger token.
    let seen = found(look(&files, &host.call("1", 2), FILE, aim).await);
    assert!(seen.as_aimed, "{:?}", told(&seen));
    assert_eq!(seen.made.physical_id, path);
    // Meanwhile something else is wanted: it is there, but otherwise.
    let newer = values(json!({"path": path, "content": "v2"}));
    let aim = Aim::new(ActionKind::Create, Some(&newer));
    assert!(!found(look(&files, &host.call("1", 3), FILE, aim).await).as_aimed);
    done(create(&files, &host.call("1", 4), FILE, &newer).await);
    assert_eq!(fs::read_to_string(&path).unwrap(), "v2");
    assert_eq!(
        look(&files, &host.call("2", 5), FILE, aim).await,
        Observed::absent()
    );
}

#[tokio::test]
async fn an_edit_by_hand_is_seen_property_by_property_and_healed() {
    let (host, files) = (Host::new(), FileProvider::default());
    let (call, path) = (host.call("1", 1), host.path("page"));
    let wanted = values(json!({"path": path, "content": "right", "mode": "0640"}));
    let made = done(create(&files, &call, FILE, &wanted).await);
    assert!(found(read(&files, &call, FILE, &made).await).as_aimed);

    // An editor that writes a new file and renames it into place: the mark is lost too.
    fs::write(host.path("page.new"), "wrong").unwrap();
    fs::set_permissions(host.path("page.new"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::rename(host.path("page.new"), &path).unwrap();
    let seen = found(read(&files, &call, FILE, &made).await);
    let told = told_of(&seen).join("\n");
    assert!(
        told.contains("content: \"sha256:") && !told.contains("wrong"),
        "{told}"
    );
    assert!(told.contains("mode: \"0640\" is \"0666\""), "{told}");
    assert!(
        told.contains("owner: \"cluster-1\" is \"nobody\""),
        "{told}"
    );
    assert_eq!(seen.made.private, made.private);
    // Where its properties are known, both contents are shown; whether they may be seen is not decided here.
    let seen = found(read_knowing(&files, &call, &made, &wanted).await);
    assert_eq!(told_of(&seen)[0], "content: \"right\" is \"wrong\"");

    // While it is not ours it is not deleted.
    assert_eq!(
        delete(&files, &call, FILE, &made).await.unwrap(),
        Applied::Gone
    );
    let made = done(update(&files, &call, FILE, &made, &wanted).await);
    assert!(found(read(&files, &call, FILE, &made).await).as_aimed);
    assert_eq!(fs::read_to_string(&path).unwrap(), "right");

    fs::remove_file(&path).unwrap();
    assert_eq!(read(&files, &call, FILE, &made).await, Observed::absent());
    assert_eq!(
        update(&files, &call, FILE, &made, &wanted).await.unwrap(),
        Applied::Gone
    );
}

#[tokio::test]
async fn another_path_is_another_file() {
    let (host, files) = (Host::new(), FileProvider::default());
    let call = host.call("1", 1);
    let made = done(
        create(
            &files,
            &call,
            FILE,
            &values(json!({"path": host.path("a"), "content": "x"})),
        )
        .await,
    );
    let moved = values(json!({"path": host.path("b"), "content": "x"}));
    let applied = update(&files, &call, FILE, &made, &moved).await.unwrap();
    assert!(
        matches!(&applied, Applied::NeedsReplace { because } if because[0].to_string() == "path"),
        "{applied:?}"
    );
    assert!(!fs::exists(host.path("b")).unwrap());

    let plan = async |properties| {
        let request = PlanRequest {
            type_name: FILE,
            prior: Some(prior(&made)),
            properties,
            unknown: &[],
        };
        files.plan(request).await.unwrap().action
    };
    assert!(matches!(plan(&moved).await, PlannedAction::Replace { .. }));
    let same = values(json!({"path": host.path("a"), "content": "x", "mode": "644"}));
    assert_eq!(plan(&same).await, PlannedAction::Nothing);
    let other = values(json!({"path": host.path("a"), "content": "y"}));
    assert!(
        matches!(plan(&other).await, PlannedAction::Update { changed } if changed[0].to_string() == "content")
    );
}

#[tokio::test]
async fn a_call_whose_lease_is_over_changes_nothing() {
    let (host, files) = (Host::new(), FileProvider::default());
    let (call, path) = (host.call("1", 1), host.path("late"));
    call.lease.send(BootTime::now()).unwrap();
    let failure = create(
        &files,
        &call,
        FILE,
        &values(json!({"path": path, "content": "x"})),
    )
    .await
    .unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Aborted, Verdict::NothingDone)
    );
    assert!(host.entries().is_empty() && !fs::exists(host.path("host")).unwrap());
}

#[tokio::test]
async fn what_cannot_be_written_is_told_in_words() {
    let (host, files) = (Host::new(), FileProvider::default());
    let call = host.call("1", 1);
    let path = host.path("no/such/file");
    let failure = create(
        &files,
        &call,
        FILE,
        &values(json!({"path": path, "content": "x"})),
    )
    .await
    .unwrap_err();
    assert!(
        failure.message.contains("its directory does not exist"),
        "{failure}"
    );
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Permanent, Verdict::NothingDone)
    );

    let wrong = values(json!({"path": host.path("x"), "mode": "rw", "contents": "x"}));
    let found = files.validate(FILE, &wrong, &[]).await;
    let said: Vec<String> = found
        .iter()
        .map(|one| format!("{}: {}", one.path, one.message))
        .collect();
    assert_eq!(
        said,
        [
            "mode: an octal mode such as \"0644\" expected, but it is a string",
            "contents: unknown property `contents`; did you mean `content`?"
        ]
    );
}

#[tokio::test]
async fn a_directory_is_deleted_only_when_empty_unless_forced() {
    let (host, directories) = (Host::new(), DirectoryProvider::default());
    let (call, path) = (host.call("1", 1), host.path("site"));
    let plain = values(json!({"path": path, "mode": "0750"}));
    let made = done(create(&directories, &call, DIRECTORY, &plain).await);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o750
    );
    assert_eq!(made.attributes["path"], json!(path));
    assert!(found(read(&directories, &call, DIRECTORY, &made).await).as_aimed);

    fs::create_dir(format!("{path}/inner")).unwrap();
    fs::write(format!("{path}/inner/page"), "x").unwrap();
    let failure = delete(&directories, &call, DIRECTORY, &made)
        .await
        .unwrap_err();
    assert!(
        failure.message.contains("not empty (inner is in it)"),
        "{failure}"
    );
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Transient, Verdict::NothingDone)
    );

    let forced = values(json!({"path": path, "mode": "0750", "force": true}));
    let made = done(update(&directories, &call, DIRECTORY, &made, &forced).await);
    assert_eq!(
        delete(&directories, &call, DIRECTORY, &made).await.unwrap(),
        Applied::Deleted
    );
    assert!(!fs::exists(&path).unwrap());
    assert_eq!(
        delete(&directories, &call, DIRECTORY, &made).await.unwrap(),
        Applied::Gone
    );
}

#[tokio::test]
async fn somebody_elses_directory_is_a_conflict_and_is_never_deleted() {
    let (host, directories) = (Host::new(), DirectoryProvider::default());
    let path = host.path("theirs");
    fs::create_dir(&path).unwrap();
    let wanted = values(json!({"path": path, "force": true}));
    let applied = create(&directories, &host.call("1", 1), DIRECTORY, &wanted)
        .await
        .unwrap();
    assert!(matches!(applied, Applied::Conflict { .. }), "{applied:?}");

    // The same path is taken by an instance, removed by hand, and made by somebody else.
    fs::remove_dir(&path).unwrap();
    let made = done(create(&directories, &host.call("1", 2), DIRECTORY, &wanted).await);
    fs::remove_dir(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(
        delete(&directories, &host.call("1", 3), DIRECTORY, &made)
            .await
            .unwrap(),
        Applied::Gone
    );
    assert!(fs::exists(&path).unwrap());
}

#[tokio::test]
async fn a_lost_create_of_a_directory_is_found_again() {
    let (host, directories) = (Host::new(), DirectoryProvider::default());
    let path = host.path("site");
    let wanted = values(json!({"path": path}));
    done(create(&directories, &host.call("1", 1), DIRECTORY, &wanted).await);
    let aim = Aim::new(ActionKind::Create, Some(&wanted));
    assert!(found(look(&directories, &host.call("1", 2), DIRECTORY, aim).await).as_aimed);
    done(create(&directories, &host.call("1", 3), DIRECTORY, &wanted).await);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let seen = found(look(&directories, &host.call("1", 4), DIRECTORY, aim).await);
    assert_eq!(told(&seen), ["mode: \"0755\" is \"0700\""]);
}

#[tokio::test]
async fn a_lost_create_is_found_also_by_one_who_does_not_know_where_it_was_to_be() {
    let (host, files) = (Host::new(), FileProvider::default());
    let path = host.path("config");
    // What it was made of has changed since, so that nobody can say any more what its properties were.
    let aim = Aim::new(ActionKind::Create, None);
    assert_eq!(
        look(&files, &host.call("1", 1), FILE, aim).await,
        Observed::absent()
    );
    let wanted = values(json!({"path": path, "content": "v1"}));
    done(create(&files, &host.call("1", 2), FILE, &wanted).await);
    let seen = found(look(&files, &host.call("1", 3), FILE, aim).await);
    assert_eq!(
        (seen.as_aimed, seen.made.physical_id.as_str()),
        (false, &*path)
    );
    assert_eq!(
        look(&files, &host.call("2", 4), FILE, aim).await,
        Observed::absent()
    );
}

#[tokio::test]
async fn of_a_large_or_binary_file_only_the_place_that_differs_is_shown() {
    let (host, files) = (Host::new(), FileProvider::default());
    let (call, path) = (host.call("1", 1), host.path("large"));
    let content = "0123456789".repeat(20_000);
    let wanted = values(json!({"path": path, "content": content}));
    let made = done(create(&files, &call, FILE, &wanted).await);
    let shown = async || {
        let seen = found(read_knowing(&files, &call, &made, &wanted).await);
        let one = &seen.differences[0];
        assert_eq!(one.path.to_string(), "content");
        [&one.desired, &one.found].map(|value| value.as_str().unwrap().to_owned())
    };

    let mut edited = content.clone();
    edited.replace_range(150_005..150_006, "X");
    fs::write(&path, &edited).unwrap();
    let [desired, there] = shown().await;
    assert!(
        desired.starts_with("…9012345678901234") || desired.starts_with("…90123456789012345"),
        "{desired}"
    );
    assert!(there.contains("01234X6789"), "{there}");
    assert!(
        there.ends_with("(200000 bytes, differs from byte 150005 on)"),
        "{there}"
    );
    fs::write(&path, &content[..100_000]).unwrap();
    let [_, there] = shown().await;
    assert!(
        there.ends_with("(100000 bytes, differs from byte 100000 on)"),
        "{there}"
    );
    fs::write(&path, b"\x7fELF\0\0").unwrap();
    let [desired, there] = shown().await;
    assert!(
        desired.starts_with("sha256:") && there.starts_with("sha256:"),
        "{there}"
    );
}

#[tokio::test]
async fn a_link_in_its_place_is_neither_followed_nor_written_through() {
    let (host, files) = (Host::new(), FileProvider::default());
    let (call, path) = (host.call("1", 1), host.path("page"));
    let wanted = values(json!({"path": path, "content": "right", "mode": "0600"}));
    let made = done(create(&files, &call, FILE, &wanted).await);
    fs::write(host.path("theirs"), "right").unwrap();
    let theirs = fs::Permissions::from_mode(0o644);
    fs::set_permissions(host.path("theirs"), theirs.clone()).unwrap();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(host.path("theirs"), &path).unwrap();

    let seen = found(read(&files, &call, FILE, &made).await);
    assert_eq!(told(&seen), [": \"file\" is \"a symbolic link\""]);
    assert_eq!(
        delete(&files, &call, FILE, &made).await.unwrap(),
        Applied::Gone
    );
    let made = done(update(&files, &call, FILE, &made, &wanted).await);
    assert!(found(read(&files, &call, FILE, &made).await).as_aimed);
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(
        fs::metadata(host.path("theirs"))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777,
        0o644
    );
}

#[tokio::test]
async fn a_forced_deletion_stays_within_its_directory_and_ends_with_the_lease() {
    let (host, directories) = (Host::new(), DirectoryProvider::default());
    let (call, path) = (host.call("1", 1), host.path("site"));
    let forced = values(json!({"path": path, "force": true}));
    let made = done(create(&directories, &call, DIRECTORY, &forced).await);
    fs::create_dir_all(host.path("outside/inner")).unwrap();
    fs::create_dir_all(format!("{path}/a/b/c")).unwrap();
    fs::write(format!("{path}/a/b/page"), "x").unwrap();
    std::os::unix::fs::symlink(host.path("outside"), format!("{path}/a/link")).unwrap();

    call.lease.send(BootTime::now()).unwrap();
    let failure = delete(&directories, &call, DIRECTORY, &made)
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Aborted);
    assert!(fs::exists(format!("{path}/a/b/page")).unwrap());
    assert_eq!(
        delete(&directories, &host.call("1", 2), DIRECTORY, &made)
            .await
            .unwrap(),
        Applied::Deleted
    );
    assert!(fs::exists(host.path("outside/inner")).unwrap());
}
