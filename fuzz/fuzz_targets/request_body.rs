//! Gives libFuzzer's inputs to [`fuzz::request_body`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::request_body(data));
