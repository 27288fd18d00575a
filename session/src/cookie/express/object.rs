//! `test/cookie.js`: `new Cookie()`, 18 cases.

use super::*;
use crate::{Priority, cookie::date::Date};

fn cookie(options: &CookieOptions) -> CookieState {
    options.state(now(), false)
}

fn stored(json: &str) -> Result<CookieState, serde_json::Error> {
    serde_json::from_str(json)
}

mod without_options {
    use super::*;

    #[test]
    fn creates_a_cookie_object() {
        assert_eq!(CookieState::default(), cookie(&CookieOptions::default()));
    }

    #[test]
    fn defaults_expires_to_none() {
        assert_eq!(CookieState::default().expires(), None);
    }

    #[test]
    fn defaults_http_only_to_true() {
        assert!(CookieState::default().http_only());
    }

    #[test]
    fn defaults_path_to_the_root() {
        assert_eq!(CookieState::default().path(), Some("/"));
    }

    #[test]
    fn defaults_max_age_to_none() {
        assert_eq!(CookieState::default().max_age(now()), None);
        assert_eq!(CookieState::default().original_max_age(), None);
    }
}

mod with_options {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn creates_a_cookie_object() {
        assert_eq!(stored("{}").unwrap(), CookieState::default());
    }

    #[test]
    fn rejects_what_is_no_object() {
        for json in ["42", r#""foo""#, "true", "null"] {
            assert!(stored(json).is_err(), "{json}");
        }
    }

    #[test]
    fn ignores_a_data_option() {
        let cookie = stored(r#"{"data":{"foo":"bar"},"path":"/foo"}"#).unwrap();
        assert_eq!(cookie.path(), Some("/foo"));
        assert!(!serde_json::to_string(&cookie).unwrap().contains("bar"));
    }

    #[test]
    fn expires_sets_expires() {
        assert_eq!(cookie(&CookieOptions::default().expires(now() + MINUTE)).expires(), Some(now() + MINUTE));
    }

    #[test]
    fn expires_sets_max_age() {
        let cookie = cookie(&CookieOptions::default().expires(now() + MINUTE));
        assert_eq!((cookie.max_age(now()), cookie.original_max_age()), (Some(MINUTE), Some(MINUTE)));
    }

    #[test]
    fn http_only_sets_http_only() {
        assert!(!cookie(&CookieOptions::default().http_only(false)).http_only());
    }

    #[test]
    fn max_age_sets_expires() {
        assert_eq!(cookie(&CookieOptions::default().max_age(MINUTE)).expires(), Some(now() + MINUTE));
    }

    #[test]
    fn max_age_sets_max_age() {
        let cookie = cookie(&CookieOptions::default().max_age(MINUTE));
        assert_eq!(cookie.max_age(now()), Some(MINUTE));
        assert_eq!(cookie.max_age(now() + MINUTE / 2), Some(MINUTE / 2));
    }

    /// Deprecated there, and another method here: the session ends at that time.
    #[test]
    fn max_age_accepts_a_date() {
        let mut cookie = CookieState::default();
        cookie.set_expires(Some(now() + MINUTE), now());
        assert_eq!((cookie.expires(), cookie.max_age(now())), (Some(now() + MINUTE), Some(MINUTE)));
    }

    /// An option of another type does not compile; stored by others, it counts as none.
    #[test]
    fn max_age_rejects_other_types() {
        for json in [r#"{"originalMaxAge":"42"}"#, r#"{"originalMaxAge":true}"#, r#"{"originalMaxAge":{}}"#] {
            let mut cookie = stored(json).unwrap();
            cookie.touch(Date::parse("2030-01-01T00:00:00Z").unwrap().into());
            assert_eq!(cookie, CookieState::default(), "{json}");
        }
    }

    #[test]
    fn partitioned_sets_partitioned() {
        assert!(cookie(&CookieOptions::default().partitioned(true)).partitioned());
    }

    #[test]
    fn path_sets_path() {
        assert_eq!(cookie(&CookieOptions::default().path("/foo")).path(), Some("/foo"));
    }

    #[test]
    fn priority_sets_priority() {
        assert_eq!(
            cookie(&CookieOptions::default().priority(Priority::High)).priority(),
            Some(Priority::High)
        );
    }
}
