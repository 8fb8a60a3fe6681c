//! Each call that a copy makes, failing: the n-th of its name for every n until there is none, once and from
//! then on for good; of a first copy, and of a mirror over an older one.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, lchown},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::Command,
    sync::Mutex,
    thread,
};

use nix::sys::stat::Mode;
use orbit::{CopyJob, Delete, Existing, Mirror};

use super::{
    traced::{Outcome, Traced, can_trace},
    tree::{KIB, MIB, age, assert_no_temporaries, is_temporary, noise, set_mode, sparse_file, walk},
};
use crate::support::{
    Sandbox,
    awkward::{DEFAULT, acl, set_xattr},
    causes, is_root, run, skip,
    tree::{Aspect, Tree},
};

/// Calls, and with what each fails in turn.
const CALLS: &[(&str, &[&str])] = &[
    ("openat", &["EIO", "EACCES", "ENOSPC", "EMFILE"]),
    ("openat2", &["EIO", "EAGAIN"]),
    ("newfstatat", &["EIO", "ESTALE", "EACCES"]),
    ("statx", &["EIO", "ENOSYS"]),
    ("getdents64", &["EIO"]),
    ("mkdirat", &["EIO", "ENOSPC", "EPERM"]),
    ("mknodat", &["EIO", "EPERM", "ENOSPC"]),
    ("symlinkat", &["EIO", "ENOSPC"]),
    ("readlinkat", &["EIO"]),
    ("linkat", &["EIO", "EPERM", "ENOSPC"]),
    ("renameat", &["EIO", "ENOSPC"]),
    ("renameat2", &["EIO", "EINVAL"]),
    ("unlinkat", &["EIO", "EPERM"]),
    ("read", &["EIO"]),
    ("pread64", &["EIO"]),
    ("pwrite64", &["EIO", "ENOSPC", "EDQUOT"]),
    ("copy_file_range", &["EIO", "ENOSPC", "EPERM"]),
    ("ioctl", &["EIO", "ENOSPC", "EPERM"]),
    ("lseek", &["EIO"]),
    ("fallocate", &["EIO", "ENOSPC"]),
    ("ftruncate", &["EIO", "ENOSPC"]),
    ("fchmod", &["EIO", "EPERM"]),
    ("fchmodat", &["EIO", "EPERM"]),
    ("fchown", &["EIO", "EPERM"]),
    ("fchownat", &["EIO", "EPERM"]),
    ("chmod", &["EIO", "EPERM"]),
    ("utimensat", &["EIO", "EPERM"]),
    ("flistxattr", &["EIO", "ENOSYS"]),
    ("llistxattr", &["EIO", "ENOSYS"]),
    ("fgetxattr", &["EIO", "EPERM"]),
    ("lgetxattr", &["EIO", "EPERM"]),
    ("getxattr", &["EIO", "EPERM"]),
    ("fsetxattr", &["EIO", "ENOSPC", "EPERM"]),
    ("setxattr", &["EIO", "ENOSPC", "EPERM"]),
    ("lsetxattr", &["EIO", "ENOSPC", "EPERM"]),
    ("fremovexattr", &["EIO", "EPERM"]),
    ("lremovexattr", &["EIO", "EPERM"]),
    ("flock", &["EIO", "ENOLCK"]),
    ("fstatfs", &["EIO"]),
    ("statfs", &["EIO"]),
    ("fstat", &["EIO"]),
    ("fdatasync", &["EIO"]),
    ("fsync", &["EIO"]),
    ("syncfs", &["EIO"]),
    ("close", &["EIO"]),
    ("fcntl", &["EIO", "EMFILE"]),
];

/// How a tree is copied whose calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// Where nothing is.
    First,
    /// Over an older copy, deleting what the source lacks.
    Mirror,
}

/// For how long a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fails {
    Once,
    ForGood,
}

/// One of everything, and small; `dst` is an older copy, with something that the source lacks.
fn template() -> Sandbox {
    let sandbox = Sandbox::new()
        .file("src/new", &noise(1, 3 * KIB))
        .file("src/dir/middling", &noise(2, 100 * KIB))
        .file("src/dir/large", &noise(3, MIB))
        .file("src/replaced", &noise(4, MIB + KIB))
        .file("src/corrected", &noise(5, 5 * KIB))
        .file("src/kept", b"kept")
        .file("dst/replaced", b"old")
        .file("dst/corrected", &noise(5, 5 * KIB))
        .file("dst/kept", b"kept")
        .file("dst/gone/file", b"gone")
        .file("dst/gone-too", b"gone")
        .file("dst/.orbit-0123456789abcdef.tmp", b"left by a run that died")
        .dir("src/empty")
        .symlink("new", "src/symlink")
        .symlink("old", "dst/symlink");
    sparse_file(&sandbox.path("src/sparse"), &[0], 256 * KIB);
    set_xattr(&sandbox.path("src/new"), "user.note", b"kept");
    set_xattr(&sandbox.path("src/empty"), DEFAULT, &acl(7, (1234, 5), 5, 5, 0));
    set_mode(&sandbox.path("src/replaced"), 0o600);
    set_mode(&sandbox.path("src/corrected"), 0o640);
    for (name, days) in [("new", 1), ("replaced", 2), ("corrected", 3), ("kept", 4), ("sparse", 5)] {
        age(&sandbox.path("src").join(name), days);
    }
    for (name, days) in [("replaced", 1), ("corrected", 3), ("kept", 4)] {
        age(&sandbox.path("dst").join(name), days);
    }
    fs::hard_link(sandbox.path("src/new"), sandbox.path("src/dir/linked")).unwrap();
    nix::unistd::mkfifo(&sandbox.path("src/fifo"), Mode::from_bits_truncate(0o640)).unwrap();
    for name in ["new", "corrected", "symlink", "fifo"] {
        lchown(sandbox.path("src").join(name), Some(1234), Some(2345)).unwrap();
    }
    sandbox
}

/// The same tree again; of a first copy without the older one.
fn afresh(template: &Sandbox, of: Run) -> Sandbox {
    let sandbox = Sandbox::new();
    let names: &[&str] = if of == Run::First { &["src"] } else { &["src", "dst"] };
    for name in names {
        let copied = Command::new("cp").arg("-a").arg(template.path(name)).arg(sandbox.path("")).status();
        assert!(copied.unwrap().success());
    }
    sandbox
}

/// A call, and how it fails.
#[derive(Clone, Copy, Debug)]
struct Fault {
    of: Run,
    call: &'static str,
    errnos: &'static [&'static str],
    fails: Fails,
}

impl Fault {
    /// Make the n-th call fail for every n there is; how many there were, and what went wrong.
    fn try_every(self, template: &Sandbox) -> (usize, Vec<String>) {
        let mut wrong = Vec::new();
        // The first that is read is what tells the driver to begin.
        let first = if self.call == "read" { 2 } else { 1 };
        for number in first.. {
            let errno = self.errnos[number % self.errnos.len()];
            let tried = catch_unwind(AssertUnwindSafe(|| self.try_one(template, number, errno)));
            match tried.unwrap_or_else(|_| Err("it panics, as said above".to_owned())) {
                Ok(true) => {}
                Ok(false) => return (number - first, wrong),
                Err(why) => wrong
                    .push(format!("{:?} {} {errno} {:?} {number}: {why}", self.of, self.call, self.fails)),
            }
        }
        unreachable!("no copy makes calls without end")
    }

    /// Make one call fail; whether there was one.
    fn try_one(self, template: &Sandbox, number: usize, errno: &str) -> Result<bool, String> {
        let sandbox = afresh(template, self.of);
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
        let copy = if self.of == Run::Mirror { copy.told("delete", "after") } else { copy };
        let (on, copy) = match self.fails {
            Fails::ForGood => ("+", copy.told("patience", "50")),
            Fails::Once => ("", copy),
        };
        let outcome = copy.fault(self.call, &format!("error={errno}:when={number}{on}")).run();
        if outcome.injected(self.call) == 0 {
            return Ok(false);
        }
        let is_all = is_all_said_to_be_there(&outcome)?;
        if errno == "EMFILE" && self.fails == Fails::Once && (!is_all || outcome.summary.warnings() > 0) {
            return Err(format!("a descriptor was worth waiting for: {:?}", outcome.summary));
        }
        is_sound(&sandbox, self.of)?;
        if is_all && outcome.summary.warnings() == 0 && self.call != "flock" {
            equal(&sandbox, &[]).map_err(|why| format!("it says that it copied all: {why}"))?;
        }
        // Every other time one comes first that takes names for whole files.
        if number.is_multiple_of(2) {
            trusting(&sandbox)?;
        }
        let report = run(self.clean(&sandbox));
        if !report.is_complete() {
            return Err(format!("the next run fails: {:?}", causes(&report)));
        }
        // What a warning named may be lost for good: a copy is looked at again only for what it says of itself.
        let is_lost = |loss| outcome.summary.warned(loss) > 0;
        let lost: &[Aspect] = if is_lost("Xattr") || is_lost("Acl") { &[Aspect::Xattrs] } else { &[] };
        equal(&sandbox, lost).map_err(|why| format!("after the next run: {why}"))?;
        assert_no_temporaries(&sandbox.path("dst"));
        Ok(true)
    }

    fn clean(self, sandbox: &Sandbox) -> CopyJob {
        let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
        match self.of {
            Run::First => job,
            Run::Mirror => job.mirror(Mirror::default().delete(Delete::After)),
        }
    }
}

/// Whether a run says that it did all that was asked for.
fn is_all_said_to_be_there(outcome: &Outcome) -> Result<bool, String> {
    let summary = &outcome.summary;
    match outcome.status.code() {
        Some(0) => Ok(true),
        Some(1) if !summary.failures.is_empty() => Ok(false),
        _ => Err(format!("it ended with {:?}: {summary:?}", outcome.status)),
    }
}

fn equal(sandbox: &Sandbox, but: &[Aspect]) -> Result<(), String> {
    let ignoring = [but, &[Aspect::Atime]].concat();
    let (source, copy) = (Tree::of(&sandbox.path("src")), Tree::of(&sandbox.path("dst")));
    let differences = source.differences(&copy, &ignoring);
    if differences.is_empty() { Ok(()) } else { Err(format!("{differences:?}")) }
}

/// Whether everything that looks finished is, and what was replaced is the old or the new.
fn is_sound(sandbox: &Sandbox, of: Run) -> Result<(), String> {
    let (source, copy) = (sandbox.path("src"), sandbox.path("dst"));
    let is_there = copy.symlink_metadata().is_ok();
    for path in if is_there { walk(&copy) } else { Vec::new() } {
        let meta = fs::symlink_metadata(&path).unwrap();
        let origin = source.join(path.strip_prefix(&copy).unwrap());
        let Ok(of_origin) = fs::symlink_metadata(&origin) else { continue };
        if !meta.is_file() || is_temporary(&path) {
            continue;
        }
        let times = |meta: &fs::Metadata| (meta.mtime(), meta.mtime_nsec());
        if times(&meta) == times(&of_origin) && fs::read(&path).unwrap() != fs::read(&origin).unwrap() {
            return Err(format!("{} looks finished and is not", path.display()));
        }
    }
    if of == Run::First {
        return Ok(());
    }
    for (name, old) in [("replaced", &b"old"[..]), ("kept", b"kept"), ("corrected", &noise(5, 5 * KIB))] {
        let there = fs::read(copy.join(name)).map_err(|error| format!("{name}: {error}"))?;
        if there != old && there != fs::read(source.join(name)).unwrap() {
            return Err(format!("{name} is neither the old nor the new"));
        }
    }
    match fs::read_link(copy.join("symlink")) {
        Ok(target) if [Path::new("old"), Path::new("new")].contains(&&*target) => Ok(()),
        other => Err(format!("symlink: {other:?}")),
    }
}

/// Run one that leaves alone what exists: it must take nothing torn for whole, or fail.
fn trusting(sandbox: &Sandbox) -> Result<(), String> {
    let (source, copy) = (sandbox.path("src"), sandbox.path("dst"));
    let report = run(CopyJob::new(&source, &copy).existing(Existing::Skip));
    if !report.is_complete() {
        return Ok(());
    }
    for path in walk(&source).into_iter().filter(|path| path.symlink_metadata().unwrap().is_file()) {
        let name = path.strip_prefix(&source).unwrap();
        let there = fs::read(copy.join(name)).map_err(|error| format!("{}: {error}", name.display()))?;
        let is_old = there == b"old" && name == Path::new("replaced");
        if !is_old && there != fs::read(&path).unwrap() {
            return Err(format!("{} was taken for whole", name.display()));
        }
    }
    Ok(())
}

#[test]
fn every_call_failing_once_or_for_good_loses_nothing_and_the_next_run_mends_it() {
    if !is_root() {
        return skip("owners need root");
    }
    if !can_trace() {
        return;
    }
    let template = template();
    let wanted = std::env::var("ORBIT_TEST_CALLS").ok();
    let is_wanted =
        |call: &str| wanted.as_ref().is_none_or(|wanted| wanted.split(',').any(|name| name == call));
    let faults: Vec<Fault> = [Run::First, Run::Mirror]
        .into_iter()
        .flat_map(|of| [Fails::Once, Fails::ForGood].map(|fails| (of, fails)))
        .flat_map(|(of, fails)| CALLS.iter().map(move |(call, errnos)| Fault { of, call, errnos, fails }))
        .filter(|fault| is_wanted(fault.call) && super::traced::is_known(fault.call))
        .collect();
    let (left, results) = (Mutex::new(faults.iter()), Mutex::new(Vec::new()));
    let next = || left.lock().unwrap().next().copied();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(fault) = next() {
                    let (count, wrong) = fault.try_every(&template);
                    results.lock().unwrap().push((fault, count, wrong));
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    results.iter().for_each(|(fault, count, _)| *counts.entry(fault.call).or_default() += count);
    let all: usize = counts.values().sum();
    println!("{all} injections: {counts:?}");
    let wrong: Vec<_> = results.iter().flat_map(|(_, _, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{} of {all}: {wrong:#?}", wrong.len());
    assert!(wanted.is_some() || all >= 600, "{all} injections");
}
