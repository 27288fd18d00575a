//! What is no room.

use socketio::Socket;
use std::collections::HashSet;

fn join(socket: &Socket, friends: HashSet<String>) {
    socket.join(7);
    socket.join(&friends);
    socket.to([1, 2]).emit("hello", "everyone").ok();
}

fn main() {}
