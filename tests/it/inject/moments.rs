//! `kill -9` at two hundred moments, spread over the whole of a run.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use orbit::CopyJob;

use super::tree::{MIB, age, assert_no_temporaries, assert_same_tree, noise, walk};
use crate::support::{Filesystem, Mount, Sandbox, assert_complete, run};

/// Files big and small, links of both kinds, directories.
fn source(sandbox: Sandbox) -> Sandbox {
    let mut sandbox = sandbox.dir("src/empty");
    for index in 0..150 {
        sandbox = sandbox.file(format!("src/{}/small-{index}", index % 7), &noise(index, 20 + 97 * index));
    }
    for index in 0..3 {
        sandbox =
            sandbox.file(format!("src/{index}/large-{index}"), &noise(900 + index, (9 + 4 * index) * MIB));
    }
    for index in 0..10 {
        let first = sandbox.path(format!("src/0/small-{}", index * 7));
        fs::hard_link(first, sandbox.path(format!("src/3/linked-{index}"))).unwrap();
        sandbox = sandbox.symlink("../0/small-0", format!("src/2/link-{index}"));
    }
    for path in walk(&sandbox.path("src")) {
        if fs::symlink_metadata(&path).unwrap().is_file() {
            age(&path, 30);
        }
    }
    sandbox
}

fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = walk(root).into_iter().filter(|path| fs::symlink_metadata(path).unwrap().is_file());
    files.map(|path| (path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

/// What was there before: other content, for every third file.
fn old_copy(source: &BTreeMap<PathBuf, Vec<u8>>, copy: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let replaced =
        source.keys().step_by(3).map(|path| (path.clone(), format!("old {}", path.display()).into_bytes()));
    let old: BTreeMap<_, _> = replaced.collect();
    for (path, content) in &old {
        fs::create_dir_all(copy.join(path).parent().unwrap()).unwrap();
        fs::write(copy.join(path), content).unwrap();
    }
    old
}

fn start(sandbox: &Sandbox, resume: bool) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orbit"));
    command.args(if resume { &["-qT", "--resume"][..] } else { &["-qT"] });
    command.args([sandbox.path("src"), sandbox.path("dst")]).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn killed_at_two_hundred_moments_nothing_is_lost_and_the_next_run_mends_it() {
    const MOMENTS: u32 = 200;
    let Some(mount) = Mount::new(Filesystem::Ext4, 300) else { return };
    let sandbox = source(Sandbox::on(&mount));
    let (from, to) = (sandbox.path("src"), sandbox.path("dst"));
    let new = contents(&from);
    old_copy(&new, &to);
    let began = Instant::now();
    assert!(start(&sandbox, false).wait().unwrap().success());
    let mut length = began.elapsed();
    let (mut kills, mut tries) = (0, 0);
    while kills < MOMENTS {
        tries += 1;
        assert!(tries < MOMENTS * 10, "only {kills} were killed while they worked");
        let moment = kills;
        fs::remove_dir_all(&to).unwrap();
        let old = old_copy(&new, &to);
        let resume = moment % 4 == 3;
        let mut child = start(&sandbox, resume);
        // Spread evenly, and each time in another order of what the workers happen to do.
        thread::sleep(length * moment / MOMENTS);
        let _ = child.kill();
        if child.wait().unwrap().code().is_some() {
            // It had ended; this machine is faster than it was at first.
            length = length * 95 / 100;
            continue;
        }
        kills += 1;
        let there = contents(&to);
        for (path, content) in &there {
            let Some(expected) = new.get(path) else { continue };
            let [is, was] = [to.join(path), from.join(path)].map(|path| fs::metadata(path).unwrap());
            let looks_finished =
                is.len() == was.len() && (is.mtime(), is.mtime_nsec()) == (was.mtime(), was.mtime_nsec());
            let is_old = old.get(path).is_some_and(|old| old == content);
            assert!(!looks_finished || content == expected, "moment {moment}: {} is trusted", path.display());
            assert!(
                !old.contains_key(path) || is_old || content == expected,
                "moment {moment}: {} is neither old nor new",
                path.display()
            );
        }
        assert!(old.keys().all(|path| there.contains_key(path)), "moment {moment}: an old file is gone");
        assert_complete(&run(CopyJob::new(&from, &to).resume(resume)));
        assert!(contents(&to) == new, "moment {moment}: not mended");
        assert_no_temporaries(&to);
    }
    assert_same_tree(&from, &to);
}
