//! The ground plan, read from the sources: rooms (the folders and files of `src`) use rooms below them alone, and no
//! function is longer than a page.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The rooms from the ground up: each may use those of lines before its own.
const FLOORS: &[&[&str]] = &[
    &["bell", "digest", "entry", "method", "refusal", "storage", "threads"],
    &["cancel", "platform"],
    &["error", "manifest", "select"],
    &["options", "capabilities", "backend", "guard"],
    &["frames", "job", "learned", "scheduler"],
    &["plan"],
    &["pair_report", "transfer", "tree"],
    &["report", "setting"],
    &["event"],
    &["outcomes"],
    &["choice", "space", "verify"],
    &["durability", "mirror"],
    &["fidelity", "resume"],
    &["fill", "naming"],
    &["large"],
    // Siblings: each is what one kind of run does.
    &["copy", "compare", "probe"],
    &["engine"],
];

/// The longest function, in lines.
const PAGE: usize = 70;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
            false => {}
        }
    }
}

/// The sources below `src`, by their paths there.
fn all_sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 100, "{found:?}");
    let read =
        |path: PathBuf| (path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
    found.into_iter().map(read).collect()
}

/// What a source has apart from comments and tests.
fn code(source: &str) -> String {
    let tests = ["\n#[cfg(test)]\nmod ", "\n#[cfg(all(test, unix))]\nmod "];
    let end = tests.iter().filter_map(|tests| source.find(tests)).min().unwrap_or(source.len());
    let source = &source[..end];
    let lines = source.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms that paths beginning with `root` lead to, alone or in braces.
fn used(code: &str, root: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = BTreeSet::new();
    for rest in code.split(root).skip(1) {
        let Some(tree) = rest.strip_prefix('{') else {
            used.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut is_begun = true;
        for (at, letter) in tree.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_begun = true,
                letter if is_begun && letter.is_alphanumeric() => {
                    used.insert(word(&tree[at..]));
                    is_begun = false;
                }
                _ => {}
            }
        }
    }
    used
}

#[test]
fn rooms_use_what_lies_below_them_alone() {
    let floor_of: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, floor)))
        .collect();
    let mut wrong = Vec::new();
    for (path, source) in all_sources() {
        let room = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        // The map of the crate; and the command, which uses the library from outside.
        if ["lib", "bin"].contains(&room) || path.ends_with("tests.rs") {
            continue;
        }
        let Some(floor) = floor_of.get(room) else {
            wrong.push(format!("{room} has no floor"));
            continue;
        };
        // The crate is as many steps up as a module lies below it.
        let steps = path.components().count() - usize::from(path.ends_with("mod.rs"));
        let code = code(&source);
        let all = used(&code, "crate::").into_iter().chain(used(&code, &"super::".repeat(steps)));
        for used in all.collect::<BTreeSet<_>>().iter().filter(|used| **used != room) {
            // What the crate says of itself by name comes from a room as well.
            if floor_of.get(used.as_str()).is_none_or(|below| below >= floor) {
                wrong.push(format!("{}: {room} uses {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_function_is_longer_than_a_page() {
    let mut long = Vec::new();
    for (path, source) in all_sources() {
        let lines: Vec<_> = source.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let words: Vec<_> = line.split_whitespace().collect();
            let Some(is) = words.iter().position(|word| *word == "fn") else { continue };
            if words[..is].iter().any(|word| word.contains("//")) || line.ends_with(';') {
                continue;
            }
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[at..].iter().position(|line| **line == *end).map_or(1, |last| last + 1);
            if length > PAGE {
                long.push(format!("{}:{}: {length} lines: {}", path.display(), at + 1, line.trim()));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}
