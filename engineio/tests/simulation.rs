//! Client and server states against each other, in virtual time, over a network that delays, batches, and fails.

use std::time::Duration;

use engineio::{Message, Transport};
use network::{Application, CLIENT, Port, SERVER, World, name, run_seeds};

mod network;

/// Both ends send numbers, in order.
#[derive(Default)]
struct Numbers {
    /// How many messages the outboxes have taken.
    sent: [u32; 2],
    /// How many have arrived.
    received: [u32; 2],
}

impl Application for Numbers {
    fn act(&mut self, port: &mut Port<'_>) {
        for _ in 0..=port.rng.below(4) {
            let sent = &mut self.sent[port.side];
            *sent += u32::from(port.send([sent.to_string().into()]));
        }
    }

    fn on_message(&mut self, message: Message, port: &mut Port<'_>) {
        let (side, received) = (port.side, &mut self.received[port.side]);
        assert_eq!(message, received.to_string().into(), "lost, repeated or out of order at {}", name(side));
        *received += 1;
        assert!(*received <= self.sent[1 - side], "a message from nowhere");
        if port.rng.one_in(16) {
            port.wake_later(0);
        }
    }

    /// An answer, which is sent whatever waits.
    fn on_wake(&mut self, _: usize, port: &mut Port<'_>) {
        let sent = &mut self.sent[port.side];
        *sent += u32::from(port.force_send([sent.to_string().into()]));
    }
}

/// What has to hold when nothing more happens.
fn check(world: &World<Numbers>) {
    let Numbers { sent, received } = &world.application;
    let open = world.is_open();
    for (side, peer) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        if open || world.is_flushed(side) {
            assert_eq!(received[peer], sent[side], "messages of {} are missing", name(side));
        }
    }
}

#[test]
fn nothing_is_lost_and_both_ends_agree() {
    let sums = run_seeds(100_000, |seed, told| {
        let mut world = World::new(seed, Numbers::default());
        world.told = told;
        world.run();
        check(&world);
        [
            u64::from(world.ends[SERVER].state.transport() == Transport::WebSocket),
            u64::from(world.gone(SERVER)),
            u64::from(!world.faults.is_empty()),
            world.application.received.into_iter().map(u64::from).sum(),
        ]
    });
    // A simulation in which nothing happens proves nothing.
    let Some((runs, [upgraded, closed, faulty, messages])) = sums else { return };
    println!(
        "{runs} runs: {upgraded} on a WebSocket, {closed} closed, {faulty} with faults, {messages} messages"
    );
    assert!(upgraded > runs / 4 && closed > runs / 4 && faulty > runs / 20 && messages > runs * 3);
}

#[test]
fn heartbeats_for_a_day() {
    let mut world = World::new(1, Numbers::default());
    world.actions_left = 0;
    let end = world.begin + Duration::from_secs(86_400);
    while world.step(Some(end)) {}
    assert!(world.is_open());
}
