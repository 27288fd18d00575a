//! What Redis does in one step, in Lua: no other command comes between.
//!
//! The scripts compare and store bytes and never read the JSON: Redis's `cjson` makes `[]` to `{}` and rounds numbers.

use std::sync::LazyLock;

use redis::{Cmd, Script, Value};

use super::{
    error::Failure,
    link::{Link, Reply, Resend},
};

/// Stores `ARGV[2]` where `ARGV[1]` is stored; returns 1, or what is there instead, or 0 if nothing is. Whoever is too
/// late has the present text at once, without another round trip.
pub(super) static REPLACE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        "local now = redis.call('GET', KEYS[1]) \
         if not now or now == '' then return 0 end \
         if now ~= ARGV[1] then return now end \
         if ARGV[3] == 'keep' then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') \
         elseif ARGV[3] == 'never' then redis.call('SET', KEYS[1], ARGV[2]) \
         else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end \
         return 1",
    )
});

/// Stores `ARGV[1]` and keeps the expiry; a key that was not there gets that of `ARGV[2]`, as it would stay for ever.
pub(super) static PUT_KEEPING: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL') \
         elseif ARGV[2] == 'never' then redis.call('SET', KEYS[1], ARGV[1]) \
         else redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end \
         return 1",
    )
});

/// A script that Redis knows by its hash, or is told.
pub(super) struct Lua {
    text: &'static str,
    hash: String,
}

impl Lua {
    fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text).get_hash().to_owned() }
    }

    /// Runs the script on one key.
    pub(super) async fn run(
        &self,
        link: &Link,
        resend: Resend,
        key: &str,
        arguments: &[&str],
    ) -> Result<Reply, Failure> {
        match link.run(&command("EVALSHA", &self.hash, key, arguments), resend).await {
            // After a restart, `SCRIPT FLUSH` or a failover. It was not run, and `EVAL` has Redis remember it.
            Err(failure) if failure.is_refusal("NOSCRIPT") => {
                link.run(&command("EVAL", self.text, key, arguments), resend).await
            }
            result => result,
        }
    }
}

fn command(name: &str, script: &str, key: &str, arguments: &[&str]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(1).arg(key);
    for argument in arguments {
        command.arg(argument);
    }
    command
}

/// What [`REPLACE`] has returned.
pub(super) enum Swapped {
    Done,
    Gone,
    /// This is stored.
    Other(Vec<u8>),
}

impl TryFrom<Value> for Swapped {
    type Error = Failure;

    fn try_from(value: Value) -> Result<Self, Failure> {
        match value {
            Value::Int(1) => Ok(Self::Done),
            Value::Int(0) => Ok(Self::Gone),
            Value::BulkString(bytes) => Ok(Self::Other(bytes)),
            _ => Err(Failure::Odd),
        }
    }
}
