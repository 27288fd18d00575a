//! Gives libFuzzer's inputs to [`fuzz::arguments`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::arguments(data));
