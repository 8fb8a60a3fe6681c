//! Patterns: whatever they are, they are refused or usable.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut rules = Vec::new();
    orbit::Rule::add_lines(&mut rules, text, orbit::Rule::Exclude);
    rules.truncate(50);
    let _ = orbit::Selection::default().rules(rules);
});
