//! Dry runs: what they say is what the run does, and they touch nothing.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use futures::StreamExt;
use orbit::{Compare, CopyJob, Engine, Event, Report};
use proptest::prelude::*;

use crate::{
    mirror::{mirror, with_extras},
    support::{Sandbox, has_program, must, orbit, stderr},
};

/// The entries of a run's events.
pub fn events(job: CopyJob) -> (BTreeSet<(PathBuf, String)>, Report) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut run = Engine::new().unwrap().start(job);
        let mut told = BTreeSet::new();
        while let Some(event) = run.next().await {
            if let Event::Entry { path, kind, done, differs, .. } = event {
                told.insert((path, format!("{kind:?} {done:?} {differs:?}")));
            }
        }
        (told, run.finish().await.unwrap())
    })
}

#[derive(Clone, Debug)]
pub enum Thing {
    File(u8),
    Symlink(u8),
    Directory,
}

pub fn things() -> impl Strategy<Value = Vec<(String, Thing)>> {
    let name = "[abc](/[abc]){0,2}";
    let thing = prop_oneof![
        (0..3_u8).prop_map(Thing::File),
        (0..2_u8).prop_map(Thing::Symlink),
        Just(Thing::Directory)
    ];
    prop::collection::vec((name, thing), 0..12)
}

pub fn make(root: &Path, things: &[(String, Thing)]) {
    fs::create_dir_all(root).unwrap();
    for (name, thing) in things {
        let path = root.join(name);
        let parent = path.parent().unwrap();
        if path.symlink_metadata().is_ok() || fs::create_dir_all(parent).is_err() {
            continue;
        }
        match thing {
            Thing::File(content) => {
                fs::write(&path, [*content; 3]).unwrap();
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + u64::from(*content / 2));
                fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            }
            Thing::Symlink(target) => symlink(format!("t{target}"), &path).unwrap(),
            Thing::Directory => fs::create_dir(&path).unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_dry_run_knows_what_sources_of_one_name_have_in_common(
        first in things(),
        second in things(),
        third in things(),
        copy in prop::option::of(things()),
    ) {
        let sandbox = Sandbox::new().dir("dst");
        let sources = ["one/x", "two/x", "three/x"].map(|path| sandbox.path(path));
        for (source, things) in sources.iter().zip([first, second, third]) {
            make(source, &things);
        }
        copy.iter().for_each(|things| make(&sandbox.path("dst/x"), things));
        let job = CopyJob::into_directory(sources, sandbox.path("dst")).jobs(1);
        let (told, dry) = events(job.clone().dry_run(true));
        let (done, real) = events(job);
        prop_assert_eq!(told, done);
        prop_assert_eq!(dry.totals.failed, real.totals.failed);
        let causes = |report: &Report| {
            let causes = report.failures.iter().map(ToString::to_string);
            causes.collect::<BTreeSet<_>>()
        };
        prop_assert_eq!(causes(&dry), causes(&real));
        prop_assert_eq!(dry.totals.files_copied, real.totals.files_copied);
        prop_assert_eq!(dry.totals.bytes_copied, real.totals.bytes_copied);
        prop_assert_eq!(dry.totals.directories_created, real.totals.directories_created);
    }

    #[test]
    fn a_dry_run_says_exactly_what_the_run_does(source in things(), copy in things(), content: bool) {
        let sandbox = Sandbox::new();
        make(&sandbox.path("src"), &source);
        make(&sandbox.path("dst"), &copy);
        let compare = if content { Compare::Content } else { Compare::Times };
        let job = mirror(&sandbox).compare(compare).jobs(1);
        let (told, dry) = events(job.clone().dry_run(true));
        let (done, real) = events(job);
        prop_assert_eq!(told, done);
        prop_assert_eq!(dry.totals.deleted, real.totals.deleted);
        prop_assert_eq!(dry.totals.failed, real.totals.failed);
        prop_assert_eq!(dry.totals.files_copied, real.totals.files_copied);
        prop_assert_eq!(dry.totals.bytes_copied, real.totals.bytes_copied);
    }
}

#[test]
fn a_dry_run_changes_nothing_and_needs_no_destination() {
    let sandbox = with_extras().file("src/large", &vec![1; 10 << 20]);
    fs::hard_link(sandbox.path("src/a"), sandbox.path("src/d/linked")).unwrap();
    let state = |root: &Path| {
        let output = must("find", &[root.to_str().unwrap(), "-printf", "%p %y %s %T@ %C@ %m %l\\n"]);
        output.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let before = state(&sandbox.path(""));
    let output = orbit()
        .args(["-n", "--delete", "-T"])
        .args([sandbox.path("src"), sandbox.path("dst")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in ["create file", "delete directory", "link file", "dry run, nothing was done"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(before, state(&sandbox.path("")));
    let output =
        orbit().args(["-n", "-T"]).args([sandbox.path("src"), sandbox.path("not-there")]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!sandbox.path("not-there").exists());
    if !has_program("strace") {
        return;
    }
    let log = sandbox.path("log");
    let traced = Command::new("strace")
        .args(["-f", "-e", "trace=%file,%desc", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_orbit"))
        .args(["-n", "-q", "--delete", "--checksum", "-T"])
        .args([sandbox.path("src"), sandbox.path("dst")])
        .status()
        .unwrap();
    assert!(traced.success());
    let calls = fs::read_to_string(&log).unwrap();
    let mutating = [
        "mkdir",
        "unlink",
        "rename",
        "O_CREAT",
        "O_TMPFILE",
        "O_RDWR",
        "O_WRONLY",
        "chmod",
        "chown",
        "utime",
        "link(",
        "linkat(",
        "symlink",
        "mknod",
        "setxattr",
        "removexattr",
        "truncate",
        "fallocate",
        "pwrite",
        "copy_file_range",
        "FICLONE",
    ];
    let bad: Vec<_> = calls
        .lines()
        .filter(|line| mutating.iter().any(|call| line.contains(call)) && !line.contains("readlink"))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// What the command says with these options, its status, and its lines of standard error.
fn said(sandbox: &Sandbox, options: &[&str]) -> (BTreeSet<String>, Option<i32>, Vec<String>) {
    let mut command = orbit();
    command.args(options).args(["-i", "--json", "-j1", "-T", "src", "dst"]);
    let output = command.current_dir(sandbox.path("")).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let (entries, _report) = text.trim_end().rsplit_once('\n').unwrap();
    let lines: Vec<_> = entries.lines().map(str::to_owned).collect();
    let unique: BTreeSet<_> = lines.iter().cloned().collect();
    assert_eq!(unique.len(), lines.len(), "each entry is told of once: {lines:#?}");
    (unique, output.status.code(), stderr(&output).lines().map(str::to_owned).collect())
}

#[test]
fn deleting_before_tells_of_each_entry_and_failure_once() {
    let sandbox = with_extras().file("src/itself", b"");
    fs::hard_link(sandbox.path("src/itself"), sandbox.path("dst/itself")).unwrap();
    let dry = said(&sandbox, &["-n", "--delete=before", "--ignore-errors"]);
    let real = said(&sandbox, &["--delete=before", "--ignore-errors"]);
    assert_eq!(dry, real);
    let (entries, status, failures) = real;
    assert_eq!((status, failures.len()), (Some(1), 2), "a failure and a warning: {failures:?}");
    assert!(entries.iter().all(|entry| !entry.contains("skipped")), "{entries:#?}");
    assert_eq!(entries.iter().filter(|entry| entry.contains("deleted")).count(), 9, "{entries:#?}");
    assert!(!sandbox.path("dst/gone").exists() && sandbox.path("dst/d/b").exists());
}

#[test]
fn a_part_that_may_be_deleted_is_one_of_what_the_copy_had() {
    for when in ["--delete", "--delete=before"] {
        let sandbox = (0..20)
            .fold(Sandbox::new().file("dst/a", b"").file("dst/b", b""), |sandbox, number| {
                sandbox.file(format!("src/{number}"), b"")
            });
        let options = [when, "--max-delete=50%"];
        let dry = said(&sandbox, &[&["-n"], &options[..]].concat());
        let real = said(&sandbox, &options);
        assert_eq!(dry, real);
        assert!(real.2[0].contains("2 of 2 entries would be deleted"), "{:?}", real.2);
        assert!(sandbox.path("dst/a").exists() && sandbox.path("dst/b").exists());
    }
}

#[test]
fn what_lies_beside_the_copies_is_none_of_what_they_had() {
    let sandbox =
        Sandbox::new().file("one/x", b"").file("two", b"").file("dst/one/extra", b"").file("dst/two", b"");
    let sandbox = (0..30).fold(sandbox, |sandbox, number| sandbox.file(format!("dst/{number}"), b""));
    let output = orbit()
        .args(["--delete", "--max-delete=50%", "-j1", "-t", "dst", "two", "one"])
        .current_dir(sandbox.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("1 of 1 entries would be deleted"), "{}", stderr(&output));
}

#[test]
fn files_that_get_the_name_of_something_else_are_told_of() {
    let make =
        || Sandbox::new().file("src/a", b"1").file("src/a.zst/b", b"2").file("src/c/d", b"3").dir("dst");
    for options in [&["--compress"][..], &["--compress", "--existing=replace"]] {
        let sandbox = make();
        let dry = said(&sandbox, &[&["-n"], options].concat());
        let real = said(&sandbox, options);
        assert_eq!(dry, real);
        assert_eq!(dry.2, ["orbit: cannot create directory dst/a.zst: a regular file is in the way"]);
    }
}
