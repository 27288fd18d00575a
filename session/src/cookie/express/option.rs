//! `test/session.js`: the options `proxy`, 6 of 7 cases, and `cookie`, 23 cases.
//!
//! The seventh has Express disagree with us about the proxy; here it depends on what the caller passes on.

use super::*;

fn options() -> CookieOptions {
    CookieOptions::default()
}

mod proxy {
    use super::*;

    fn secure() -> CookieOptions {
        options().secure(true).max_age(Duration::from_millis(5))
    }

    mod when_enabled {
        use super::*;

        #[test]
        fn trusts_the_header() {
            assert!(App::trusting(secure()).get(forwarded("https")).is_some());
        }

        #[test]
        fn trusts_the_header_when_a_list() {
            assert!(App::trusting(secure()).get(forwarded("https,http")).is_some());
        }

        #[test]
        fn works_without_the_header() {
            assert_eq!(App::trusting(secure()).get(PLAIN), None);
        }
    }

    mod when_disabled {
        use super::*;

        #[test]
        fn does_not_trust_the_header() {
            assert_eq!(App::new(secure()).get(forwarded("https")), None);
        }
    }

    mod when_unspecified {
        use super::*;

        #[test]
        fn does_not_trust_the_header() {
            assert_eq!(TrustProxy::default(), TrustProxy::No);
            let app = App { trust: TrustProxy::default(), ..App::new(secure()) };
            assert_eq!(app.get(forwarded("https")), None);
        }

        #[test]
        fn uses_what_the_framework_says() {
            assert!(App::new(secure()).get(Get { secure: true, ..forwarded("https") }).is_some());
        }
    }
}

mod path {
    use super::*;

    fn app() -> App {
        App::new(options().path("/foo/bar"))
    }

    #[test]
    fn no_cookie_for_the_root() {
        assert_eq!(app().get(at("/")), None);
    }

    /// The path of `GET http://foo/bar` is `/bar`.
    #[test]
    fn no_cookie_for_a_host_of_that_name() {
        let uri: http::Uri = "http://foo/bar".parse().unwrap();
        assert_eq!(app().get(at(uri.path())), None);
    }

    #[test]
    fn cookie_for_the_path() {
        assert!(app().get(at("/foo/bar")).is_some());
    }

    #[test]
    fn cookie_below_the_path() {
        assert!(app().get(at("/foo/bar/baz")).is_some());
        // A prefix of the text, as there; browsers will not send the cookie back to this one.
        assert!(app().get(at("/foo/barbaz")).is_some());
    }

    /// The path is the one that the browser sent, so a router that cuts `/foo` off changes nothing.
    mod when_mounted_at_foo {
        use super::*;

        #[test]
        fn cookie_for_the_whole_path() {
            assert!(app().get(at("/foo/bar")).is_some());
        }

        #[test]
        fn no_cookie_for_the_mounted_path() {
            assert_eq!(app().get(at("/foo/foo/bar")), None);
        }
    }
}

mod secure_auto {
    use super::*;

    fn auto() -> CookieOptions {
        options().secure_auto().max_age(Duration::from_millis(5))
    }

    #[test]
    fn secure_if_a_trusted_proxy_says_so() {
        assert_cookie(App::trusting(auto()).get(forwarded("https")).as_deref(), &["Secure"], &[]);
    }

    #[test]
    fn not_secure_if_the_proxy_is_not_trusted() {
        assert_cookie(App::new(auto()).get(forwarded("https")).as_deref(), &[], &["Secure"]);
    }

    #[test]
    fn secure_if_the_connection_is() {
        assert_cookie(App::new(auto()).get(SECURE).as_deref(), &["Secure"], &[]);
    }

    #[test]
    fn not_secure_if_the_connection_is_not() {
        assert_cookie(App::new(auto()).get(PLAIN).as_deref(), &[], &["Secure"]);
    }
}

mod function {
    use super::*;

    #[test]
    fn is_called_and_its_options_are_used() {
        let app = App::choosing(|_| options().path("/test").http_only(true).secure(false));
        assert_cookie(app.get(at("/test")).as_deref(), &["Path=/test", "HttpOnly"], &["Secure"]);
        assert_eq!(app.get(at("/")), None);
    }

    #[test]
    fn is_given_the_request() {
        let app = App::choosing(|request| options().path(request.path).http_only(true).secure(false));
        assert_cookie(app.get(at("/test")).as_deref(), &["Path=/test", "HttpOnly"], &["Secure"]);
    }

    /// Not so there, where the word itself gets into the cookie.
    #[test]
    fn may_leave_it_to_the_request() {
        let app = App::choosing(|_| options().secure_auto().same_site_auto());
        assert_cookie(app.get(SECURE).as_deref(), &["Secure", "SameSite=None"], &[]);
        assert_cookie(app.get(PLAIN).as_deref(), &["SameSite=Lax"], &["Secure"]);
    }
}

mod same_site_auto {
    use super::*;

    fn auto() -> CookieOptions {
        options().same_site_auto()
    }

    #[test]
    fn none_for_secure_connections() {
        assert_cookie(App::new(auto()).get(SECURE).as_deref(), &["SameSite=None"], &[]);
    }

    #[test]
    fn lax_for_insecure_connections() {
        assert_cookie(App::new(auto()).get(PLAIN).as_deref(), &["SameSite=Lax"], &[]);
    }

    mod with_proxy {
        use super::*;

        #[test]
        fn none_if_a_trusted_proxy_says_https() {
            assert_cookie(App::trusting(auto()).get(forwarded("https")).as_deref(), &["SameSite=None"], &[]);
        }

        #[test]
        fn lax_if_a_trusted_proxy_says_http() {
            assert_cookie(App::trusting(auto()).get(forwarded("http")).as_deref(), &["SameSite=Lax"], &[]);
        }

        #[test]
        fn lax_if_the_proxy_is_not_trusted() {
            assert_cookie(App::new(auto()).get(forwarded("https")).as_deref(), &["SameSite=Lax"], &[]);
        }
    }

    mod with_secure_auto {
        use super::*;

        #[test]
        fn both_when_secure() {
            assert_cookie(
                App::new(auto().secure_auto()).get(SECURE).as_deref(),
                &["Secure", "SameSite=None"],
                &[],
            );
        }

        #[test]
        fn neither_when_insecure() {
            assert_cookie(
                App::new(auto().secure_auto()).get(PLAIN).as_deref(),
                &["SameSite=Lax"],
                &["Secure"],
            );
        }
    }

    mod with_secure_false {
        use super::*;

        #[test]
        fn none_without_secure_when_secure() {
            assert_cookie(
                App::new(auto().secure(false)).get(SECURE).as_deref(),
                &["SameSite=None"],
                &["Secure"],
            );
        }

        #[test]
        fn lax_without_secure_when_insecure() {
            assert_cookie(
                App::new(auto().secure(false)).get(PLAIN).as_deref(),
                &["SameSite=Lax"],
                &["Secure"],
            );
        }
    }

    mod with_secure_true {
        use super::*;

        #[test]
        fn both_when_secure() {
            assert_cookie(
                App::new(auto().secure(true)).get(SECURE).as_deref(),
                &["Secure", "SameSite=None"],
                &[],
            );
        }

        #[test]
        fn no_cookie_when_insecure() {
            assert_eq!(App::new(auto().secure(true)).get(PLAIN), None);
        }
    }
}
