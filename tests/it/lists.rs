//! Lists of names: each is copied, or fails.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use orbit::{CopyJob, FileList, FollowLinks, Report, Selection};

use crate::support::{Sandbox, assert_complete, causes, orbit, run, stderr};

fn tree() -> Sandbox {
    Sandbox::new()
        .file("src/a", b"a")
        .file("src/d/f", b"f")
        .file("src/d/g", b"g")
        .file("outside/f", b"outside")
        .symlink("d", "src/ld")
        .symlink("../outside", "src/out")
}

fn listed(sandbox: &Sandbox, list: &str, to: &str, follow: FollowLinks) -> Report {
    let list = FileList::read(list.as_bytes(), b'\n').unwrap();
    let selection = Selection::default().files(list).follow(follow);
    run(CopyJob::new(sandbox.path("src"), sandbox.path(to)).select(selection))
}

#[test]
fn a_name_that_leads_through_a_link_or_a_file_fails() {
    let sandbox = tree();
    for (number, (list, says)) in [
        ("ld/f\n", "a symbolic link"),
        ("ld/\n", "a symbolic link"),
        ("ld/.\n", "a symbolic link"),
        ("ld\nld/f\nld/g\n", "\"f\" and 1 more"),
        ("out/f\n", "a symbolic link"),
        ("a/x\n", "a regular file"),
        ("a/\n", "a regular file"),
        ("d\nd/nothing\n", "No such file"),
        ("d\nd/f/x\n", "a regular file"),
        (".\nnothing\n", "No such file"),
        ("d/f/x\n", "a regular file"),
    ]
    .into_iter()
    .enumerate()
    {
        let to = format!("dst-{number}");
        let report = listed(&sandbox, list, &to, FollowLinks::Never);
        assert_eq!(report.totals.failed, 1, "{list:?} {:?}", causes(&report));
        assert!(causes(&report)[0].contains(says), "{list:?} {:?}", causes(&report));
        assert!(!sandbox.path(&to).join("ld").exists() || list == ".\nnothing\n", "{list:?}");
        assert!(!sandbox.path(&to).join("out/f").exists() || list == ".\nnothing\n", "{list:?}");
    }
}

#[test]
fn what_links_lead_to_is_copied_where_they_are_followed() {
    let sandbox = tree();
    assert_complete(&listed(&sandbox, "ld/f\n", "dst", FollowLinks::Always));
    assert_eq!(sandbox.read("dst/ld/f"), b"f");
    assert!(!sandbox.path("dst/ld/g").exists() && !sandbox.path("dst/ld").is_symlink());
}

#[test]
fn names_may_be_written_in_several_ways_and_more_than_once() {
    let sandbox = tree();
    assert_complete(&listed(&sandbox, "./a\na\n\n.//a\nd/\nd/f\n././d/f\n", "dst", FollowLinks::Never));
    assert_eq!((sandbox.read("dst/a"), sandbox.read("dst/d/g")), (b"a".to_vec(), b"g".to_vec()));
    assert!(!sandbox.path("dst/ld").is_symlink());
}

/// What the command says of a list, and its exit status.
fn commanded(sandbox: &Sandbox, options: &[&str], list: &str, source: &str) -> (String, Option<i32>) {
    fs::write(sandbox.path("list"), list).unwrap();
    let _ = fs::remove_dir_all(sandbox.path("dst"));
    let output =
        orbit().current_dir(sandbox.path("")).args(options).args(["-T", source, "dst"]).output().unwrap();
    (stderr(&output), output.status.code())
}

#[test]
fn absolute_names_below_the_source_lose_what_leads_there() {
    let sandbox = tree();
    symlink(sandbox.path("src"), sandbox.path("link")).unwrap();
    let at = |name: &str| sandbox.path(name).display().to_string();
    let list = format!("{}\n{}\nd/g\n", at("src/d/f"), at("link/a"));
    for source in [&at("src"), "src", "./src/", "outside/../src", "link/"] {
        let (said, code) = commanded(&sandbox, &["--files-from", "list"], &list, source);
        assert_eq!(code, Some(0), "{source}: {said}");
        let copied = ["a", "d/f", "d/g"].map(|name| sandbox.path("dst").join(name));
        assert!(copied.iter().all(|path| path.exists()), "{source}");
        assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 2, "{source}");
    }
    for name in ["/etc/passwd", &at("outside/f"), &at("src/../outside/f"), "../outside/f", "d/../a"] {
        let (said, code) = commanded(&sandbox, &["--files-from", "list"], &format!("a\n{name}\n"), "src");
        assert_eq!(code, Some(2), "{name}: {said}");
        assert!(said.contains("name 2 of the list") && said.contains(name), "{name}: {said}");
        assert!(!sandbox.path("dst").exists());
    }
}

#[test]
fn lists_from_windows_are_told() {
    let sandbox = tree();
    let (said, code) = commanded(&sandbox, &["--files-from", "list"], "a\r\nd/f\r\n", "src");
    assert_eq!(code, Some(1));
    assert!(said.contains("2 lines of the list list end in a carriage return"), "{said}");
    fs::write(sandbox.path("src/a\r"), b"return").unwrap();
    let (said, code) = commanded(&sandbox, &["--files-from0", "list"], "a\r\0", "src");
    assert_eq!((code, sandbox.read("dst/a\r")), (Some(0), b"return".to_vec()));
    assert!(!said.contains("carriage"), "{said}");
    let (_, code) = commanded(&sandbox, &["--files-from", "list"], "\u{feff}a\n", "src");
    assert_eq!((code, Path::new(&sandbox.path("dst/a")).exists()), (Some(0), true));
}

#[test]
fn a_list_and_rules_hold_together() {
    let sandbox = tree();
    let options = ["--files-from", "list", "--exclude", "g"];
    let (said, code) = commanded(&sandbox, &options, "d\n", "src");
    assert_eq!(code, Some(0), "{said}");
    let copied: Vec<PathBuf> =
        fs::read_dir(sandbox.path("dst/d")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(copied, [sandbox.path("dst/d/f")]);
}
