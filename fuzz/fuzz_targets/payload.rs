//! Gives libFuzzer's inputs to [`fuzz::payload`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::payload(data));
