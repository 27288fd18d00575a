//! Streams of bytes, and the buffers that all of a thread share.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A stream of bytes to one peer. TCP has a variant of its own, so that the common case calls nothing through a
/// table.
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// TCP that somebody else has for now. It is not used before it is back.
    Lent,
    Other(Box<dyn Duplex>),
}

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl Stream {
    /// Lends the stream, if it is TCP, to whoever writes to it while its owner sleeps.
    pub(crate) fn lend(&mut self) -> Option<TcpStream> {
        if !matches!(self, Self::Tcp(_)) {
            return None;
        }
        match std::mem::replace(self, Self::Lent) {
            Self::Tcp(stream) => Some(stream),
            Self::Lent | Self::Other(_) => None,
        }
    }

    /// `Pending` until there may be more to read. Ready at once where only reading can tell.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Lent => lent(),
            Self::Other(_) => Poll::Ready(Ok(())),
        }
    }

    /// Reads into the thread's buffer and hands over what came. No data is the end of the stream.
    ///
    /// A peer that sends nothing costs no buffer this way.
    pub(crate) fn poll_read_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut [u8]) -> R,
    ) -> Poll<io::Result<R>> {
        with_read_buffer(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(self).poll_read(cx, &mut read))?;
            Poll::Ready(Ok(take(read.filled_mut())))
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Lent => lent(),
            Self::Other(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Lent => lent(),
            Self::Other(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, data),
            Self::Lent => lent(),
            Self::Other(stream) => Pin::new(stream).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Lent => true,
            Self::Other(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Lent => lent(),
            Self::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Lent => lent(),
            Self::Other(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Stream {
    /// Writes what is taken at once, which costs less than to ask first whether anything is.
    pub(crate) fn poll_write_now(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let tried = match self {
            Self::Tcp(stream) => stream.try_write(data),
            Self::Lent => lent(),
            Self::Other(stream) => return Pin::new(stream).poll_write(cx, data),
        };
        match tried {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Pin::new(self).poll_write(cx, data),
            tried => Poll::Ready(tried),
        }
    }
}

#[cold]
fn lent() -> ! {
    unreachable!("a stream is given back before its owner uses it")
}

/// Bytes that one read may bring.
pub(crate) const READ_BUFFER: usize = 64 << 10;

/// A write buffer that has grown beyond this is not kept.
const KEPT_BUFFER: usize = 256 << 10;

thread_local! {
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static FRAMES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's read buffer. Handlers run inside, so it is taken out: should one of them read too, it gets a
/// buffer of its own.
fn with_read_buffer<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    READ.with(|cell| {
        let mut buffer = cell.take();
        if buffer.is_empty() {
            buffer = vec![0; READ_BUFFER];
        }
        let result = f(&mut buffer);
        cell.set(buffer);
        result
    })
}

/// Lends the thread's write buffer, empty.
pub(crate) fn with_write_buffer<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    WRITE.with(|cell| {
        let mut buffer = cell.take();
        buffer.clear();
        let result = f(&mut buffer);
        keep(cell, buffer);
        result
    })
}

/// Takes the thread's buffer for the frames of a turn, empty. It is not the write buffer, which handlers use, too.
pub(crate) fn take_frames() -> Vec<u8> {
    let mut frames = FRAMES.take();
    frames.clear();
    frames
}

/// Leaves such a buffer to the next turn.
pub(crate) fn keep_frames(frames: Vec<u8>) {
    FRAMES.with(|cell| keep(cell, frames));
}

fn keep(cell: &Cell<Vec<u8>>, buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT_BUFFER {
        cell.set(buffer);
    }
}
