//! Gives libFuzzer's inputs to [`fuzz::msgpack`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::msgpack(data));
