//! Ignore files of any bytes: each can be asked for any path, in bounded time.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    orbit::fuzz_ignores(&bytes[end..], &bytes[..end]);
});
