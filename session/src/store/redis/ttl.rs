//! When Redis lets a session expire: the rules of connect-redis.

use std::{fmt, sync::Arc, time::Duration};

use redis::Cmd;

use crate::{Lifetime, Record, StoreError, Stored};

/// What has been configured.
#[derive(Clone)]
pub(super) struct TtlRules {
    /// For sessions that end with the browser.
    pub(super) browser: Duration,
    /// Overrules what the cookie says.
    pub(super) by_record: Option<Arc<ByRecord>>,
    /// Redis never lets a session expire.
    pub(super) disabled: bool,
}

pub(super) type ByRecord = dyn Fn(&Record) -> Duration + Send + Sync;

/// When a key expires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Expiry {
    /// In so many seconds, at least one.
    After(u64),
    /// When it would have anyway.
    Kept,
    /// Never.
    Never,
    /// It has already.
    Past,
}

impl TtlRules {
    /// When a session expires that is stored as `record`.
    pub(super) fn expiry(&self, lifetime: Lifetime, record: &Stored) -> Result<Expiry, StoreError> {
        let duration = match (lifetime, &self.by_record) {
            (Lifetime::Unchanged, _) => return Ok(Expiry::Kept),
            (_, Some(by_record)) => by_record(&record.record()?),
            (Lifetime::For(duration), None) => duration,
            (Lifetime::Browser, None) => self.browser,
        };
        Ok(match whole_seconds(duration) {
            0 => Expiry::Past,
            _ if self.disabled => Expiry::Never,
            seconds => Expiry::After(seconds),
        })
    }

    /// When a session expires that is not to be removed by being stored. A date in the past comes from a stale record,
    /// not from a wish to end the session: that is what [`Store::destroy`](crate::Store::destroy) is for.
    pub(super) fn expiry_alive(&self, lifetime: Lifetime, record: &Stored) -> Result<Expiry, StoreError> {
        Ok(match self.expiry(lifetime, record)? {
            Expiry::Past if self.disabled => Expiry::Never,
            Expiry::Past => Expiry::After(1),
            expiry => expiry,
        })
    }

    /// As [`expiry_alive`](Self::expiry_alive) where there is no key yet whose expiry could be kept.
    pub(super) fn expiry_new(&self, lifetime: Lifetime, record: &Stored) -> Result<Expiry, StoreError> {
        let lifetime = if lifetime == Lifetime::Unchanged { Lifetime::Browser } else { lifetime };
        self.expiry_alive(lifetime, record)
    }
}

impl Expiry {
    /// Adds the option of `SET`.
    pub(super) fn option(self, command: &mut Cmd) {
        match self {
            Self::After(seconds) => command.arg("EX").arg(seconds),
            Self::Kept => command.arg("KEEPTTL"),
            Self::Never | Self::Past => command,
        };
    }

    /// As an argument of the scripts.
    pub(super) fn argument(self) -> String {
        match self {
            Self::After(seconds) => seconds.to_string(),
            Self::Kept => "keep".to_owned(),
            Self::Never | Self::Past => "never".to_owned(),
        }
    }
}

impl Default for TtlRules {
    fn default() -> Self {
        Self { browser: DAY, by_record: None, disabled: false }
    }
}

impl fmt::Debug for TtlRules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TtlRules")
            .field("browser", &self.browser)
            .field("by_record", &self.by_record.is_some())
            .field("disabled", &self.disabled)
            .finish()
    }
}

/// Rounded up, so that no session expires before its cookie.
fn whole_seconds(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    seconds.min(LONGEST_SECONDS)
}

/// As connect-redis.
const DAY: Duration = Duration::from_secs(86_400);

/// A century: as good as for ever, and no number that Redis refuses.
const LONGEST_SECONDS: u64 = 100 * 365 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        use Expiry::{After, Kept, Never, Past};
        use Lifetime::{Browser, For, Unchanged};
        let stored = Stored::from(r#"{"cookie":{},"hours":2}"#);
        let of = |rules: &TtlRules, lifetime| {
            (
                rules.expiry(lifetime, &stored).unwrap(),
                rules.expiry_alive(lifetime, &stored).unwrap(),
                rules.expiry_new(lifetime, &stored).unwrap(),
            )
        };
        let ms = Duration::from_millis;

        let rules = TtlRules::default();
        assert_eq!(of(&rules, Browser), (After(86_400), After(86_400), After(86_400)));
        assert_eq!(of(&rules, For(ms(1))), (After(1), After(1), After(1)));
        assert_eq!(of(&rules, For(ms(1000))), (After(1), After(1), After(1)));
        assert_eq!(of(&rules, For(ms(59_001))), (After(60), After(60), After(60)));
        assert_eq!(of(&rules, For(ms(0))), (Past, After(1), After(1)));
        assert_eq!(of(&rules, For(Duration::MAX)).0, After(LONGEST_SECONDS));
        assert_eq!(of(&rules, Unchanged), (Kept, Kept, After(86_400)));

        let rules = TtlRules { browser: ms(1500), disabled: true, ..TtlRules::default() };
        assert_eq!(of(&rules, Browser), (Never, Never, Never));
        assert_eq!(of(&rules, For(ms(0))), (Past, Never, Never));
        assert_eq!(of(&rules, Unchanged), (Kept, Kept, Never));

        let by_record = |record: &Record| {
            let hours: u64 = record.values.get("hours").unwrap().unwrap();
            Duration::from_secs(hours * 3600)
        };
        let rules = TtlRules { by_record: Some(Arc::new(by_record)), ..TtlRules::default() };
        assert_eq!(of(&rules, Browser), (After(7200), After(7200), After(7200)));
        assert_eq!(of(&rules, For(ms(0))), (After(7200), After(7200), After(7200)));
        assert_eq!(of(&rules, Unchanged), (Kept, Kept, After(7200)));
        assert!(matches!(rules.expiry(Browser, &Stored::from("[]")), Err(StoreError::Corrupt(_))));
    }
}
