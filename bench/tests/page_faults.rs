//! Memory that large messages ask of the system, which costs more than all else that is done with them: a page fault for
//! every 4 KiB. Counted by the kernel for the thread that serves, so that no clock takes part.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use bench::counted::{
    app::{self, Flavor},
    load::{Load, Work},
};

/// Messages that are counted, after as many which fill buffers.
const STEPS: u32 = 50;

/// Of 64 KiB, each would take 16 faults for each of its copies. Some faults are none of the messages'.
const MOST_FAULTS: u64 = STEPS as u64;

#[test]
fn large_messages_come_and_go_in_the_same_memory() {
    let faults = app::serve_while(Flavor::Plain, |peer| {
        let mut load = Load::start(peer, Work::Binary(64 << 10));
        (0..STEPS).for_each(|_| load.step());
        let before = load.peer().page_faults();
        (0..STEPS).for_each(|_| load.step());
        load.peer().page_faults() - before
    });
    assert!(faults <= MOST_FAULTS, "{faults} page faults for {STEPS} messages");
}
