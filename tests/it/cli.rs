//! The command: where copies go, what is printed where, and exit statuses.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{Sandbox, has_program, is_root, odd_name, orbit, skip, stderr};

/// Run the command in the sandbox.
fn run(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    orbit().args(arguments).current_dir(sandbox.path("")).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal ends the command")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn report_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {:?}", stdout(output)))
}

/// Every path below the sandbox with its type, and the target of a link.
fn listing(sandbox: &Sandbox) -> String {
    let found =
        Command::new("find").args([".", "-printf", "%p %y %l\n"]).current_dir(sandbox.path("")).output();
    let mut lines: Vec<_> =
        String::from_utf8(found.unwrap().stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_directory_becomes_its_destination_and_everything_else_goes_where_cp_puts_it() {
    let tree = || {
        Sandbox::new()
            .file("file", b"file")
            .file("dir/inner", b"inner")
            .dir("there/dir")
            .file("there/dir/before", b"before")
            .file("there/inner", b"an earlier copy")
            .file("taken", b"taken")
            .symlink("dir", "dirlink")
            .symlink("there", "therelink")
    };
    let sources = ["file", "dir", "dir/", "dir/.", "dirlink", "dirlink/", "./dir", "dir/inner"];
    let destinations =
        ["new", "there", "there/", "there/.", "therelink", "therelink/", "there/new", "no/where", "taken/"];
    for source in sources {
        for destination in destinations {
            let is_directory = source.contains("dir") && !source.ends_with("inner") && source != "dirlink";
            let (ours, theirs) = (tree(), tree());
            let orbit = run(&ours, &[source, destination]);
            let as_cp = match destination {
                // What cp needs -T for, and through a link a slash.
                "there" | "therelink" if is_directory => ["-aT", source, "there"],
                _ => ["-a", source, destination],
            };
            let cp = Command::new("cp").args(as_cp).current_dir(theirs.path("")).output();
            let about = format!("{source} {destination}: {}", stderr(&orbit));
            assert_eq!(code(&orbit) == 0, cp.unwrap().status.success(), "{about}");
            assert_eq!(listing(&ours), listing(&theirs), "{about}");
        }
        // With cp the first time a copy of that name, and the second time one inside it.
        let ours = tree();
        let before = listing(&ours);
        let orbit = run(&ours, &[source, "new/"]);
        assert!(code(&orbit) == 2 && stderr(&orbit).contains("mkdir new"), "{}", stderr(&orbit));
        assert_eq!(listing(&ours), before);
    }
}

#[test]
fn the_same_command_run_again_converges() {
    let sandbox = Sandbox::new().file("s/f", b"1").dir("into").dir("real").symlink("real", "link");
    for (arguments, copy) in [
        (&["s", "d"][..], "d"),
        (&["s/", "d2"], "d2"),
        (&["s", "into/"], "into/s"),
        (&["--into", "into", "s/"], "into/s"),
        (&["s", "link"], "real"),
        (&["-T", "s", "real/"], "real"),
    ] {
        let mut before = String::new();
        for round in 0..3 {
            let output = run(&sandbox, arguments);
            assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
            assert_eq!(sandbox.read(format!("{copy}/f")), b"1");
            let after = listing(&sandbox);
            assert!(round == 0 || after == before, "{arguments:?}: {after}");
            before = after;
        }
    }
    // All its names are others now, and it is the same mirror all the same.
    fs::rename(sandbox.path("s/f"), sandbox.path("s/g")).unwrap();
    let output = run(&sandbox, &["--delete", "s", "d"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(sandbox.path("d/g").exists() && !sandbox.path("d/f").exists());
}

#[test]
fn a_directory_of_other_things_is_not_merged_with_unless_that_is_said() {
    let sandbox = Sandbox::new().file("s/f", b"1").file("other/mine", b"keep");
    let before = listing(&sandbox);
    for options in [&[][..], &["--delete"], &["-n"], &["-q"]] {
        let output = run(&sandbox, &[options, &["s", "other"]].concat());
        assert_eq!(code(&output), 2, "{options:?}");
        assert_eq!(listing(&sandbox), before, "{options:?}");
        for way_out in ["orbit s other/", "orbit -T s other"] {
            assert!(stderr(&output).contains(way_out), "{}", stderr(&output));
        }
    }
    assert_eq!(code(&run(&sandbox, &["s", "other/"])), 0);
    assert_eq!(code(&run(&sandbox, &["-T", "s", "other"])), 0);
    assert_eq!(listing(&sandbox).lines().filter(|line| line.starts_with("./other/")).count(), 4);
}

#[test]
fn a_link_to_a_directory_that_is_spelled_as_one_is_merged_into() {
    for destination in ["link/", "link/.", "link//", "sub/../link/"] {
        let sandbox = Sandbox::new().file("src/a", b"a").file("dir/before", b"b").dir("sub");
        let sandbox = sandbox.symlink("dir", "link");
        let output = run(&sandbox, &["-T", "src", destination]);
        assert_eq!(code(&output), 0, "{destination}: {}", stderr(&output));
        assert_eq!((sandbox.read("dir/a"), sandbox.read("dir/before")), (b"a".to_vec(), b"b".to_vec()));
        assert!(fs::symlink_metadata(sandbox.path("link")).unwrap().is_symlink(), "{destination}");
    }
}

#[test]
fn every_form_of_the_arguments_copies() {
    for (arguments, copy) in [
        (&["src", "new"][..], "new/a"),
        (&["-s", "src", "-d", "new"], "new/a"),
        (&["--source", "src", "--dest", "dst"], "dst/a"),
        (&["src", "dst"], "dst/a"),
        (&["src", "dst/"], "dst/src/a"),
        (&["--into", "dst", "src"], "dst/src/a"),
        (&["-T", "src", "dst"], "dst/a"),
        (&["-t", "dst", "src"], "dst/src/a"),
        (&["src", "src/a", "dst"], "dst/a"),
        (&["--target-directory=dst", "src", "src/a"], "dst/src/a"),
        (&["--", "-x", "dst"], "dst/-x"),
        (&["-d", "dst", "--source=-x"], "dst/-x"),
        (&["./capabilities", "dst"], "dst/capabilities"),
        (&["--", "capabilities", "new"], "new"),
    ] {
        let sandbox =
            Sandbox::new().file("src/a", b"a").file("-x", b"x").file("capabilities", b"c").dir("dst");
        let output = run(&sandbox, arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        assert!(sandbox.path(copy).is_file(), "{arguments:?}");
    }
}

#[test]
fn wrong_usage_exits_with_2_and_touches_nothing() {
    let sandbox = Sandbox::new().file("a", b"a").file("b", b"b");
    let before = listing(&sandbox);
    for arguments in [
        &[][..],
        &["a"],
        &["a", "b", "nowhere"],
        &["-t", "nowhere", "a"],
        &["a", "b", "a"],
        &["--reflink=always", "--sparse=always", "a", "c"],
        &["--zero-copy", "--no-zero-copy", "a", "c"],
        &["--jobs", "none", "a", "c"],
        &["--json", "--preserve=color", "a", "c"],
    ] {
        let output = run(&sandbox, arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(stderr(&output).starts_with("error: "), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(listing(&sandbox), before);
}

#[test]
fn a_failure_is_one_line_and_the_rest_is_copied() {
    let sandbox = Sandbox::new().file("src/good", b"good").file("dst/src/x/there", b"");
    let sandbox = sandbox.file("src/x", b"a file over a directory");
    let output = run(&sandbox, &["missing", "src", "dst"]);
    assert_eq!(code(&output), 1);
    let mut lines: Vec<_> = stderr(&output).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("orbit: cannot replace dst/src/x: "), "{lines:?}");
    assert_eq!(lines[1], "orbit: cannot stat missing: No such file or directory");
    assert_eq!(sandbox.read("dst/src/good"), b"good");
    assert!(stdout(&output).ends_with(", 2 failed\n"), "{}", stdout(&output));
}

#[test]
fn odd_names_are_copied_and_quoted_in_failures() {
    let sandbox = Sandbox::new().file("src/-rf", b"1").file("src/\x1b[31m", b"2").dir("dst");
    fs::write(sandbox.path("src").join(odd_name()), b"3").unwrap();
    let copied = run(&sandbox, &["src", "dst/"]);
    assert_eq!(code(&copied), 0, "{}", stderr(&copied));
    assert_eq!(sandbox.read(Path::new("dst/src").join(odd_name())), b"3");

    let refused = run(&sandbox, &["--existing=fail", "--json", "src", "dst/"]);
    assert_eq!(code(&refused), 1);
    let mut lines: Vec<_> = stderr(&refused).lines().map(str::to_owned).collect();
    lines.sort();
    let expected = [
        r"orbit: cannot replace $'dst/src/\x1B[31m': it already exists",
        r"orbit: cannot replace $'dst/src/odd\xFF\nname': it already exists",
        "orbit: cannot replace dst/src/-rf: it already exists",
    ];
    assert_eq!(lines, expected);
    let report = report_of(&refused);
    let failures = report["failures"].as_array().unwrap();
    let with_bytes: Vec<_> = failures.iter().filter_map(|failure| failure["path_bytes"].as_str()).collect();
    assert_eq!(with_bytes, ["ZHN0L3NyYy9vZGT/Cm5hbWU="], "only where text does not do");
}

#[test]
fn every_failure_has_its_line_beyond_those_the_report_keeps() {
    let sandbox = Sandbox::new();
    for side in ["src", "dst"] {
        fs::create_dir(sandbox.path(side)).unwrap();
        for number in 0..1_500 {
            fs::write(sandbox.path(side).join(number.to_string()), side).unwrap();
        }
    }
    let output = run(&sandbox, &["-T", "-q", "--existing=fail", "--json", "src", "dst"]);
    assert_eq!(code(&output), 1);
    assert_eq!(stderr(&output).lines().count(), 1_500);
    let report = report_of(&output);
    assert_eq!(report["failures"].as_array().unwrap().len(), 1_000);
    assert_eq!(report["totals"]["failed"], 1_500);
    assert_eq!(report["failure_counts"][0]["count"], 1_500);
}

#[test]
fn the_report_is_one_json_object_and_all_of_standard_output() {
    let sandbox = Sandbox::new().file("src/a", b"12345").file("src/b", b"").symlink("a", "src/link");
    let output = run(&sandbox, &["--json", "src", "dst"]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    assert_eq!(stdout(&output).lines().count(), 1);
    let report = report_of(&output);
    assert_eq!(report["complete"], true);
    assert_eq!(report["totals"]["files_copied"], 2);
    assert_eq!(report["totals"]["symlinks_created"], 1);
    assert_eq!(report["totals"]["directories_created"], 1);
    assert_eq!(report["totals"]["bytes_copied"], 5);
    assert_eq!(report["failures"], serde_json::json!([]));
    assert!(report["jobs"]["reason"].as_str().unwrap().contains("cores"));
    assert!(report["elapsed_seconds"].as_f64().unwrap() > 0.0);
    // Documented for programs: no key appears or goes without notice.
    let documented = include_str!("../../docs/json.md");
    for key in report.as_object().unwrap().keys().chain(report["totals"].as_object().unwrap().keys()) {
        assert!(documented.contains(&format!("`{key}`")), "docs/json.md lacks {key}");
    }
}

#[test]
fn quiet_is_silent_and_the_default_is_one_line() {
    let sandbox = Sandbox::new().file("src/a", b"12345");
    let quiet = run(&sandbox, &["-q", "src", "one"]);
    assert_eq!((code(&quiet), stdout(&quiet).as_str(), stderr(&quiet).as_str()), (0, "", ""));
    let usual = run(&sandbox, &["src", "two"]);
    assert_eq!(stderr(&usual), "", "no progress where there is no terminal");
    assert_eq!(stdout(&usual).lines().count(), 1);
    assert!(stdout(&usual).starts_with("1 file copied, 5 B in "), "{}", stdout(&usual));
    let again = run(&sandbox, &["-T", "src", "two"]);
    assert!(stdout(&again).trim_end().ends_with(", 1 unchanged"), "{}", stdout(&again));
}

#[test]
fn verbose_says_how_bytes_were_moved_and_jobs_chosen() {
    let sandbox = Sandbox::in_memory().file("src/a", &[7; 100_000]);
    let enabled = run(&sandbox, &["-v", "--reflink=never", "src", "one"]);
    assert!(stderr(&enabled).contains("Zero-copy enabled: copy_file_range"), "{}", stderr(&enabled));
    assert!(stdout(&enabled).contains("by copy_file_range: 1 file, "), "{}", stdout(&enabled));
    assert!(stdout(&enabled).contains("jobs: 1 of at most "), "{}", stdout(&enabled));
    let disabled = run(&sandbox, &["-v", "--no-zero-copy", "src", "two"]);
    assert!(stderr(&disabled).contains("Zero-copy disabled: forbidden by option"), "{}", stderr(&disabled));
    let asked = run(&sandbox, &["-v", "--jobs=3", "src", "three"]);
    assert!(stdout(&asked).contains(" of at most 3 (as asked)"), "{}", stdout(&asked));
}

#[test]
fn the_log_has_spans_for_the_run_and_its_directories_with_their_failures() {
    let sandbox = Sandbox::new().file("src/a/deep/file", b"1").file("src/b/file", b"2").dir("dst/b/file");
    let logged = |level: &str| {
        let mut command = orbit();
        command.env("ORBIT_LOG", level).args(["-T", "src", "dst"]).current_dir(sandbox.path(""));
        stderr(&command.output().unwrap())
    };
    let log = logged("debug");
    let has = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    for path in ["src", "src/a", "src/a/deep", "src/b"] {
        assert!(has(&["run{", &format!("}}:directory{{path={path}}}: "), "directory entered"]), "{log}");
    }
    assert!(has(&[" WARN run{", ":directory{path=src/b}: ", "cannot replace dst/b/file cause="]), "{log}");
    assert!(!log.contains("}:directory{path=src}:directory{"), "each is the run's, however deep: {log}");
    let quieter = logged("info");
    assert!(quieter.contains(" WARN run{") && !quieter.contains("directory{"), "{quieter}");
}

#[test]
fn options_reach_the_engine() {
    let sandbox =
        Sandbox::new().file("src/a", &[0; 1 << 20]).file("src/b", b"new").file("dst/b", b"older one");
    run(&sandbox, &["-T", "--sparse=always", "--existing=skip", "--no-preserve=timestamps", "src", "dst"]);
    let copy = fs::metadata(sandbox.path("dst/a")).unwrap();
    assert_eq!((copy.len(), copy.blocks()), (1 << 20, 0), "a hole");
    assert_eq!(sandbox.read("dst/b"), b"older one");
    assert_ne!(copy.mtime_nsec(), fs::metadata(sandbox.path("src/a")).unwrap().mtime_nsec());
}

#[test]
fn what_cannot_be_kept_is_one_warning_for_each_kind() {
    if !is_root() || !has_program("strace") {
        return skip("it needs root to give files away, and strace to refuse it");
    }
    let sandbox = Sandbox::new();
    for name in ["src/a", "src/b", "src/c"] {
        fs::create_dir_all(sandbox.path("src")).unwrap();
        fs::write(sandbox.path(name), name).unwrap();
        std::os::unix::fs::chown(sandbox.path(name), Some(1234), Some(1234)).unwrap();
    }
    let refused = |arguments: &[&str]| {
        let inject = ["-f", "-qq", "-o", "log", "-e", "inject=fchown,fchownat:error=EPERM"];
        let mut strace = Command::new("strace");
        strace.args(inject).arg(orbit().get_program()).args(arguments).current_dir(sandbox.path(""));
        let output = strace.output().unwrap();
        let log = fs::read_to_string(sandbox.path("log")).unwrap();
        assert!(log.contains("(INJECTED)"), "{log}");
        output
    };
    let warned = refused(&["src", "one"]);
    assert_eq!(code(&warned), 0, "{}", stderr(&warned));
    assert_eq!(stderr(&warned).lines().count(), 1, "{}", stderr(&warned));
    assert!(
        stderr(&warned).starts_with("orbit: warning: owner or group not kept: one/"),
        "{}",
        stderr(&warned)
    );
    assert!(stderr(&warned).ends_with(": Operation not permitted\n"), "{}", stderr(&warned));
    assert_eq!(stderr(&refused(&["-q", "src", "two"])), "");
    let required = refused(&["--preserve=ownership", "src", "three"]);
    assert_eq!(code(&required), 1);
    assert_eq!(stderr(&required).lines().count(), 3, "{}", stderr(&required));
}

#[test]
fn limits_are_raised_and_their_signals_are_failures() {
    if !has_program("prlimit") {
        return skip("prlimit is not installed");
    }
    let sandbox = Sandbox::new().file("src/a", &[7; 1 << 20]).file("src/b", b"small");
    let limited = |limit: &str, arguments: &[&str]| {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(limit).arg(orbit().get_program()).args(arguments).current_dir(sandbox.path(""));
        prlimit.output().unwrap()
    };
    let raised = limited("--nofile=64:1024", &["-v", "--jobs=16", "src", "one"]);
    assert!(stdout(&raised).contains(" of at most 16 (as asked)"), "{}", stdout(&raised));
    let held = limited("--nofile=64:64", &["-v", "--jobs=16", "src", "two"]);
    assert!(stdout(&held).contains("bounded by the limit of open files"), "{}", stdout(&held));
    let short = limited("--fsize=100000", &["src", "three"]);
    assert_eq!(code(&short), 1, "{}", stderr(&short));
    assert!(stderr(&short).contains("three/a: File too large"), "{}", stderr(&short));
    assert_eq!(fs::read_dir(sandbox.path("three")).unwrap().count(), 1, "only what is whole");
}

#[test]
fn output_that_cannot_be_written_is_a_failure_unless_its_reader_left() {
    let sandbox = Sandbox::new().file("a", b"a");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = orbit();
    command.args(["--json", "a", "b"]).current_dir(sandbox.path(""));
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("standard output: No space left on device"), "{}", stderr(&output));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(code(&command.stdout(writer).output().unwrap()), 0);
}

#[test]
fn names_that_are_not_utf8_are_taken_from_the_command_line() {
    let sandbox = Sandbox::new();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    fs::write(sandbox.path(name), b"odd").unwrap();
    let output = orbit().arg(name).arg("copy").current_dir(sandbox.path("")).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(sandbox.read("copy"), b"odd");
}
