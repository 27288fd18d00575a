//! The session cookie as text: the request's `Cookie`, the response's `Set-Cookie`, the `cookie` object of a stored
//! session. All of it pure: the current time is an argument.

mod date;
mod header;
mod options;
mod state;

pub(crate) use header::{encode, find, is_name};
pub use options::{CookieOptions, Priority, SameSite};
pub use state::{CookieState, InvalidCookie};
