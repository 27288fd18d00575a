//! Streams of bytes, and the buffers that all of a thread share.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// A stream of bytes to one peer. TCP has a variant of its own, so that the common case calls nothing through a
/// table.
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// TCP whose sending half may be lent to others.
    Split {
        read: OwnedReadHalf,
        write: Option<OwnedWriteHalf>,
    },
    Other(Box<dyn Duplex>),
}

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl Stream {
    /// Prepares TCP for lending its sending half.
    pub(crate) fn split(self) -> Self {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                Self::Split { read, write: Some(write) }
            }
            other => other,
        }
    }

    /// Lends the sending half. Nothing must be written until it is given back.
    pub(crate) fn lend_write(&mut self) -> Option<OwnedWriteHalf> {
        match self {
            Self::Split { write, .. } => write.take(),
            Self::Tcp(_) | Self::Other(_) => None,
        }
    }

    pub(crate) fn give_write_back(&mut self, half: OwnedWriteHalf) {
        if let Self::Split { write, .. } = self {
            *write = Some(half);
        }
    }

    /// `Pending` until there may be more to read. Ready at once where only reading can tell.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Split { read, .. } => read.as_ref().poll_read_ready(cx),
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
            Self::Split { read, .. } => Pin::new(read).poll_read(cx, buf),
            Self::Other(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Split { write, .. } => Pin::new(own(write)).poll_write(cx, data),
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
            Self::Split { write, .. } => Pin::new(own(write)).poll_write_vectored(cx, data),
            Self::Other(stream) => Pin::new(stream).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Split { .. } => true,
            Self::Other(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Split { write, .. } => Pin::new(own(write)).poll_flush(cx),
            Self::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Split { write, .. } => Pin::new(own(write)).poll_shutdown(cx),
            Self::Other(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Stream {
    /// Writes what is taken at once, which costs less than to ask first whether anything is.
    pub(crate) fn poll_write_now(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let tried = match self {
            Self::Tcp(stream) => stream.try_write(data),
            Self::Split { write, .. } => own(write).try_write(data),
            Self::Other(stream) => return Pin::new(stream).poll_write(cx, data),
        };
        match tried {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Pin::new(self).poll_write(cx, data),
            tried => Poll::Ready(tried),
        }
    }
}

fn own(write: &mut Option<OwnedWriteHalf>) -> &mut OwnedWriteHalf {
    write.as_mut().expect("what is lent is given back before the stream is used")
}

/// Bytes that one read may bring.
pub(crate) const READ_BUFFER: usize = 64 << 10;

/// A write buffer that has grown beyond this is not kept.
const KEPT_BUFFER: usize = 256 << 10;

thread_local! {
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
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
        if buffer.capacity() <= KEPT_BUFFER {
            cell.set(buffer);
        }
        result
    })
}
