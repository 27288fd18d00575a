//! `test/session.js`: `req.session.cookie`, the 17 of 22 cases that need no second request and no server.

use super::*;
use crate::{InvalidCookie, Priority};

fn options() -> CookieOptions {
    CookieOptions::default()
}

mod all {
    use super::*;

    #[test]
    fn serializes_as_parameters() {
        let header = App::trusting(options()).get_with(forwarded("https"), |cookie| {
            cookie.set_http_only(false);
            cookie.set_secure(true);
        });
        assert_cookie(header.as_deref(), &["Secure"], &["HttpOnly"]);
    }

    #[test]
    fn defaults_to_a_browser_session() {
        assert_cookie(
            App::new(options().path("/admin")).get(at("/admin")).as_deref(),
            &[],
            &["Expires", "Max-Age"],
        );
    }

    #[test]
    fn overrides_defaults() {
        let five_seconds = Duration::from_secs(5);
        let options = options().http_only(false).max_age(five_seconds).path("/admin").secure(true);
        let app = App::new(options.priority(Priority::High));
        let header = app.get_with(at("/admin"), |cookie| cookie.set_secure(false));
        let expires = "Expires=Tue, 01 Jan 2030 00:00:05 GMT";
        assert_cookie(header.as_deref(), &[expires, "Path=/admin", "Priority=High"], &["HttpOnly", "Secure"]);
    }

    /// There an invalid date is one way; it has no such value here.
    #[test]
    fn forwards_errors_setting_the_cookie() {
        let cookie: CookieState = serde_json::from_str(r#"{"sameSite":"weird"}"#).unwrap();
        assert_eq!(cookie.set_cookie("connect.sid", "s:1.2"), Err(InvalidCookie("sameSite")));
    }
}

mod original_max_age {
    use super::*;

    const AGE: Duration = Duration::from_secs(2);

    #[test]
    fn equals_the_option() {
        assert_eq!(options().max_age(AGE).state(now(), false).original_max_age(), Some(AGE));
    }

    /// Without the loss of a millisecond now and then that theirs has.
    #[test]
    fn equals_the_option_for_all_requests() {
        let mut cookie = options().max_age(AGE).state(now(), false);
        for request in 1..10_000 {
            cookie.touch(now() + Duration::from_micros(request * 100_700));
            assert_eq!(cookie.original_max_age(), Some(AGE));
        }
    }

    #[test]
    fn equals_the_option_from_a_store_that_keeps_text() {
        let mut json = serde_json::to_string(&options().max_age(AGE).state(now(), false)).unwrap();
        for request in 1..100 {
            let mut cookie: CookieState = serde_json::from_str(&json).unwrap();
            cookie.touch(now() + Duration::from_micros(request * 100_700));
            assert_eq!(cookie.original_max_age(), Some(AGE));
            json = serde_json::to_string(&cookie).unwrap();
        }
    }
}

mod secure {
    use super::*;

    #[test]
    fn cookie_when_secure() {
        assert_cookie(App::new(options().secure(true)).get(SECURE).as_deref(), &["Secure"], &[]);
    }

    #[test]
    fn no_cookie_when_insecure() {
        assert_eq!(App::new(options().secure(true)).get(PLAIN), None);
    }
}

mod max_age {
    use super::*;

    fn app() -> App {
        App::new(options().max_age(Duration::from_secs(2)))
    }

    #[test]
    fn sets_expires_relative_to_it() {
        assert_cookie(app().get(PLAIN).as_deref(), &["Expires=Tue, 01 Jan 2030 00:00:02 GMT"], &[]);
    }

    #[test]
    fn modifies_expires_when_changed() {
        let page = |cookie: &mut CookieState| cookie.set_max_age(Some(Duration::from_secs(5)), now());
        assert_cookie(
            app().get_with(PLAIN, page).as_deref(),
            &["Expires=Tue, 01 Jan 2030 00:00:05 GMT"],
            &[],
        );
    }

    #[test]
    fn modifies_expires_when_changed_to_a_large_value() {
        let page = |cookie: &mut CookieState| cookie.set_max_age(Some(Duration::from_secs(3_000_000)), now());
        assert_cookie(
            app().get_with(PLAIN, page).as_deref(),
            &["Expires=Mon, 04 Feb 2030 17:20:00 GMT"],
            &[],
        );
    }
}

mod expires {
    use super::*;

    #[test]
    fn date_is_absolute() {
        let page = |cookie: &mut CookieState| cookie.set_expires(Some(UNIX_EPOCH), now());
        let header = App::new(options()).get_with(PLAIN, page);
        assert_cookie(header.as_deref(), &["Expires=Thu, 01 Jan 1970 00:00:00 GMT"], &[]);
    }

    #[test]
    fn none_is_a_browser_session() {
        let app = App::new(options().max_age(Duration::from_secs(2)));
        assert_cookie(
            app.get_with(PLAIN, |cookie| cookie.set_expires(None, now())).as_deref(),
            &[],
            &["Expires"],
        );
    }
}

mod partitioned {
    use super::*;

    #[test]
    fn not_by_default() {
        assert_cookie(App::new(options()).get(PLAIN).as_deref(), &[], &["Partitioned"]);
    }

    #[test]
    fn not_when_false() {
        assert_cookie(App::new(options().partitioned(false)).get(PLAIN).as_deref(), &[], &["Partitioned"]);
    }

    #[test]
    fn when_true() {
        assert_cookie(App::new(options().partitioned(true)).get(PLAIN).as_deref(), &["Partitioned"], &[]);
    }
}
