//! Mistakes of the peer, and how they are answered.

#[cfg(doc)]
use super::Limits;

/// What the peer did that RFC 6455 or the [`Limits`] forbid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProtocolError {
    /// Section 5.5.1.
    #[error("the peer sent a close frame with status code {0}")]
    CloseCode(u16),
    /// Section 5.5.1.
    #[error("the peer sent a close frame with half a status code")]
    CloseLength,
    /// Section 5.5.
    #[error("the peer sent a control frame of more than 125 bytes")]
    ControlTooLong,
    /// Section 5.5.
    #[error("the peer sent a fragmented control frame")]
    FragmentedControl,
    /// [`Limits::max_frame`]; also any length with the top bit set, section 5.2.
    #[error("the peer announced a frame of {0} bytes")]
    FrameTooLong(u64),
    /// Section 5.4.
    #[error("the peer began a message inside of another")]
    InterruptedMessage,
    /// Section 8.1, for the reason in a close frame.
    #[error("the peer gave a close reason that is not UTF-8")]
    InvalidReason,
    /// Section 8.1.
    #[error("the peer sent text that is not UTF-8")]
    InvalidText,
    /// Section 5.2.
    #[error("the peer encoded a frame length in more bytes than needed")]
    LengthNotMinimal,
    /// [`Limits::max_message`].
    #[error("the peer announced a message of more than {0} bytes")]
    MessageTooLong(usize),
    /// Section 5.2.
    #[error("the peer sent a frame with reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// Section 5.2.
    #[error("the peer set a reserved bit without an extension that defines it")]
    ReservedBit,
    /// [`Limits::max_fragments`].
    #[error("the peer split a message into more than {0} frames")]
    TooManyFragments(u32),
    /// Section 5.4.
    #[error("the peer continued a message that was not begun")]
    UnexpectedContinuation,
    /// Section 5.1.
    #[error("the peer sent a frame without a mask")]
    Unmasked,
}

impl ProtocolError {
    /// Status code for the close frame that answers the mistake (section 7.4.1): 1007 for text that is not UTF-8,
    /// 1008 for too many fragments, 1009 for too many bytes, 1002 for the rest.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::InvalidReason | Self::InvalidText => 1007,
            Self::TooManyFragments(_) => 1008,
            Self::FrameTooLong(_) | Self::MessageTooLong(_) => 1009,
            _ => 1002,
        }
    }
}
