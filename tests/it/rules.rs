//! Rules and ignore files, with rsync and git as judges.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
};

use orbit::{CopyJob, Report, Rule, Selection, WarningKind};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, FileFailurePersistence},
};

use crate::support::{Sandbox, assert_complete, causes, must, orbit, run, stderr};

/// The regular files below a directory.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match entry.file_type().unwrap().is_dir() {
                true => waiting.push(path),
                false => drop(found.insert(path.strip_prefix(root).unwrap().to_owned())),
            }
        }
    }
    found
}

/// The files that git would not ignore.
fn kept_by_git(sandbox: &Sandbox) -> BTreeSet<PathBuf> {
    let output = Command::new("git")
        .current_dir(sandbox.path("src"))
        .env("GIT_DIR", sandbox.path("git"))
        .env("GIT_WORK_TREE", sandbox.path("src"))
        .envs([
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("XDG_CONFIG_HOME", "/nowhere"),
        ])
        .args(["ls-files", "-z", "-o", "--exclude-standard"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect()
}

/// A copy that heeds ignore files.
fn heeding(sandbox: &Sandbox, to: &str) -> Report {
    let job = CopyJob::new(sandbox.path("src"), sandbox.path(to));
    run(job.select(Selection::default().gitignore(true)))
}

fn assert_as_git(sandbox: &Sandbox, about: &dyn std::fmt::Debug) {
    must("git", &["init", "-q", "--bare", sandbox.path("git").to_str().unwrap()]);
    assert_complete(&heeding(sandbox, "dst"));
    assert_eq!(files(&sandbox.path("dst")), kept_by_git(sandbox), "{about:?}");
}

/// Files of these names, each of which has some content.
fn tree<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Sandbox {
    let sandbox = Sandbox::new().dir("src");
    for name in names {
        let path = sandbox.path("src").join(OsStr::from_bytes(name));
        // What is a file already can hold nothing, and the other way about.
        if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.is_dir() {
            fs::write(&path, b"x").unwrap();
        }
    }
    sandbox
}

const PARTS: [&[u8]; 16] = [
    b"a", b"b", b"ab", b"foo", b"a.o", b"b.o", b".h", b"x1", b"{a}", b"a b", b"a ", b"#a", b"!a", b"a\r",
    b"\xe9x", b"a\\",
];

fn path() -> impl Strategy<Value = Vec<u8>> {
    vec(select(&PARTS[..]), 1..4).prop_map(|parts| parts.join(&b'/'))
}

/// Whatever may stand in a line of an ignore file.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => select(&PARTS[..]).prop_map(<[u8]>::to_vec),
        4 => select(vec!["*", "**", "?", "/", "[ab]", "[!a]", "[^b]", "[a-f]", "[[:alpha:]]", "[]x]", "[a", "[[:nope:]]"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        2 => select(vec!["**/", "/**", "/**/", "\\", "\\ ", " ", "***", "*.o"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    let body = vec(piece, 1..5).prop_map(|pieces| pieces.concat());
    let before = select(vec!["", "", "", "/", "!", "#", "**/"]);
    let behind = select(vec!["", "", "", "/", " ", "\r", "/ ", "\0", "/**"]);
    (before, body, behind)
        .prop_map(|(before, body, behind)| [before.as_bytes(), &body, behind.as_bytes()].concat())
}

fn ignore_file() -> impl Strategy<Value = Vec<u8>> {
    let start = select(vec![&b""[..], b"", b"", b"\xef\xbb\xbf", b"*\n", b"\n\n"]);
    let end = select(vec![&b""[..], b"\n", b"\r\n"]);
    (start, vec(line(), 0..5), end)
        .prop_map(|(start, lines, end)| [start, &lines.join(&b'\n')[..], end].concat())
}

/// Of a pattern for paths with a slash, one that rsync understands alike: anchored, and without a `**/` that may
/// match nothing.
fn pattern() -> impl Strategy<Value = String> {
    let piece = || {
        select(vec![
            "a",
            "b",
            "ab",
            "foo",
            ".o",
            "x",
            "{a}",
            "{a,b}",
            "*",
            "?",
            "[ab]",
            "[!a]",
            "[^b]",
            "[a-f]",
            "[[:alpha:]]",
            "[]x]",
        ])
    };
    let part = || vec(piece(), 1..4).prop_map(|pieces| pieces.concat().replace("**", "*"));
    let deep = (part(), part()).prop_map(|(before, behind)| format!("{before}**{behind}"));
    let named = prop_oneof![part(), deep.clone(), part().prop_map(|part| format!("**{part}"))];
    let below = (vec(part(), 1..3), prop_oneof![part(), deep, Just("**".to_owned()), Just("***".to_owned())])
        .prop_map(|(parts, last)| format!("/{}/{last}", parts.join("/")));
    let body = prop_oneof![3 => named.clone(), 2 => below, 2 => named.prop_map(|named| format!("/{named}"))];
    (body, prop::bool::weighted(0.2)).prop_map(|(body, is_directory)| match is_directory {
        true => format!("{body}/"),
        false => body,
    })
}

fn config(cases: u32) -> Config {
    let regressions = FileFailurePersistence::Direct("tests/proptest-regressions/rules.txt");
    Config { cases, failure_persistence: Some(Box::new(regressions)), ..Config::default() }
}

proptest! {
    #![proptest_config(config(80))]

    #[test]
    fn ignore_files_leave_out_what_they_do_for_git(
        names in vec(path(), 5..25),
        files in vec((path(), ignore_file()), 0..3),
        top in ignore_file(),
    ) {
        let sandbox = tree(names.iter().map(Vec::as_slice));
        let src = sandbox.path("src");
        fs::write(src.join(".gitignore"), &top).unwrap();
        for (path, text) in &files {
            let dir = src.join(OsStr::from_bytes(path));
            if dir.is_dir() {
                fs::write(dir.join(".gitignore"), text).unwrap();
            }
        }
        let shown = |text: &[u8]| text.escape_ascii().to_string();
        assert_as_git(&sandbox, &(shown(&top), files.iter().map(|(path, text)| (shown(path), shown(text))).collect::<Vec<_>>()));
    }

    #[test]
    fn rules_choose_what_they_do_for_rsync(
        names in vec(path(), 5..25),
        rules in vec((any::<bool>(), pattern()), 1..5),
    ) {
        let sandbox = tree(names.iter().map(Vec::as_slice));
        let ours = rules.iter().map(|(includes, pattern)| match includes {
            true => Rule::Include(pattern.clone()),
            false => Rule::Exclude(pattern.clone()),
        });
        let selection = Selection::default().rules(ours).unwrap();
        assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("ours")).select(selection)));
        let options = rules.iter().map(|(includes, pattern)| match includes {
            true => format!("--include={pattern}"),
            false => format!("--exclude={pattern}"),
        });
        let from = format!("{}/", sandbox.path("src").display());
        let to = format!("{}/", sandbox.path("theirs").display());
        let options: Vec<_> = options.collect();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        must("rsync", &[&["-a"], &options[..], &[&from, &to]].concat());
        prop_assert_eq!(files(&sandbox.path("ours")), files(&sandbox.path("theirs")), "{:?}", rules);
    }
}

#[test]
fn ignore_files_are_read_as_git_reads_them() {
    let names: &[&[u8]] = &[
        b"secret.key",
        b"caf\xe9",
        b"end ",
        b"end",
        b"back\\",
        b"cr\r",
        b"cr",
        b"d/secret.key",
        b"d/keep",
        b"e/keep",
    ];
    for top in [
        &b"\xef\xbb\xbfsecret.key\n"[..],
        b"caf\xe9\nend\\ \n",
        b"end   \ncr\r\n",
        b"cr\r\r\nback\\\\\n",
        b"d/\n!d/keep\n",
        b"d/*\n!d/keep\n",
        b"*\n!keep\n!*/\n",
        b"[a\nsecret.key",
    ] {
        let sandbox = tree(names.iter().copied());
        fs::write(sandbox.path("src/.gitignore"), top).unwrap();
        fs::write(sandbox.path("src/e/.gitignore"), b"!keep\n").unwrap();
        assert_as_git(&sandbox, &top.escape_ascii().to_string());
    }
}

#[test]
fn an_ignore_file_that_is_a_link_or_a_directory_is_none_as_for_git() {
    let sandbox = tree([&b"secret"[..], b"d/secret"]).file("list", b"secret\n").dir("src/d/.gitignore");
    symlink(sandbox.path("list"), sandbox.path("src/.gitignore")).unwrap();
    assert_as_git(&sandbox, &"links and directories");
    assert!(sandbox.path("dst/secret").exists());
}

#[test]
fn tens_of_thousands_of_patterns_are_honoured() {
    let sandbox = tree([&b"secret.key"[..], b"ax59999yz", b"other"]);
    let patterns: String = (0..60_000).map(|number| format!("*x{number}*y*z*\n")).collect();
    fs::write(sandbox.path("src/.gitignore"), format!("secret.key\n{patterns}")).unwrap();
    assert_complete(&heeding(&sandbox, "dst"));
    assert_eq!(files(&sandbox.path("dst")), [".gitignore", "other"].map(PathBuf::from).into());
}

#[test]
fn a_directory_fails_whose_ignore_file_cannot_be_honoured() {
    let sandbox = tree([&b"large/secret"[..], b"fifo/secret", b"fine/file", b"unreadable/secret"]);
    fs::write(sandbox.path("src/large/.gitignore"), vec![b'\n'; (16 << 20) + 1]).unwrap();
    must("mkfifo", &[sandbox.path("src/fifo/.gitignore").to_str().unwrap()]);
    fs::write(sandbox.path("src/unreadable/.gitignore"), b"secret\n").unwrap();
    fs::set_permissions(sandbox.path("src/unreadable/.gitignore"), fs::Permissions::from_mode(0o000))
        .unwrap();
    let report = heeding(&sandbox, "dst");
    // Nothing is unreadable to root.
    let unreadable = !crate::support::is_root();
    assert_eq!(report.totals.failed, 2 + u64::from(unreadable), "{:?}", causes(&report));
    assert!(causes(&report).iter().all(|cause| cause.contains(".gitignore cannot be honoured")));
    let kept: BTreeSet<PathBuf> = files(&sandbox.path("dst"));
    assert!(kept.iter().all(|path| !path.ends_with("secret")), "{kept:?}");
    assert!(kept.contains(Path::new("fine/file")));
}

#[test]
fn an_ignore_file_that_cannot_be_read_fails_its_directory() {
    if !crate::support::is_root() {
        return crate::support::skip("another user's files");
    }
    let sandbox = Sandbox::new().opened().dir("src/d").dir("out");
    fs::write(sandbox.path("src/d/.gitignore"), b"secret\n").unwrap();
    fs::write(sandbox.path("src/d/secret"), b"x").unwrap();
    fs::set_permissions(sandbox.path("src/d/.gitignore"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(sandbox.path("out"), fs::Permissions::from_mode(0o777)).unwrap();
    let program = sandbox.path("orbit");
    crate::support::copy_program(&program);
    let [src, to, program] =
        [sandbox.path("src"), sandbox.path("out/dst"), program].map(|path| path.to_str().unwrap().to_owned());
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", &program, "--gitignore", "-T", &src, &to])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(".gitignore cannot be honoured"), "{}", stderr(&output));
    assert!(!Path::new(&to).join("d/secret").exists());
}

/// What the command says, and what it copied of a tree, with these options and a file `rules` of this text.
fn ruled(options: &[&str], rules: &str) -> (String, Option<i32>, BTreeSet<PathBuf>) {
    let names: &[&[u8]] = &[b"a.o", b"keep.o", b"b.c", b"d/a.o", b"d/b.c", b"- x", b"!a", b"x"];
    let sandbox = tree(names.iter().copied()).file("rules", rules.as_bytes()).dir("dst");
    let output =
        orbit().current_dir(sandbox.path("")).args(options).args(["-T", "src", "dst"]).output().unwrap();
    (stderr(&output), output.status.code(), files(&sandbox.path("dst")))
}

#[test]
fn files_of_rules_are_read_as_rsync_reads_them() {
    for rules in [
        "+ keep.o\n- *.o\n",
        "# comment\n; comment\n\n*.o\r\n",
        "*.c\n!\n*.o\n",
        "+ keep.o\n*.o\n- /d/\n",
        "\\- x\n",
    ] {
        for option in ["--exclude-from", "--include-from"] {
            let (_, code, ours) = ruled(&["--exclude=b.c", option, "rules"], rules);
            assert_eq!(code, Some(0), "{rules:?}");
            let names: &[&[u8]] = &[b"a.o", b"keep.o", b"b.c", b"d/a.o", b"d/b.c", b"- x", b"!a", b"x"];
            let theirs = tree(names.iter().copied())
                .file("rules", rules.replace('\r', "").replace("\\- x", "- [-] x").as_bytes());
            let at = |name: &str| theirs.path(name).display().to_string();
            let from = format!("{option}={}", at("rules"));
            must(
                "rsync",
                &["-a", "--exclude=b.c", &from, &format!("{}/", at("src")), &format!("{}/", at("dst"))],
            );
            if option == "--exclude-from" || !rules.contains('\\') {
                assert_eq!(ours, files(&theirs.path("dst")), "{option} {rules:?}");
            }
        }
    }
}

#[test]
fn patterns_that_others_take_for_something_else_are_refused() {
    for (options, rules, says) in [
        (&["--exclude=- x"][..], "", r"\- x"),
        (&["--include=+ x"], "", r"\+ x"),
        (&["--exclude", "!a"], "", r"\!"),
        (&["--exclude", "!"], "", "file of rules"),
        (&["--exclude-from", "rules"], "*.o\n!keep.o\n", "`+ `"),
        (&["--exclude", "[a"], "", "no ] behind"),
        (&["--exclude-from", "rules"], "a\\\n", "backslash"),
        (&["--exclude", "[[:word:]]"], "", "class"),
    ] {
        let (said, code, copied) = ruled(options, rules);
        assert_eq!(code, Some(2), "{options:?} {said}");
        assert!(said.contains(says), "{options:?} {said}");
        assert!(copied.is_empty());
    }
    let (_, code, copied) = ruled(&[r"--exclude=\- x", r"--exclude=\!a"], "");
    assert_eq!((code, copied.len()), (Some(0), 6));
}

#[test]
fn rules_without_any_effect_are_one_warning_a_kind() {
    let warnings = |rules: &[Rule]| {
        let sandbox = tree([&b"a.o"[..], b"keep.o", b"d/b.c"]);
        let selection = Selection::default().rules(rules.to_vec()).unwrap();
        let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).select(selection));
        assert_complete(&report);
        let told =
            |warning: &orbit::Warning| (warning.kind, warning.path.display().to_string(), warning.count);
        report.warnings.iter().map(told).collect::<Vec<_>>()
    };
    let include = |pattern: &str| Rule::Include(pattern.to_owned());
    let exclude = |pattern: &str| Rule::Exclude(pattern.to_owned());
    assert_eq!(warnings(&[include("keep.o"), exclude("*.o")]), []);
    assert_eq!(
        warnings(&[exclude("*.oo"), exclude("x"), exclude("*.o")]),
        [(WarningKind::Rule, "*.oo".to_owned(), 2)]
    );
    assert_eq!(warnings(&[include("*.c")]), [(WarningKind::Include, "*.c".to_owned(), 1)]);
    assert_eq!(
        warnings(&[exclude("*.o"), include("keep.o")]),
        [(WarningKind::Include, "keep.o".to_owned(), 1)]
    );
    let (said, code, _) = ruled(&["--include=*.c", "--gitignore"], "");
    assert_eq!(code, Some(0));
    assert!(
        said.contains("--include that leaves nothing out: '*.c'") && said.contains("--exclude '*'"),
        "{said}"
    );
}
