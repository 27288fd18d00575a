//! Gives libFuzzer's inputs to [`fuzz::socketio_decoder`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::socketio_decoder(data));
