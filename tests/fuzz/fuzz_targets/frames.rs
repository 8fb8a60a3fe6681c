//! Compressed files of any bytes: headers say what is in them, or that they are not whole.

#![no_main]

use std::{
    fs::File,
    io::{Seek, Write},
    sync::OnceLock,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static FILE: OnceLock<File> = OnceLock::new();
    let mut file = FILE.get_or_init(|| tempfile::tempfile().unwrap());
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(bytes)).unwrap();
    orbit::fuzz_frames(file);
});
