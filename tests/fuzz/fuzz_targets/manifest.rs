//! Manifests: what is read is written again as it was, and never leads out of the tree.

#![no_main]

use std::path::Component;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for line in orbit::read_manifest(bytes).flatten().flatten() {
        let mut parts = line.path.components();
        assert!(parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)));
        let mut text = Vec::new();
        line.write(&mut text).unwrap();
        let again = orbit::ManifestLine::parse(text.strip_suffix(b"\n").unwrap());
        assert_eq!(again.as_ref(), Ok(&line));
    }
});
