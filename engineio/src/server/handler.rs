//! What an application implements to have connections.

use std::{
    num::NonZeroU8,
    task::{Context, Poll},
};

use crate::{CloseReason, Message, server::Connection};

/// What an application does with connections; one value for a server.
///
/// [`handler_fn`](crate::handler_fn) makes one of an async function, which is all that most programs need.
pub trait Application: Send + Sync + 'static {
    /// What belongs to one connection.
    type Handler: Handler;

    /// Called for each new connection, before anything is received. It may send.
    fn accept(&self, connection: Connection) -> Self::Handler;
}

/// What one connection does.
///
/// All methods are called inside the connection's own task, with no queue between the socket and here, so they must
/// not block. `cx` is the context of that task: what registers its waker has [`poll_ready`](Self::poll_ready)
/// called again.
pub trait Handler: Send + 'static {
    /// Takes a message, in the order of arrival. Called only after [`poll_ready`](Self::poll_ready) has returned
    /// `Ready`.
    fn on_message(&mut self, message: Message, cx: &mut Context<'_>);

    /// Takes a text message whose memory is only lent, as it lies where it was received: in place of
    /// [`on_message`](Self::on_message), which gets a copy unless this does something better.
    fn on_text(&mut self, text: &str, cx: &mut Context<'_>) {
        self.on_message(Message::Text(text.into()), cx);
    }

    /// The connection has moved to a WebSocket.
    fn on_upgrade(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// All that was queued has been handed to the transport.
    fn on_drain(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Somebody has called [`Connection::notify_handler`]. Called before the next message.
    fn on_notice(&mut self, notice: NonZeroU8, cx: &mut Context<'_>) {
        let _ = (notice, cx);
    }

    /// The connection has ended; nothing can be sent any more. Called once, and only
    /// [`poll_finish`](Self::poll_finish) after it.
    fn on_close(&mut self, reason: CloseReason, cx: &mut Context<'_>);

    /// Drives what messages have started, at every turn of the task.
    ///
    /// `Pending` holds back further messages until the task is woken: nothing more is read, and the peer feels it.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Drives the rest after [`on_close`](Self::on_close). The task ends at `Ready`.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }
}
