//! Something that must stay on its thread, kept while the handler waits.

use socketio::{Ack, Namespace, Socket};
use std::rc::Rc;

fn main() {
    Namespace::new().on("count", async |_: Socket, by: u32| {
        let counter = Rc::new(by);
        std::future::ready(()).await;
        Ack(*counter)
    });
}
