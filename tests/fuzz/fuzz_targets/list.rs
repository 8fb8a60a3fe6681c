//! Lists of names, separated by line feeds or NULs.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = orbit::FileList::read(bytes, b'\n');
    let _ = orbit::FileList::read(bytes, 0);
});
