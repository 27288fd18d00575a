//! Gives libFuzzer's inputs to [`fuzz::socketio_packet`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::socketio_packet(data));
