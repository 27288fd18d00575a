//! The session cookie as text: the request's `Cookie`, the response's `Set-Cookie`, the `cookie` object of a stored
//! session. All of it pure: the current time is an argument.

mod date;
#[cfg(test)]
mod express;
mod header;
mod options;
mod set_cookie;
mod state;

pub(crate) use header::{encode, find, is_name};
pub(crate) use options::CookieChoice;
pub use options::{CookieOptions, Priority, SameSite};
pub use set_cookie::InvalidCookie;
pub use state::CookieState;
