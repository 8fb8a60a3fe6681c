//! What stays of a copy and what goes, with rsync(1) for a judge, which nobody here wrote.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use orbit::{Delete, Mirror, Rule, Selection};
use proptest::prelude::*;

use crate::{
    dry_run::{make, things},
    mirror::mirror,
    support::{Sandbox, has_program, skip, stderr},
};

/// Patterns that mean the same to both. One with a slash in its middle and none at its beginning does not: to
/// rsync it may begin in any directory, and here in the source, as to git.
fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let pattern = prop_oneof![
        "[abc]",
        "[abc]/",
        "/[abc]",
        "/[abc]/",
        "/[abc]/[abc]",
        "/[abc]/[abc]/",
        "/[abc]/\\*",
        "/\\*/[abc]",
        Just("*".to_owned()),
        Just("*/".to_owned()),
        Just("/*".to_owned()),
        Just("[ab]".to_owned()),
        Just("?".to_owned()),
        "/[abc]/\\*\\*",
    ];
    let rule = (pattern, proptest::bool::weighted(0.7));
    let rule = rule.prop_map(
        |(pattern, excludes)| if excludes { Rule::Exclude(pattern) } else { Rule::Include(pattern) },
    );
    prop::collection::vec(rule, 0..4)
}

/// The paths below a directory, each with the kind of entry that it is.
fn entries(root: &Path) -> BTreeSet<(String, char)> {
    fn add(at: &Path, path: &str, found: &mut BTreeSet<(String, char)>) {
        for entry in fs::read_dir(at).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            if kind.is_dir() {
                add(&entry.path(), &path, found);
            }
            let letter = if kind.is_dir() {
                'd'
            } else if kind.is_symlink() {
                'l'
            } else {
                'f'
            };
            found.insert((path, letter));
        }
    }
    let mut found = BTreeSet::new();
    add(root, "", &mut found);
    found
}

/// What rsync makes of `to`.
fn judge(from: &Path, to: &Path, rules: &[Rule], delete_excluded: bool) {
    let mut command = Command::new("rsync");
    command.args(["-aHAX", "--delete", "--ignore-errors"]);
    command.args(delete_excluded.then_some("--delete-excluded"));
    for rule in rules {
        match rule {
            Rule::Include(pattern) => command.arg(format!("--include={pattern}")),
            Rule::Exclude(pattern) => command.arg(format!("--exclude={pattern}")),
        };
    }
    let output = command.arg(from.join("")).arg(to).output().unwrap();
    // 23: something was in the way, and stays since a rule keeps what it holds.
    assert!(matches!(output.status.code(), Some(0 | 23)), "{}", stderr(&output));
}

/// Whether a path, or one above it, is of one type in the source and of another in the copy that was there.
///
/// Of such a one a rule for directories alone may exclude the source's entry and not the copy's, or the other way
/// round. To rsync the source then has nothing of that name, and what the copy has goes. Here what the source has under a
/// name keeps what the copy has there, unless it is to take its place.
fn changes_type(path: &str, source: &BTreeSet<(String, char)>, copy: &BTreeSet<(String, char)>) -> bool {
    let is_directory = |tree: &BTreeSet<(String, char)>, path: &str| {
        tree.iter().find(|(known, _)| known == path).map(|(_, kind)| *kind == 'd')
    };
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    ends.map(|end| &path[..end]).any(|path| {
        matches!((is_directory(source, path), is_directory(copy, path)), (Some(one), Some(other)) if one != other)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn what_stays_is_what_rsync_leaves(
        source in things(),
        copy in things(),
        rules in rules(),
        delete_excluded in proptest::bool::weighted(0.25),
        before: bool,
    ) {
        if !has_program("rsync") {
            skip("rsync is not installed");
            return Ok(());
        }
        let sandbox = Sandbox::new();
        make(&sandbox.path("src"), &source);
        for copied in ["dst", "judged", "careful"] {
            make(&sandbox.path(copied), &copy);
        }
        let (had, is_there) = (entries(&sandbox.path("src")), entries(&sandbox.path("dst")));
        judge(&sandbox.path("src"), &sandbox.path("judged"), &rules, delete_excluded);
        // rsync goes on where something failed, and empties the copy of an empty source.
        let options = Mirror::default().force_empty(true).delete_excluded(delete_excluded);
        let job = |target: &str, options: Mirror| {
            let selection = Selection::default().rules(rules.clone()).unwrap();
            let job = orbit::CopyJob::new(sandbox.path("src"), sandbox.path(target));
            job.select(selection).mirror(options)
        };
        if before {
            sandbox.run(job("dst", options.ignore_errors(true).delete(Delete::Only)));
        }
        let after = if before { Delete::Never } else { Delete::After };
        let report = sandbox.run(job("dst", options.ignore_errors(true).delete(after)));
        let (ours, judged) = (entries(&sandbox.path("dst")), entries(&sandbox.path("judged")));
        let differs = ours.symmetric_difference(&judged);
        let differs: Vec<_> = differs.filter(|(path, _)| !changes_type(path, &had, &is_there)).collect();
        prop_assert!(differs.is_empty(), "{differs:?}\nours {ours:?}\nrsync {judged:?}\nhad {had:?} and {is_there:?}");
        // Without that option the same is done where nothing fails, and nothing is lost where anything does.
        let careful = sandbox.run(job("careful", options.delete(Delete::After)));
        if !before {
            prop_assert_eq!(careful.is_complete(), report.is_complete());
        }
        if careful.is_complete() {
            prop_assert_eq!(entries(&sandbox.path("careful")), ours);
        }
        // What was made of the copy is what it stays.
        let again = sandbox.run(job("dst", options.ignore_errors(true).delete(Delete::After)));
        prop_assert_eq!(again.totals.deleted, 0);
    }
}

#[test]
fn a_rule_for_directories_leaves_alone_what_the_source_has_something_else_for() {
    let sandbox =
        Sandbox::new().file("src/a/b", b"").file("src/c", b"").file("dst/a", b"a file of that name");
    let select = Selection::default().rules([Rule::Exclude("a/".into())]).unwrap();
    let report = sandbox.run(mirror(&sandbox).select(select));
    assert!(report.is_complete());
    assert_eq!(sandbox.read("dst/a"), b"a file of that name");
}
