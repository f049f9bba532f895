//! A member is killed at any moment, finds its disk full, or its log damaged: nothing that it acknowledged is lost, or
//! it says so and does not start.

mod cluster;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anneal_node::{Member, replica::Replica};
use anneal_provider::Registry;
use anneal_statemachine::{outcome::Outcome, view::EngineView};
use cluster::{FAKE, config, propose, register, small_log, start, until_leading, until_voters};
use rustix::process::{Pid, Signal, kill_process};

/// In the environment of the process that is killed: where its member lives.
const DIRECTORY: &str = "ANNEAL_TEST_MEMBER_DIRECTORY";
/// There, if it makes checkpoints.
const CHECKPOINTS: &str = "ANNEAL_TEST_MEMBER_CHECKPOINTS";
/// Engines that its commands are about.
const ENGINES: u64 = 40;
/// How often it is killed.
const ROUNDS: u64 = 6;

/// Not a test by itself: the process that the tests start, and that works until it is killed. It tells every command
/// that is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn member_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let mut config = config(Path::new(&directory), &[]);
    if std::env::var(CHECKPOINTS).is_ok() {
        config.replica.limits = small_log();
    }
    let member = start(config).await;
    until_leading(member.replica()).await;
    let work = async {
        let begin = value_of_newest(member.replica()) + 1;
        for value in begin.. {
            let command = register(value % ENGINES, &value.to_string());
            if !matches!(
                member.replica().propose(command).await,
                Ok(Outcome::Registered(_))
            ) {
                // It fails for good: the other branch says why.
                std::future::pending::<()>().await;
            }
            println!("acknowledged {value}");
        }
    };
    tokio::select! {
        () = work => {}
        why = member.failed() => {
            eprintln!("this member has failed: {why}");
            std::process::exit(3);
        }
    }
}

fn values(replica: &Replica) -> BTreeMap<u64, u64> {
    replica.read(|state| {
        let value = |engine: EngineView<'_>| {
            let value = engine
                .row
                .address
                .parse()
                .expect("the addresses here are numbers");
            (engine.engine.member - FAKE, value)
        };
        let fake = |engine: &EngineView<'_>| engine.engine.member >= FAKE;
        state.engines().filter(fake).map(value).collect()
    })
}

fn value_of_newest(replica: &Replica) -> u64 {
    values(replica).into_values().max().unwrap_or(0)
}

/// A process that is killed when a test is over, whatever its end.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(directory: &Path, limit_blocks: Option<u64>) -> Process {
    let this = std::env::current_exe().unwrap();
    let limit = limit_blocks.map_or("unlimited".into(), |blocks| blocks.to_string());
    let script =
        format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" member_process --exact --nocapture");
    let mut command = Command::new("sh");
    if limit_blocks.is_none() {
        command.env(CHECKPOINTS, "");
    }
    let child = command
        .args(["-c", &script, this.to_str().unwrap()])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Process(child)
}

/// Every value that the process has acknowledged until it ended, or until enough of them came and it was killed.
fn acknowledged(process: &mut Process, kill_after: Option<usize>) -> Vec<u64> {
    let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let mut values = Vec::new();
    for line in lines {
        let line = line.unwrap();
        // The test harness writes on the same line.
        let Some((_, value)) = line.rsplit_once("acknowledged ") else {
            continue;
        };
        values.push(value.parse().unwrap());
        if kill_after == Some(values.len()) {
            let pid = Pid::from_child(&process.0);
            kill_process(pid, Signal::KILL).unwrap();
        }
    }
    process.0.wait().unwrap();
    values
}

/// Everything acknowledged is there; at most the one command that was under way is there too.
fn check(replica: &Replica, last: u64) {
    let newest = value_of_newest(replica);
    assert!(
        newest == last || newest == last + 1,
        "acknowledged {last}, found {newest}"
    );
    let expected = |engine| (1..=newest).rev().find(|value| value % ENGINES == engine);
    let found = values(replica);
    for engine in 0..ENGINES {
        assert_eq!(
            found.get(&engine).copied(),
            expected(engine),
            "engine {engine}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_loses_nothing_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..ROUNDS {
        // Between two writes, in one, before and after a checkpoint: wherever it happens to be.
        let after = usize::try_from(20 + 37 * round).unwrap();
        let mut process = spawn(directory.path(), None);
        let values = acknowledged(&mut process, Some(after));
        assert!(values.len() >= after, "it ended by itself: {values:?}");
        assert!(
            values[0] == last + 1 || values[0] == last + 2,
            "{} after {last}",
            values[0]
        );
        last = *values.last().unwrap();
    }
    let member = start(config(directory.path(), &[])).await;
    until_leading(member.replica()).await;
    check(member.replica(), last);

    // Whoever gets everything from it has the same state, to the last bit of memory.
    let other = tempfile::tempdir().unwrap();
    let address = member.address().to_owned();
    let second = start(config(other.path(), &[&address])).await;
    until_voters(member.replica(), 2).await;
    let index = second.replica().linearize().await.unwrap();
    member.replica().wait_applied(index).await.unwrap();
    let memory = |member: &Member| member.replica().read(|state| format!("{state:?}"));
    assert_eq!(memory(&member), memory(&second));
    second.shutdown().await.unwrap();
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_process_with_a_clear_message_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = spawn(directory.path(), Some(2048));
    let began = Instant::now();
    let values = acknowledged(&mut process, None);
    let mut said = String::new();
    let mut stderr = process.0.stderr.take().unwrap();
    std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
    assert!(said.contains("this member has failed: "), "{said}");
    assert!(said.contains("File too large"), "{said}");
    assert!(began.elapsed() < cluster::PATIENCE);
    let last = values.last().copied().expect("it worked until then");

    let member = start(config(directory.path(), &[])).await;
    until_leading(member.replica()).await;
    check(member.replica(), last);
    member.shutdown().await.unwrap();
}

/// A directory with some decided commands, and the file that the newest of them are in.
async fn worked_in(directory: &Path) -> PathBuf {
    let member = start(config(directory, &[])).await;
    until_leading(member.replica()).await;
    for value in 1..=30 {
        propose(&[&member], register(value % ENGINES, &value.to_string())).await;
    }
    member.shutdown().await.unwrap();
    let logs = fs::read_dir(directory.join("raft")).unwrap();
    let logs = logs.map(|entry| entry.unwrap().path());
    let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.max_by_key(|path| fs::metadata(path).unwrap().len())
        .expect("RocksDB keeps a log")
}

async fn error_of_start(directory: &Path) -> String {
    let started = Member::start(config(directory, &[]), Registry::empty()).await;
    started
        .err()
        .expect("it starts on a damaged log")
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_never_ended_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let log = worked_in(directory.path()).await;
    // The head of a record of 4096 bytes, and few of them: what a crash in mid-write leaves.
    let mut torn = OpenOptions::new().append(true).open(&log).unwrap();
    torn.write_all(&[1, 2, 3, 4, 0, 16, 1, 7, 7, 7, 7, 7])
        .unwrap();
    let member = start(config(directory.path(), &[])).await;
    until_leading(member.replica()).await;
    check(member.replica(), 30);
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_end_that_is_cut_off_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let log = worked_in(directory.path()).await;
    let file = OpenOptions::new().write(true).open(&log).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length * 2 / 3).unwrap();
    let error = error_of_start(directory.path()).await;
    assert!(
        error.contains("this member has acknowledged entries up to"),
        "{error}"
    );
    assert!(
        error.contains("remove this one from the cluster"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_the_log_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let log = worked_in(directory.path()).await;
    let file = File::options().read(true).write(true).open(&log).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
    let error = error_of_start(directory.path()).await;
    assert!(error.contains("damaged"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_rows_come_back_from_the_log_or_a_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let mut small = config(directory.path(), &[]);
    small.replica.limits = small_log();
    let member = start(small).await;
    until_leading(member.replica()).await;
    for value in 1..=150 {
        propose(&[&member], register(value % ENGINES, &value.to_string())).await;
    }
    cluster::eventually("the log is purged", async || {
        (member.replica().cluster().purged_index > 50).then_some(())
    })
    .await;
    member.shutdown().await.unwrap();
    fs::remove_dir_all(directory.path().join("state")).unwrap();
    let member = start(config(directory.path(), &[])).await;
    until_leading(member.replica()).await;
    check(member.replica(), 150);
    member.shutdown().await.unwrap();
    // Without the checkpoint too, nothing can fill the gap.
    fs::remove_dir_all(directory.path().join("state")).unwrap();
    fs::remove_dir_all(directory.path().join("checkpoints")).unwrap();
    let error = error_of_start(directory.path()).await;
    assert!(error.contains("the rows end at entry 0"), "{error}");
}
