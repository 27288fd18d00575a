//! What express-session and connect-redis do with requests, and with Redis for them: recorded with `MONITOR`, and done
//! again here. The cookies are the same but for ids and dates, and so is what lies in Redis afterwards, with its expiry.
//!
//! | there | here | why |
//! |---|---|---|
//! | `SET` of a new session | `SET NX` | an id in use is not taken |
//! | `SET` of one that is there | `EVALSHA`: compare and set | nobody's change is lost |
//! | `SET` of one that was only read (`resave`, trace A) | `EXPIRE` | nobody's change is overwritten by what was only read |
//! | `DEL` and `SET` at a login (F) | `SET`, then `DEL` | a store that fails in between logs nobody out |
//! | nothing after `req.session = null` (F) | `EXPIRE` | a page cannot lose its session, only end it |
//! | a `maxAge` that changes alone: `EXPIRE`, and lost with the next request (H) | saved like a value | so that it lasts |
//! | one in the past (H): `DEL`, and a cookie that has expired | `DEL` | the browser's cookie means nothing |

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use session::{CookieOptions, Priority, Reload, SameSite, Session, Sessions, SessionsBuilder, TrustProxy};

use crate::{
    server::Server,
    support::{Answer, SECRET, Site},
};

macro_rules! traces {
    ($($name:ident: $letter:literal,)*) => {
        $(#[tokio::test]
        async fn $name() {
            replay($letter).await;
        })*

        #[test]
        fn all_are_replayed() {
            assert_eq!(recorded().len(), [$($letter),*].len());
        }
    };
}

traces! {
    saves_all_and_again: "A",
    login: "B",
    all_attributes_behind_a_proxy: "C",
    rolling: "D",
    types: "E",
    regenerate_and_destroy: "F",
    unset_destroy: "G",
    explicit_save: "H",
    touch_leaves_the_record: "I",
    disabled_touch: "J",
    disabled_ttl: "K",
    ttl_option: "L",
    bad_and_unknown_cookies: "M",
    secret_rotation: "N",
}

fn recorded() -> Vec<Value> {
    serde_json::from_str(include_str!("../vectors/http_redis_trace.json")).unwrap()
}

async fn replay(letter: &str) {
    let trace = recorded().into_iter().find(|trace| name(trace).starts_with(letter)).unwrap();
    let server = Server::start();
    let sessions = options(&trace["opts"], server_store(&server, &trace["store"]).await).build().unwrap();
    let unset = trace["opts"]["unset"] == "destroy";
    let site = Site::new(&sessions, move |session, path| async move {
        page(&session, &path, unset).await;
        String::new()
    });
    let mut monitor = Monitor::start(&server);
    let (mut jar, mut theirs, mut ours) = (None::<String>, Names::default(), Names::default());
    let mut before = String::new();
    for step in trace["steps"].as_array().unwrap() {
        if let Some(pause) = step["sleep_ms"].as_u64() {
            // The recorded dates are as far apart.
            tokio::time::sleep(Duration::from_millis(pause)).await;
            continue;
        }
        let request = step["request"].as_str().unwrap().strip_prefix("GET ").unwrap();
        let (path, extra) = request.split_once(" +").unwrap_or((request, ""));
        let mut headers: Vec<_> = extra.split(',').filter_map(|header| header.split_once(": ")).collect();
        if !extra.contains("NOCOOKIE") {
            headers.extend(jar.as_deref().map(|cookie| ("Cookie", cookie)));
        }
        let asked = SystemTime::now();
        let answer = site.ask(path, &headers).await;
        assert_eq!(answer.status, 200, "{request}");
        let what = format!("{letter} {request}");
        let commands = monitor.until_now(&server, &mut ours);
        assert_eq!(commands, expected_commands(letter, path, step, &before, &mut theirs), "{what}");
        if !ended_by_age(letter, path) {
            compare_cookies(&what, letter, &answer, step, asked);
        }
        before = compare_stored(&what, letter, &server, step, (&mut theirs, &mut ours));
        // What was asked here is not what is compared.
        monitor.until_now(&server, &mut ours);
        if !answer.set_cookies.is_empty() && !extra.contains("NOCOOKIE") {
            jar = Some(answer.cookie().to_owned());
        }
    }
}

fn name(trace: &Value) -> &str {
    trace["name"].as_str().unwrap()
}

async fn server_store(server: &Server, options: &Value) -> session::RedisStore {
    let mut builder = server.builder();
    for (key, value) in options.as_object().unwrap() {
        builder = match &key[..] {
            "prefix" => builder.prefix(value.as_str().unwrap()),
            "ttl" => builder.ttl(Duration::from_secs(value.as_u64().unwrap())),
            "disableTTL" => builder.disable_ttl(),
            "disableTouch" => builder.disable_touch(),
            other => panic!("unknown option {other}"),
        };
    }
    builder.connect().await.unwrap()
}

fn options(options: &Value, store: session::RedisStore) -> SessionsBuilder {
    // Only what requests ask is recorded.
    let mut builder = Sessions::builder(store).reload(Reload::Never);
    let mut cookie = CookieOptions::default();
    for (key, value) in options["cookie"].as_object().into_iter().flatten() {
        cookie = match &key[..] {
            "maxAge" => cookie.max_age(Duration::from_millis(value.as_u64().unwrap())),
            "secure" => cookie.secure_auto(),
            "sameSite" => cookie.same_site(SameSite::Lax),
            "domain" => cookie.domain(value.as_str().unwrap()),
            "partitioned" => cookie.partitioned(true),
            "priority" => cookie.priority(Priority::High),
            other => panic!("unknown option {other}"),
        };
    }
    for (key, value) in options.as_object().unwrap() {
        builder = match &key[..] {
            "proxy" => builder.trust_proxy(TrustProxy::All),
            "rolling" => builder.rolling(true),
            "saveUninitialized" => builder.save_uninitialized(true),
            "secret" => value
                .as_array()
                .unwrap()
                .iter()
                .fold(builder, |builder, key| builder.secret(key.as_str().unwrap())),
            "cookie" | "resave" | "unset" => builder,
            other => panic!("unknown option {other}"),
        };
    }
    let builder = if options["secret"].is_null() { builder.secret(SECRET) } else { builder };
    builder.cookie(cookie)
}

/// The pages of the recorded application.
async fn page(session: &Session, path: &str, unset: bool) {
    match path {
        "/login" => {
            session.insert("user", &serde_json::json!({ "id": 7, "name": "Jörg 😀" })).unwrap();
            session.insert("views", &1).unwrap();
        }
        "/incr" => {
            let views: u64 = session.get("views").unwrap().unwrap_or(0) + 1;
            session.insert("views", &views).unwrap();
        }
        "/types" => {
            let stored = recorded()[4]["steps"][0]["redis_after"].clone();
            let (_, stored) = stored.as_object().unwrap().iter().next().unwrap();
            let values: HashMap<String, Box<serde_json::value::RawValue>> =
                serde_json::from_str(stored["value"].as_str().unwrap()).unwrap();
            values
                .iter()
                .filter(|(key, _)| *key != "cookie")
                .for_each(|(key, value)| session.insert(key, value).unwrap());
        }
        "/regen" => {
            session.regenerate().unwrap();
            session.insert("fresh", &true).unwrap();
        }
        "/destroy" => session.destroy().await.unwrap(),
        "/null" if unset => session.destroy().await.unwrap(),
        "/savetwice" => {
            session.insert("a", &1).unwrap();
            session.save().await.unwrap();
            session.save().await.unwrap();
        }
        "/maxage" => session.set_max_age(Some(Duration::from_secs(5))),
        "/expired" => session.set_max_age(Some(Duration::ZERO)),
        _ => {}
    }
}

fn ended_by_age(letter: &str, path: &str) -> bool {
    letter == "H" && path == "/expired"
}

/// What ours are to be where theirs are those of this step.
fn expected_commands(letter: &str, path: &str, step: &Value, before: &str, names: &mut Names) -> Vec<String> {
    let mut commands = Vec::new();
    for line in step["redis_cmds"].as_array().unwrap() {
        let words: Vec<&str> =
            line.as_str().unwrap().splitn(3, ' ').map(|word| word.trim_matches('"')).collect();
        let key = names.of(words[1]);
        let verb = match words[0] {
            "SET" if !before.contains(&key) => "SET NX",
            "SET" if (letter, path) == ("A", "/noop") => "EXPIRE",
            "SET" => "CAS",
            "EXPIRE" if (letter, path) == ("H", "/maxage") => "CAS",
            other => other,
        };
        commands.push(format!("{verb} {key}"));
    }
    match (letter, path) {
        ("F", "/regen") => commands.swap(1, 2),
        ("F", "/null") => commands.push(commands[0].replace("GET", "EXPIRE")),
        _ => {}
    }
    commands
}

fn compare_cookies(what: &str, letter: &str, answer: &Answer, step: &Value, asked: SystemTime) {
    let theirs: Vec<&str> =
        step["set_cookie"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    if (letter, what) == ("H", "H /maxage") {
        assert!(theirs.is_empty(), "lost there");
        let left = seconds_left(answer.attribute("Expires").unwrap(), asked);
        assert!((3.0..=6.0).contains(&left), "{left}");
        return;
    }
    assert_eq!(answer.set_cookies.len(), theirs.len(), "{what}: {:?}", answer.set_cookies);
    for (ours, theirs) in answer.set_cookies.iter().zip(theirs) {
        let theirs = theirs.strip_prefix("Set-Cookie: ").unwrap();
        assert_eq!(masked_cookie(ours), masked_cookie(theirs), "{what}");
        if let (Some(ours), Some(theirs)) = (expires(ours), expires(theirs)) {
            let at = time_of(step["at"].as_str().unwrap());
            let difference = seconds_left(ours, asked) - seconds_left(theirs, at);
            assert!(difference.abs() <= 2.0, "{what}: {difference}");
        }
    }
}

/// Without the id and the date.
fn masked_cookie(line: &str) -> String {
    let parts = line.split("; ").enumerate().map(|(at, part)| match part.split_once('=') {
        Some((name, value)) if at == 0 => format!("{name}={}", &value[..4]),
        Some(("Expires", _)) => "Expires".to_owned(),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("; ")
}

fn expires(line: &str) -> Option<&str> {
    line.split("; ").find_map(|part| part.strip_prefix("Expires="))
}

fn seconds_left(date: &str, now: SystemTime) -> f64 {
    let date = httpdate::parse_http_date(date).unwrap();
    date.duration_since(now).map_or_else(|early| -early.duration().as_secs_f64(), |left| left.as_secs_f64())
}

/// The time of an ISO date, by way of one that HTTP knows.
fn time_of(iso: &str) -> SystemTime {
    let json = format!(r#"{{"cookie":{{"expires":"{iso}"}}}}"#);
    session::Record::from_json(&json).unwrap().cookie.expires().unwrap()
}

/// Compares all of Redis, and returns which keys there are.
fn compare_stored(
    what: &str,
    letter: &str,
    server: &Server,
    step: &Value,
    (their_names, our_names): (&mut Names, &mut Names),
) -> String {
    let mut theirs: Vec<_> = step["redis_after"].as_object().unwrap().iter().collect();
    theirs.sort_by_key(|(key, _)| their_names.of(key));
    let mut keys: Vec<String> = redis::from_redis_value(server.command(&["KEYS", "*"])).unwrap();
    keys.sort_by_key(|key| our_names.of(key));
    let named =
        |names: &mut Names, keys: &[&str]| keys.iter().map(|key| names.of(key)).collect::<Vec<_>>().join(" ");
    let all = named(their_names, &theirs.iter().map(|(key, _)| &key[..]).collect::<Vec<_>>());
    assert_eq!(named(our_names, &keys.iter().map(|key| &key[..]).collect::<Vec<_>>()), all, "{what}");
    for (key, (_, theirs)) in keys.iter().zip(theirs) {
        let (ttl, expected) = (server.integer(&["TTL", key]), theirs["ttl"].as_i64().unwrap());
        assert!((ttl - expected).abs() <= 1, "{what}: {ttl} seconds, not {expected}");
        let (ours, theirs) = (server.text(&["GET", key]).unwrap(), theirs["value"].as_str().unwrap());
        if what == "H /maxage" {
            assert!(
                theirs.contains(r#""originalMaxAge":60000"#) && ours.contains(r#""originalMaxAge":5000"#),
                "{ours}"
            );
        } else if letter == "E" {
            // JavaScript puts names that are numbers first.
            let parsed = |json: &str| serde_json::from_str::<Value>(json).unwrap();
            assert_eq!(parsed(&ours), parsed(theirs), "{what}");
        } else {
            assert_eq!(masked_record(&ours), masked_record(theirs), "{what}");
        }
    }
    all
}

fn masked_record(json: &str) -> String {
    match json.split_once(r#""expires":""#) {
        Some((before, rest)) => format!("{before}{}", rest.split_once('"').unwrap().1),
        None => json.to_owned(),
    }
}

/// Names for ids, in the order in which they appear.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn of(&mut self, key: &str) -> String {
        let at = self.0.iter().position(|known| known == key).unwrap_or_else(|| {
            self.0.push(key.to_owned());
            self.0.len() - 1
        });
        let prefix = key.split_once(':').map_or("", |(prefix, _)| prefix);
        format!("{prefix}:{at}")
    }
}

/// Sees every command that Redis is given.
struct Monitor(BufReader<TcpStream>);

impl Monitor {
    fn start(server: &Server) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut monitor = Self(BufReader::new(stream));
        assert!(monitor.line().starts_with("+OK"));
        monitor
    }

    /// What has been asked about sessions since this was last called.
    fn until_now(&mut self, server: &Server, names: &mut Names) -> Vec<String> {
        server.command(&["ECHO", "so far"]);
        let mut commands = Vec::new();
        loop {
            let line = self.line();
            let Some((head, command)) = line.split_once("] ") else { continue };
            let words: Vec<&str> = command.trim().split(' ').map(|word| word.trim_matches('"')).collect();
            let last = words.contains(&"NX");
            let (verb, key) = match words[0] {
                "ECHO" => return commands,
                // By the script, which is one command for us.
                _ if head.ends_with("lua") => continue,
                "SET" if last => ("SET NX", words[1]),
                // The first one of a Redis does not know the script.
                "EVAL" => continue,
                "EVALSHA" => ("CAS", words[3]),
                verb @ ("GET" | "SET" | "EXPIRE" | "DEL") => (verb, words[1]),
                _ => continue,
            };
            commands.push(format!("{verb} {}", names.of(key)));
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "Redis is gone");
        line
    }
}
