//! Journals: what they say of a file never leads out of its directory, and covers it once.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orbit::fuzz_journal(bytes));
