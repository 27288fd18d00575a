//! `genid option`, `key option`, `name option`.

use session::Sid;

use super::{
    empty, sessions,
    support::{Answer, Spy},
};

/// The answer to a first request where this id is given out.
async fn with_id(id: &'static str) -> Answer {
    empty(sessions(&Spy::default()).generate_id(move |_| Sid::from(id))).visit("/").await
}

mod genid_option {
    use super::*;

    #[tokio::test]
    async fn provides_default_generator() {
        let site = empty(sessions(&Spy::default()));
        let (one, two) = (site.visit("/").await.sid(), site.visit("/").await.sid());
        assert_eq!((one.as_str().len(), two.as_str().len()), (32, 32));
        assert_ne!(one, two);
    }

    #[tokio::test]
    async fn allows_custom_function() {
        let cookie = "connect.sid=s%3Aapple.D8Y%2BpkTAmeR0PobOhY4G97PRW%2Bj7bUnP%2F5m6%2FOn1MCU";
        assert_eq!(with_id("apple").await.cookie(), cookie);
    }

    #[tokio::test]
    async fn encodes_unsafe_chars() {
        let cookie = "connect.sid=s%3A%25.kzQ6x52kKVdF35Qh62AWk4ZekS28K5XYCXKa%2FOTZ01g";
        assert_eq!(with_id("%").await.cookie(), cookie);
    }

    #[tokio::test]
    async fn provides_the_request() {
        let site = empty(sessions(&Spy::default()).generate_id(|request| Sid::from(request.path)));
        let cookie = "connect.sid=s%3A%2Ffoo.paEKBtAHbV5s1IB8B2zPnzAgYmmnRPIqObW4VRYj%2FMQ";
        assert_eq!(site.visit("/foo").await.cookie(), cookie);
    }

    /// There the second one overwrites the session of the first.
    #[tokio::test]
    async fn an_id_in_use_is_not_given_to_another() {
        let store = Spy::default();
        let site =
            super::super::site(sessions(&store).generate_id(|_| Sid::from("apple")), super::super::counts);
        let first = site.visit("/").await.says("hits: 1");
        let second = site.visit("/").await.says("hits: 1");
        assert_ne!(second.sid(), first.sid());
        assert_eq!(store.value(&first.sid(), "count").await, Some(1));
        assert_eq!(store.value(&second.sid(), "count").await, Some(1));
    }
}

/// `key` is the old name of `name`; ours has one.
mod key_and_name_options {
    use super::*;

    #[tokio::test]
    async fn default_to_connect_sid() {
        assert!(empty(sessions(&Spy::default())).visit("/").await.cookie().starts_with("connect.sid="));
    }

    #[tokio::test]
    async fn set_the_cookie_name() {
        let site = empty(sessions(&Spy::default()).cookie_name("session_id"));
        assert!(site.visit("/").await.cookie().starts_with("session_id="));
    }
}
