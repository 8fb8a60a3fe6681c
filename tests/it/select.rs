//! Which entries are copied: rules, ignore files, lists, sizes, times, boundaries and links.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process::Stdio,
};

use orbit::{CopyJob, FileList, FollowLinks, Rule, Selection};

use crate::support::{Filesystem, Mount, Sandbox, assert_complete, must, orbit, run, stderr};

/// Every path below a directory.
fn below(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.strip_prefix(root).unwrap().to_owned());
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            }
        }
    }
    found
}

fn paths(names: &[&str]) -> BTreeSet<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

fn project() -> Sandbox {
    let names = [
        "a.c",
        "a.o",
        "keep.o",
        "README",
        "src/b.c",
        "src/b.o",
        "src/keep.o",
        "src/deep/c.c",
        "src/deep/c.o",
        "build/out",
        "build/keep.o",
        "doc/build/x",
        "doc/a b",
        "doc/[x]",
        "tmp/t",
        "tmp/u/v",
        ".hidden",
    ];
    names.iter().fold(Sandbox::new(), |sandbox, name| sandbox.file(format!("src/{name}"), name.as_bytes()))
}

#[test]
fn rules_choose_as_those_of_rsync_do() {
    for rules in [
        &["--exclude=*.o"][..],
        &["--include=keep.o", "--exclude=*.o"],
        &["--exclude=*.o", "--include=keep.o"],
        &["--exclude=/build", "--exclude=tmp/"],
        &["--exclude=build/"],
        &["--include=*/", "--include=*.c", "--exclude=*"],
        &["--exclude=/src/deep/**"],
        &["--exclude=/src/*"],
        &["--exclude=doc/a b", "--exclude=\\[x]"],
        &["--exclude=?.c", "--exclude=.*"],
        &["--exclude=[a-c].[co]"],
        &["--exclude=*"],
    ] {
        let sandbox = project();
        let ours = orbit().args(rules).arg(sandbox.path("src")).arg(sandbox.path("ours")).output().unwrap();
        assert!(ours.status.success(), "{rules:?}: {}", stderr(&ours));
        let from = format!("{}/", sandbox.path("src").display());
        let to = format!("{}/", sandbox.path("theirs").display());
        must("rsync", &[&["-a"], rules, &[&from, &to]].concat());
        assert_eq!(below(&sandbox.path("ours")), below(&sandbox.path("theirs")), "{rules:?}");
    }
}

#[test]
fn excluded_directories_are_not_even_listed_and_what_is_left_out_is_counted() {
    let sandbox = project();
    let rules = [Rule::Exclude("src/".into()), Rule::Exclude("*.o".into())];
    let selection = Selection::default().rules(rules).unwrap();
    let report = sandbox.run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).select(selection));
    assert_complete(&report);
    assert_eq!(report.totals.excluded, 4, "src, a.o, keep.o, build/keep.o");
    assert!(!sandbox.path("dst/src").exists());
}

#[test]
fn rules_come_from_files_in_the_order_of_the_options() {
    let sandbox = project().file("rules", b"# objects\n\n*.o\n").file("wanted", b"keep.o\n");
    let [rules, wanted] = ["rules", "wanted"].map(|name| sandbox.path(name).display().to_string());
    for (first, second, keeps) in [
        (format!("--include-from={wanted}"), format!("--exclude-from={rules}"), true),
        (format!("--exclude-from={rules}"), format!("--include-from={wanted}"), false),
    ] {
        let to = sandbox.path(format!("dst-{keeps}"));
        let output = orbit().arg(first).arg(second).arg(sandbox.path("src")).arg(&to).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(to.join("keep.o").exists(), keeps);
        assert!(!to.join("a.o").exists());
    }
    for bad in ["--exclude=[a", "--exclude-from=/missing", "--files-from=/missing", "--newer-than=soon"] {
        let output = orbit().arg(bad).arg(sandbox.path("src")).arg(sandbox.path("bad")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{bad}: {}", stderr(&output));
        assert!(!sandbox.path("bad").exists());
    }
}

#[test]
fn gitignore_leaves_out_what_git_does() {
    let sandbox = project()
        .file("src/.gitignore", b"*.o\n/build\ntmp/\n!keep.o\n\\[x]\n")
        .file("src/src/.gitignore", b"deep/*.c\n!b.o\n")
        .file("src/doc/.gitignore", b"*\n!a b\n!.gitignore\n");
    let report = sandbox.run(
        CopyJob::new(sandbox.path("src"), sandbox.path("dst")).select(Selection::default().gitignore(true)),
    );
    assert_complete(&report);
    let src = sandbox.path("src").display().to_string();
    must("git", &["-C", &src, "init", "-q"]);
    let listed = must("git", &["-C", &src, "ls-files", "-z", "-o", "--exclude-standard"]);
    let theirs: BTreeSet<PathBuf> =
        listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    let ours =
        below(&sandbox.path("dst")).into_iter().filter(|path| sandbox.path("dst").join(path).is_file());
    assert_eq!(ours.collect::<BTreeSet<_>>(), theirs);
}

#[test]
fn a_list_of_names_copies_these_with_what_they_hold() {
    let sandbox = project();
    let expected = paths(&["README", "src", "src/deep", "src/deep/c.c", "src/deep/c.o", "doc", "doc/a b"]);
    for (option, list) in [
        ("--files-from", &b"README\nsrc/deep\n./doc/a b\n"[..]),
        ("--files-from0", b"README\0src/deep/\0doc/a b\0"),
    ] {
        let to = sandbox.path(format!("dst{option}"));
        let mut command = orbit();
        command.args([option, "-"]).arg(sandbox.path("src")).arg(&to);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(list).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(below(&to), expected);
    }
    // What the directories that lead there have of their own is kept as well.
    let modified = |tree: &str| fs::metadata(sandbox.path(tree)).unwrap().modified().unwrap();
    assert_eq!(modified("dst--files-from/src"), modified("src/src"));
}

#[test]
fn names_of_a_list_that_are_missing_fail_and_those_that_lead_out_are_refused() {
    let sandbox = project().file("outside", b"outside");
    let list = FileList::read(&b"README\nnowhere\nsrc/nothing\n"[..], b'\n').unwrap();
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
    let report = sandbox.run(job.select(Selection::default().files(list)));
    assert_eq!((report.totals.failed, report.totals.files_copied), (2, 1));
    assert!(report.failures.iter().all(|failure| failure.path().starts_with(sandbox.path("src"))));
    for name in ["../outside", "/etc/passwd", "src/../../outside"] {
        assert!(FileList::read(name.as_bytes(), b'\n').is_err(), "{name}");
    }
    // Nor through a link.
    symlink(sandbox.path(""), sandbox.path("src/link")).unwrap();
    let list = FileList::read(&b"link/outside"[..], b'\n').unwrap();
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("other"));
    run(job.select(Selection::default().files(list)));
    assert!(!sandbox.path("other/link/outside").exists() || sandbox.path("other/link").is_symlink());
}

#[test]
fn a_list_of_many_names_is_copied_whole() {
    let mut list = Vec::new();
    let mut sandbox = Sandbox::new();
    for number in 0..3000 {
        let name = format!("{}/{number}", number % 7);
        sandbox = sandbox.file(format!("src/{name}"), name.as_bytes());
        if number % 3 > 0 {
            list.extend(name.as_bytes());
            list.push(0);
        }
    }
    let selection = Selection::default().files(FileList::read(&list[..], 0).unwrap());
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst")).select(selection).jobs(4);
    let report = sandbox.run(job);
    assert_complete(&report);
    assert_eq!(report.totals.files_copied, 2000);
}

#[test]
fn sizes_and_times_concern_files_alone() {
    let sandbox =
        Sandbox::new().file("src/d/small", b"1").file("src/d/large", &[0; 5000]).symlink("d", "src/l");
    fs::hard_link(sandbox.path("src/d/large"), sandbox.path("src/large")).unwrap();
    for (option, kept) in [
        ("--min-size=1K", &["d", "l", "d/large", "large"][..]),
        ("--max-size=1K", &["d", "l", "d/small"]),
        ("--newer-than=1h", &["d", "l", "d/small", "d/large", "large"]),
        ("--newer-than=2999-01-01", &["d", "l"]),
    ] {
        for again in [false, true] {
            let to = sandbox.path(option);
            let output = orbit().arg(option).arg("-T").arg(sandbox.path("src")).arg(&to).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            assert_eq!(below(&to), paths(kept), "{option} {again}");
        }
    }
    let output = orbit().args(["--min-size=2K", "--max-size=1K", "a", "b"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn other_filesystems_below_the_source_are_left_empty() {
    let sandbox = Sandbox::new().file("src/a", b"a").dir("src/mounted");
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 16) else { return };
    fs::write(mount.path().join("inside"), b"inside").unwrap();
    let at = sandbox.path("src/mounted").display().to_string();
    must("mount", &["--bind", mount.path().to_str().unwrap(), &at]);
    let report = sandbox.run(
        CopyJob::new(sandbox.path("src"), sandbox.path("dst"))
            .select(Selection::default().one_file_system(true)),
    );
    must("umount", &[&at]);
    assert_complete(&report);
    assert_eq!(below(&sandbox.path("dst")), paths(&["a", "mounted"]));
}

fn linked() -> Sandbox {
    Sandbox::new()
        .file("src/dir/file", b"file")
        .file("elsewhere/inner", b"inner")
        .symlink("dir/file", "src/to-file")
        .symlink("../elsewhere", "src/to-dir")
        .symlink("src", "source")
}

fn following(sandbox: &Sandbox, from: &str, to: &str, follow: FollowLinks) -> orbit::Report {
    let job = CopyJob::new(sandbox.path(from), sandbox.path(to));
    sandbox.run(job.select(Selection::default().follow(follow)))
}

#[test]
fn links_are_followed_where_that_is_asked_for() {
    let sandbox = linked();
    assert_complete(&following(&sandbox, "source", "as-link", FollowLinks::Never));
    assert!(sandbox.path("as-link").is_symlink());
    assert_complete(&following(&sandbox, "source", "top", FollowLinks::Sources));
    assert!(!sandbox.path("top").is_symlink() && sandbox.path("top/to-file").is_symlink());
    assert_complete(&following(&sandbox, "source", "all", FollowLinks::Always));
    for name in ["to-file", "to-dir", "to-dir/inner"] {
        assert!(!sandbox.path("all").join(name).is_symlink(), "{name}");
    }
    assert_eq!(sandbox.read("all/to-file"), b"file");
    assert_eq!(sandbox.read("all/to-dir/inner"), b"inner");
    let again = following(&sandbox, "source", "all", FollowLinks::Always);
    assert_complete(&again);
    assert_eq!(again.totals.files_copied, 0, "nothing is copied twice");
}

#[test]
fn loops_and_links_to_nothing_fail_for_themselves() {
    let sandbox = linked().symlink("..", "src/dir/up").symlink("nowhere", "src/dangling");
    let report = following(&sandbox, "src", "dst", FollowLinks::Always);
    assert_eq!(report.totals.failed, 2, "{:?}", report.failures);
    let causes: Vec<_> = report.failures.iter().map(|failure| failure.cause().to_string()).collect();
    assert!(causes.iter().any(|cause| cause.contains("leads back")), "{causes:?}");
    assert_eq!(sandbox.read("dst/to-dir/inner"), b"inner");
}

#[test]
fn a_link_in_the_destination_is_never_followed_whatever_is_in_the_source() {
    let sandbox = linked().dir("dst").file("outside/canary", b"canary");
    symlink(sandbox.path("outside/canary"), sandbox.path("dst/to-file")).unwrap();
    let report = following(&sandbox, "src", "dst", FollowLinks::Always);
    assert_complete(&report);
    assert_eq!(sandbox.read("outside/canary"), b"canary");
    assert!(!sandbox.path("dst/to-file").is_symlink());
}

#[test]
fn names_that_are_no_text_can_be_chosen() {
    let odd = OsStr::from_bytes(b"odd\xff.o");
    let sandbox = Sandbox::new().file(Path::new("src").join(odd), b"odd").file("src/a", b"a");
    let rules = [Rule::Exclude("*.o".into())];
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
    assert_complete(&sandbox.run(job.select(Selection::default().rules(rules).unwrap())));
    assert_eq!(below(&sandbox.path("dst")), paths(&["a"]));
    let list = FileList::read(odd.as_bytes(), b'\n').unwrap();
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("listed"));
    assert_complete(&sandbox.run(job.select(Selection::default().files(list))));
    assert_eq!(below(&sandbox.path("listed")), BTreeSet::from([PathBuf::from(odd)]));
}
