//! Every call that a copy makes, failing once with what it can fail with: the first, the middle and the
//! last of them; a table of what came of it.
//!
//! Whatever fails, the process ends by itself, says so in its report, leaves old files whole and nothing
//! that a later run would wrongly trust; and the next run brings everything in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    os::unix::fs::{MetadataExt, lchown},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

use nix::sys::stat::Mode;
use orbit::CopyJob;

use super::{
    traced::{Outcome, Traced, can_trace},
    tree::{KIB, MIB, age, assert_no_temporaries, is_temporary, noise, set_mode, sparse_file, walk},
};
use crate::support::{
    Sandbox,
    awkward::{DEFAULT, acl, set_xattr},
    is_root, run, skip,
    tree::{Aspect, Tree},
};

/// A way of copying the tree, and the calls that are made to fail in it, each with these errors.
struct Way {
    name: &'static str,
    told: &'static [(&'static str, &'static str)],
    /// Calls that fail always, so that others are made in their place.
    refused: &'static [(&'static str, &'static str)],
    calls: &'static [(&'static str, &'static [&'static str])],
}

const WAYS: [Way; 4] = [
    Way {
        name: "as ever",
        told: &[],
        refused: &[],
        calls: &[
            (
                "openat",
                &["EACCES", "EIO", "EMFILE", "ENFILE", "ENOENT", "ENOMEM", "ENOSPC", "ELOOP", "ESTALE"],
            ),
            ("newfstatat", &["EACCES", "EIO", "ENOMEM", "ENOENT", "ESTALE"]),
            ("getdents64", &["EIO", "ENOMEM", "ENOENT", "EINTR"]),
            ("mkdirat", &["EACCES", "EIO", "ENOSPC", "EDQUOT", "EMLINK", "EROFS"]),
            ("pread64", &["EIO", "ENOMEM", "EINTR", "EAGAIN", "ESTALE"]),
            ("pwrite64", &["EIO", "ENOSPC", "EDQUOT", "EFBIG", "EINTR", "EPERM"]),
            ("copy_file_range", &["EIO", "ENOSPC", "EDQUOT", "ENOMEM", "EINVAL", "EINTR", "EPERM", "EXDEV"]),
            ("ioctl", &["EIO", "ENOSPC", "ENOMEM", "EXDEV", "EINVAL", "EINTR"]),
            ("lseek", &["EIO", "EINVAL"]),
            ("fallocate", &["ENOSPC", "EOPNOTSUPP", "EIO", "EINTR"]),
            ("ftruncate", &["EIO", "EFBIG", "EINTR"]),
            ("fchmod", &["EIO", "EPERM", "EROFS"]),
            ("fchown", &["EIO", "EPERM", "EDQUOT"]),
            ("fchownat", &["EIO", "EPERM", "EDQUOT"]),
            ("utimensat", &["EIO", "EPERM", "EROFS"]),
            ("flistxattr", &["EIO", "ENOMEM", "EACCES", "ENOSYS"]),
            ("fgetxattr", &["EIO", "EACCES"]),
            ("fremovexattr", &["EIO", "EPERM", "EBUSY"]),
            ("llistxattr", &["EIO", "ENOMEM"]),
            ("chmod", &["EIO", "EPERM"]),
            ("openat2", &["ENOSYS", "EIO", "EAGAIN"]),
            ("close", &["EIO", "ENOSPC", "EINTR"]),
            ("fsetxattr", &["EIO", "ENOSPC", "EDQUOT", "EOPNOTSUPP", "EPERM", "ENODATA", "EROFS"]),
            ("linkat", &["EIO", "EMLINK", "ENOSPC", "EPERM"]),
            ("symlinkat", &["EIO", "ENOSPC", "EACCES"]),
            ("readlinkat", &["EIO", "ENOMEM", "EINVAL"]),
            ("mknodat", &["EIO", "ENOSPC", "EPERM"]),
            ("renameat", &["EIO", "ENOSPC", "EBUSY", "EROFS"]),
            ("unlinkat", &["EIO", "EROFS", "EBUSY"]),
            ("flock", &["EINTR", "ENOLCK", "EAGAIN"]),
            ("fstatfs", &["EIO", "ENOSYS"]),
        ],
    },
    Way {
        name: "appearing when finished",
        told: &[("existing", "newer")],
        refused: &[],
        calls: &[
            ("openat", &["EOPNOTSUPP", "EISDIR", "ENOSPC"]),
            ("linkat", &["EIO", "ENOENT", "EDQUOT"]),
            ("renameat2", &["EIO", "ENOSYS", "EINVAL"]),
        ],
    },
    Way {
        name: "by sendfile",
        told: &[("zero-copy", "force")],
        refused: &[("copy_file_range", "ENOSYS")],
        calls: &[("sendfile", &["EIO", "ENOSPC", "EINVAL", "ENOMEM", "EINTR", "EAGAIN"])],
    },
    Way {
        name: "by splice",
        told: &[("zero-copy", "force")],
        refused: &[("copy_file_range", "ENOSYS"), ("sendfile", "ENOSYS")],
        calls: &[
            ("splice", &["EIO", "ENOSPC", "EINVAL", "ENOMEM", "EINTR"]),
            ("pipe2", &["EMFILE", "ENFILE"]),
        ],
    },
];

/// The fewest injections, and distinct calls, that make the table worth its name.
const INJECTIONS_MIN: usize = 300;
const CALLS_MIN: usize = 25;

/// One of everything, over a copy that has an older version of some of it.
fn make_tree() -> Sandbox {
    let sandbox = Sandbox::new()
        .file("src/new", &noise(1, 3 * KIB))
        .file("src/dir/middling", &noise(2, 100 * KIB))
        .file("src/dir/large", &noise(3, 9 * MIB))
        .file("src/replaced", &noise(4, 2 * MIB))
        .file("src/corrected", &noise(5, 5 * KIB))
        .file("src/kept", b"kept")
        .file("src/attributes", &noise(6, KIB))
        .file("dst/replaced", b"old")
        .file("dst/corrected", &noise(5, 5 * KIB))
        .file("dst/kept", b"kept")
        .file("dst/.orbit-0123456789abcdef.tmp", b"left by a run that died")
        .dir("src/empty")
        .dir("src/merged")
        .dir("dst/merged")
        .symlink("new", "src/symlink")
        .symlink("new", "src/dir/symlink")
        .symlink("old", "dst/symlink");
    sparse_file(&sandbox.path("src/sparse"), &[0, MIB], 3 * MIB);
    set_xattr(&sandbox.path("src/attributes"), "user.note", b"kept");
    set_xattr(&sandbox.path("src/empty"), "user.note", b"kept");
    set_xattr(&sandbox.path("src/empty"), DEFAULT, &acl(7, (1234, 5), 5, 5, 0));
    set_xattr(&sandbox.path("dst/merged"), "user.extra", b"not of the source");
    set_xattr(&sandbox.path("dst/merged"), DEFAULT, &acl(7, (1234, 5), 5, 5, 0));
    set_mode(&sandbox.path("src/replaced"), 0o600);
    set_mode(&sandbox.path("src/corrected"), 0o640);
    for (name, days) in [("new", 1), ("replaced", 2), ("corrected", 3), ("kept", 4), ("sparse", 5)] {
        age(&sandbox.path("src").join(name), days);
    }
    for (name, days) in [("replaced", 1), ("corrected", 3), ("kept", 4)] {
        age(&sandbox.path("dst").join(name), days);
    }
    fs::hard_link(sandbox.path("src/new"), sandbox.path("src/dir/linked")).unwrap();
    fs::hard_link(sandbox.path("src/new"), sandbox.path("src/linked-too")).unwrap();
    for name in ["fifo", "dir/fifo"] {
        let path = sandbox.path("src").join(name);
        nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o640)).unwrap();
    }
    for name in ["new", "empty", "corrected", "symlink", "fifo"] {
        lchown(sandbox.path("src").join(name), Some(1234), Some(2345)).unwrap();
    }
    sandbox
}

/// The same tree again, which is cheaper to copy than to make.
fn again(template: &Sandbox) -> Sandbox {
    let sandbox = Sandbox::new();
    let copied = Command::new("cp").arg("-a").arg(template.path(".")).arg(sandbox.path(".")).status();
    assert!(copied.unwrap().success());
    sandbox
}

fn copy_of(sandbox: &Sandbox, way: &Way) -> Traced {
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
    let copy = way.told.iter().fold(copy, |copy, (key, value)| copy.told(key, value));
    way.refused.iter().fold(copy, |copy, (call, errno)| copy.fault(call, &format!("error={errno}")))
}

/// One call that is to fail.
#[derive(Clone)]
struct Case {
    way: usize,
    call: &'static str,
    errno: &'static str,
    /// Which call of that name, as strace counts them.
    number: usize,
    position: &'static str,
}

/// The first, the middle and the last call of each name, of those that the copy makes for its entries.
fn cases(template: &Sandbox) -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, way) in WAYS.iter().enumerate() {
        let sandbox = again(template);
        let rehearsal = copy_of(&sandbox, way).recording("%file,%desc").run();
        assert!(rehearsal.status.success(), "{}: {:?}", way.name, rehearsal.summary);
        let root = sandbox.path("").display().to_string();
        let all: BTreeSet<&str> = rehearsal.calls.iter().map(|made| &*made.name).collect();
        for (call, errnos) in way.calls {
            // Where there is no journal.
            let is_exchange = *call == "renameat" && !all.contains(call) && all.contains("renameat2");
            let call = if is_exchange { &"renameat2" } else { call };
            // What names nothing of ours is about the process; a pipe has no name.
            let is_ours =
                |line: &str| line.contains(&root) || line.contains("/proc/self/fd/") || *call == "pipe2";
            let ours = rehearsal.calls.iter().filter(|made| made.name == *call && is_ours(&made.line));
            let numbers: Vec<usize> = ours.map(|made| made.number).collect();
            assert!(!numbers.is_empty(), "{}: no call of {call}, but {all:?}", way.name);
            let places = [("first", 0), ("middle", numbers.len() / 2), ("last", numbers.len() - 1)];
            let mut taken = BTreeSet::new();
            for (position, place) in places.into_iter().filter(|(_, place)| taken.insert(*place)) {
                for errno in *errnos {
                    cases.push(Case { way: index, call, errno, number: numbers[place], position });
                }
            }
        }
    }
    cases
}

/// What came of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    /// Everything was copied all the same.
    Complete,
    /// Something could not be kept, and a warning says so.
    Warned,
    /// That entry failed, and nothing else.
    Failed,
}

/// Make one call fail, and look at what the copy is worth then and after the next run.
fn try_case(template: &Sandbox, case: &Case) -> Result<Came, String> {
    let sandbox = again(template);
    let way = &WAYS[case.way];
    let fault = format!("error={}:when={}", case.errno, case.number);
    let outcome = copy_of(&sandbox, way).fault(case.call, &fault).run();
    if outcome.injected(case.call) == 0 {
        return Err(format!("{} number {} was not made to fail", case.call, case.number));
    }
    let came = came(&outcome)?;
    are_sound(&sandbox)?;
    let (source, copy) = (sandbox.path("src"), sandbox.path("dst"));
    // What is newer there stays, and so does a leftover that another run seems to have locked.
    let is_all_replaced = way.told.iter().all(|(key, _)| *key != "existing");
    if came == Came::Complete && is_all_replaced && case.call != "flock" {
        same_trees(&source, &copy, &[])?;
    }
    let lost: &[Aspect] = if came == Came::Warned { &[Aspect::Holes] } else { &[] };
    let report = run(CopyJob::new(&source, &copy));
    if !report.is_complete() {
        return Err(format!("the next run fails: {:?}", report.failures));
    }
    same_trees(&source, &copy, lost).map_err(|why| format!("after the next run: {why}"))?;
    assert_no_temporaries(&copy);
    Ok(came)
}

fn came(outcome: &Outcome) -> Result<Came, String> {
    let summary = &outcome.summary;
    match outcome.status.code() {
        Some(0) if summary.warnings() > 0 => Ok(Came::Warned),
        Some(0) => Ok(Came::Complete),
        Some(1) if summary.total("failed") > 0 => Ok(Came::Failed),
        _ => Err(format!("it ended with {:?}: {summary:?}", outcome.status)),
    }
}

fn same_trees(source: &Path, copy: &Path, but: &[Aspect]) -> Result<(), String> {
    let ignoring = [but, &[Aspect::Atime]].concat();
    let differences = Tree::of(source).differences(&Tree::of(copy), &ignoring);
    if differences.is_empty() { Ok(()) } else { Err(format!("{differences:?}")) }
}

/// Whether everything that looks finished is, and what was replaced is the old or the new.
fn are_sound(sandbox: &Sandbox) -> Result<(), String> {
    let (source, copy) = (sandbox.path("src"), sandbox.path("dst"));
    for path in walk(&copy) {
        let meta = fs::symlink_metadata(&path).unwrap();
        let origin = source.join(path.strip_prefix(&copy).unwrap());
        if !meta.is_file() || is_temporary(&path) {
            continue;
        }
        let of_origin = fs::symlink_metadata(&origin).unwrap();
        let times = |meta: &fs::Metadata| (meta.mtime(), meta.mtime_nsec());
        if times(&meta) == times(&of_origin) && fs::read(&path).unwrap() != fs::read(&origin).unwrap() {
            return Err(format!("{} looks finished and is not", path.display()));
        }
    }
    let old_or_new = |name: &str, old: &[u8]| {
        let there = fs::read(copy.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let is_whole = there == old || there == fs::read(source.join(name)).unwrap();
        if is_whole { Ok(()) } else { Err(format!("{name} is neither the old nor the new")) }
    };
    old_or_new("replaced", b"old")?;
    old_or_new("kept", b"kept")?;
    old_or_new("corrected", &noise(5, 5 * KIB))?;
    match fs::read_link(copy.join("symlink")) {
        Ok(target) if [Path::new("old"), Path::new("new")].contains(&&*target) => Ok(()),
        other => Err(format!("symlink: {other:?}")),
    }
}

#[test]
fn whatever_call_fails_with_whatever_error_nothing_is_lost_and_the_next_run_mends_it() {
    if !is_root() {
        return skip("owners and devices need root");
    }
    if !can_trace() {
        return;
    }
    let template = make_tree();
    let cases = cases(&template);
    let calls: BTreeSet<_> = cases.iter().map(|case| case.call).collect();
    assert!(cases.len() >= INJECTIONS_MIN, "{} injections", cases.len());
    assert!(calls.len() >= CALLS_MIN, "{} calls", calls.len());
    let (left, results) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    let next = || left.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(case) = next() {
                    let tried = catch_unwind(AssertUnwindSafe(|| try_case(&template, case)));
                    let result = tried.unwrap_or_else(|_| Err("it panics, as said above".to_owned()));
                    results.lock().unwrap().push((case.clone(), result));
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    write_table(&results);
    let wrong: Vec<String> = results
        .iter()
        .filter_map(|(case, result)| {
            let Case { call, errno, position, .. } = case;
            let why = result.as_ref().err()?;
            Some(format!("{}: {call} {errno} ({position}): {why}", WAYS[case.way].name))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), results.len());
}

/// What came of the first, the middle and the last call.
type Outcomes<'a> = [Option<&'a Result<Came, String>>; 3];

/// Write the table of calls, errors and outcomes to where a reader finds it.
fn write_table(results: &[(Case, Result<Came, String>)]) {
    let mut rows: BTreeMap<(usize, &str, &str), Outcomes<'_>> = BTreeMap::new();
    for (case, result) in results {
        let place = ["first", "middle", "last"].iter().position(|position| *position == case.position);
        rows.entry((case.way, case.call, case.errno)).or_default()[place.unwrap()] = Some(result);
    }
    let mut table =
        String::from("| way | call | errno | first | middle | last |\n|---|---|---|---|---|---|\n");
    for ((way, call, errno), outcomes) in rows {
        let cells = outcomes.map(|outcome| match outcome {
            None => "",
            Some(Ok(Came::Complete)) => "complete",
            Some(Ok(Came::Warned)) => "warned",
            Some(Ok(Came::Failed)) => "failed",
            Some(Err(_)) => "WRONG",
        });
        writeln!(table, "| {} | `{call}` | {errno} | {} |", WAYS[way].name, cells.join(" | ")).unwrap();
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults.md");
    fs::write(&path, &table).unwrap();
    println!("{} injections\n{table}", results.len());
}
