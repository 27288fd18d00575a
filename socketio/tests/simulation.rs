//! Client and server of the pure core against each other, in virtual time: namespaces that are joined, refused, left
//! and joined again, events, acknowledgements and attachments, over the simulated network of `engineio`.
#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

use chat::{Chat, Counts};
use network::{CLIENT, SERVER, World, run_seeds};

#[path = "simulation/chat.rs"]
mod chat;
#[path = "simulation/history.rs"]
mod history;
#[path = "../../engineio/tests/network/mod.rs"]
mod network;

#[test]
fn memberships_events_and_answers() {
    let sums = run_seeds(50_000, |seed, told| {
        let mut world = World::new(seed, Chat::default());
        world.told = told;
        world.run();
        if world.is_open() {
            world.application.check_agreement();
        }
        for side in [CLIENT, SERVER] {
            if world.is_flushed(side) {
                world.application.history.check_flushed(side);
            }
            assert!(!world.gone(side) || world.application.history.is_over(side), "a membership outlives");
        }
        let Counts { answers, attachments, early, events, memberships, overlooked, refusals } =
            world.application.counts;
        let open = u64::from(!world.gone(SERVER));
        [open, answers, attachments, early, events, memberships, overlooked, refusals]
    });
    let Some((runs, [open, answers, attachments, early, events, memberships, overlooked, refusals])) = sums
    else {
        return;
    };
    println!(
        "{runs} runs: {open} open at the end, {memberships} memberships, {refusals} refusals, {events} events, \
         {early} of them early, {attachments} attachments, {answers} answers, {overlooked} packets overlooked"
    );
    // A simulation in which nothing happens proves nothing.
    assert!(open > runs / 10 && memberships > runs && refusals > runs / 4 && events > runs * 3);
    assert!(early > runs / 20 && attachments > runs * 2 && answers > runs && overlooked > runs / 20);
}
