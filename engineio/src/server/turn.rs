//! What is sent in the connection's own turn, while its driver hands messages to the handler: it is written straight into
//! the frames that leave at the end of the turn, without the lock and the queue that others need.
//!
//! These frames leave before what is in the outbox. So none is added while the outbox holds anything: what was there
//! first is not overtaken, and what comes behind a queued message is queued, too. Whoever has queued a message before
//! the handler sends has set [`Shared`]'s status before.

use std::{cell::RefCell, ptr};

use bytes::Bytes;

use super::{connection::Shared, websocket::push_binary};
use crate::websocket::{LONGEST_HEADER, Opcode, SHORTEST_HEADER, encode_header, encode_shortest_header};

/// The turn that a thread is in.
struct Turn {
    /// Whose it is; only compared. Null outside of turns.
    of: *const Shared,
    frames: Vec<u8>,
    /// Bytes of frames beyond which others are queued.
    room: usize,
    /// How long the header of the latest text was, as that of the next is likely to be.
    header: usize,
}

thread_local! {
    static TURN: RefCell<Turn> =
        const { RefCell::new(Turn { of: ptr::null(), frames: Vec::new(), room: 0, header: SHORTEST_HEADER }) };
}

/// Lets messages of this connection into `frames`, up to some bytes, until it is [closed](OpenTurn::close).
pub(crate) fn open(of: &Shared, frames: Vec<u8>, room: usize) -> OpenTurn {
    TURN.with_borrow_mut(|turn| *turn = Turn { of, frames, room, ..*turn });
    OpenTurn(())
}

#[must_use = "what is added to its frames is to be written"]
pub(crate) struct OpenTurn(());

impl OpenTurn {
    /// Returns the frames, with what has been added to them.
    pub(crate) fn close(self) -> Vec<u8> {
        TURN.with_borrow_mut(|turn| std::mem::take(&mut turn.frames))
    }
}

/// Ended by a panic of the handler, too.
impl Drop for OpenTurn {
    fn drop(&mut self) {
        TURN.with_borrow_mut(|turn| turn.of = ptr::null());
    }
}

impl Turn {
    fn takes(&self, of: &Shared) -> bool {
        ptr::eq(self.of, of) && self.frames.len() < self.room
    }
}

/// Adds frames to those of the turn; `false` if it is not this connection's, or there is no room.
pub(super) fn add(to: &Shared, push: impl FnOnce(&mut Vec<u8>)) -> bool {
    TURN.with(|turn| {
        // While a text is being written, whatever that sends is queued.
        let Ok(mut turn) = turn.try_borrow_mut() else { return false };
        let takes = turn.takes(to);
        if takes {
            push(&mut turn.frames);
        }
        takes
    })
}

/// Whether frames of this connection wait for the end of the turn.
pub(super) fn has_frames(of: &Shared) -> bool {
    // A text that is being written is one.
    TURN.with(|turn| turn.try_borrow().map_or(true, |turn| ptr::eq(turn.of, of) && !turn.frames.is_empty()))
}

/// Has a text message written by who knows only then how long it is, and which binary ones follow it.
pub(super) fn add_written<E>(
    to: &Shared,
    write: impl FnOnce(&mut Vec<u8>) -> Result<Vec<Bytes>, E>,
) -> Option<Result<(), E>> {
    TURN.with(|turn| {
        let mut turn = turn.try_borrow_mut().ok().filter(|turn| turn.takes(to))?;
        let Turn { frames, header, .. } = &mut *turn;
        let frame = Unfinished::begin(frames, *header);
        let following = match write(frame.frames) {
            Ok(following) => following,
            Err(error) => return Some(Err(error)),
        };
        *header = frame.finish();
        for bytes in following {
            push_binary(&mut turn.frames, &bytes);
        }
        Some(Ok(()))
    })
}

/// A frame whose payload is being written, with room for its header. It is taken back unless it is finished: by an
/// error, or a panic.
struct Unfinished<'a> {
    frames: &'a mut Vec<u8>,
    start: usize,
    header: usize,
}

impl<'a> Unfinished<'a> {
    #[inline]
    fn begin(frames: &'a mut Vec<u8>, header: usize) -> Self {
        let start = frames.len();
        match header {
            SHORTEST_HEADER => frames.extend_from_slice(&[0, 0, b'4']),
            _ => {
                frames.extend_from_slice(&[0; LONGEST_HEADER][..header]);
                frames.push(b'4');
            }
        }
        Self { frames, start, header }
    }

    /// Puts the header before the payload, and returns how long it is.
    #[inline]
    fn finish(mut self) -> usize {
        let payload = self.start + self.header;
        let length = self.frames.len() - payload;
        let header = match encode_shortest_header(Opcode::Text, length) {
            // The rule, for which nothing is called.
            Some([first, second]) if self.header == SHORTEST_HEADER => {
                self.frames[self.start] = first;
                self.frames[self.start + 1] = second;
                SHORTEST_HEADER
            }
            _ => {
                let header = encode_header(Opcode::Text, length);
                self.frames.splice(self.start..payload, header.iter().copied());
                header.len()
            }
        };
        self.start = self.frames.len();
        header
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.frames.truncate(self.start);
    }
}
