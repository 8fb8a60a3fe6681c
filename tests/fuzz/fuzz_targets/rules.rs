//! Patterns: whatever they are, they are refused or usable.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let rules: Vec<_> = orbit::Rule::lines(text, orbit::Rule::Exclude).take(50).collect();
    let _ = orbit::Selection::default().rules(rules);
});
