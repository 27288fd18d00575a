use super::*;
use std::fmt::Debug;

type Server = Connection<&'static str>;
type Client = Connection<&'static str, ClientRole>;

const PACKETS: [&str; 5] = ["0/a,{}", r#"2/a,["x"]"#, "3/a,1[]", "1/a", "4/a,{}"];

/// Handles a packet; the first word of the outcome tells what it was.
fn handle<R: Role<Answer: Debug>>(
    connection: &mut Connection<&'static str, R>,
    text: &'static str,
) -> Result<String, Violation> {
    let packet = Packet::parse(&text.into(), 10).unwrap().0;
    let incoming = format!("{:?}", connection.handle_packet(packet)?);
    let word = incoming.trim_start_matches("Answer(").split(|c: char| !c.is_alphabetic()).next();
    Ok(word.unwrap().into())
}

fn check<R: Role<Answer: Debug>>(
    new: fn() -> Connection<&'static str, R>,
    states: &[fn(&mut Connection<&'static str, R>)],
    table: [&[Result<&str, Violation>]; 5],
) {
    for (text, row) in PACKETS.iter().zip(table) {
        assert_eq!(row.len(), states.len());
        for (state, expected) in states.iter().zip(row) {
            let mut connection = new();
            connection.admit("/other".into(), "other");
            state(&mut connection);
            assert_eq!(handle(&mut connection, text), expected.map(Into::into), "{text}");
            assert_eq!(
                connection.dismiss(|socket| *socket == "other").len(),
                1,
                "the other is not concerned"
            );
        }
    }
}

#[test]
fn every_packet_in_every_state_of_a_server() {
    let states: [fn(&mut Server); 4] = [
        |_| {},
        |connection| connection.begin("/a".into()),
        |connection| connection.admit("/a".into(), "socket"),
        |connection| {
            connection.admit("/a".into(), "socket");
            assert_eq!(connection.dismiss(|socket| *socket == "socket"), ["socket"]);
        },
    ];
    let (joined, not) = (Err(Violation::AlreadyJoined), Err(Violation::NotJoined));
    check(
        Server::server,
        &states,
        [
            &[Ok("Connect"), joined, joined, Ok("Connect")],
            &[not, not, Ok("Event"), Ok("Nothing")],
            &[not, not, Ok("Ack"), Ok("Nothing")],
            &[not, not, Ok("Disconnect"), Ok("Nothing")],
            &[Err(Violation::FromServerOnly); 4],
        ],
    );
}

#[test]
fn every_packet_in_every_state_of_a_client() {
    let states: [fn(&mut Client); 6] = [
        |_| {},
        |connection| connection.begin("/a".into()),
        |connection| {
            connection.admit("/a".into(), "socket");
            connection.dismiss(|socket| *socket == "socket");
            connection.begin("/a".into());
        },
        |connection| connection.admit("/a".into(), "socket"),
        |connection| {
            connection.admit("/a".into(), "socket");
            assert_eq!(connection.dismiss(|socket| *socket == "socket"), ["socket"]);
        },
        |connection| {
            connection.admit("/a".into(), "socket");
            assert_eq!(handle(connection, "1/a"), Ok("Disconnect".into()));
        },
    ];
    let (asked, nothing) = (Err(Violation::NotRequested), Ok("Nothing"));
    check(
        Client::client,
        &states,
        [
            &[asked, Ok("Connect"), Ok("Connect"), asked, asked, asked],
            &[nothing, Ok("Early"), nothing, Ok("Event"), nothing, nothing],
            &[nothing, nothing, nothing, Ok("Ack"), nothing, nothing],
            &[nothing, nothing, nothing, Ok("Disconnect"), nothing, nothing],
            &[asked, Ok("Refused"), Ok("Refused"), asked, asked, asked],
        ],
    );
}

#[test]
fn leaving_and_joining_again() {
    let mut server = Server::default();
    server.begin("/".into());
    server.refuse("/");
    assert!(!server.has_joined() && server.is_empty());
    server.begin("/".into());
    server.admit("/".into(), "first");
    assert_eq!(handle(&mut server, "1"), Ok("Disconnect".into()));
    assert_eq!(handle(&mut server, "0"), Ok("Connect".into()));
    server.admit("/".into(), "second");
    server.admit("/b".into(), "third");
    assert_eq!(server.dismiss(|socket| *socket == "second"), ["second"]);
    assert_eq!(server.len(), 2);
    assert_eq!(handle(&mut server, "1"), Ok("Nothing".into()));
    assert_eq!(handle(&mut server, "1"), Err(Violation::NotJoined));
    assert_eq!(server.close(), ["third"]);
    assert!(server.is_empty());
}

#[test]
fn a_client_tells_a_new_membership_from_the_last() {
    let event = r#"2["x"]"#;
    let mut client = Client::client();
    client.begin("/".into());
    client.admit("/".into(), "first");
    assert_eq!(client.dismiss(|_| true), ["first"]);
    client.begin("/".into());
    assert_eq!(handle(&mut client, event), Ok("Nothing".into()));
    assert_eq!(handle(&mut client, "1"), Ok("Nothing".into()), "the end of the first");
    assert_eq!(handle(&mut client, r#"4{"message":"no"}"#), Ok("Refused".into()));
    // The refusal came after all there was of the first.
    client.begin("/".into());
    assert_eq!(handle(&mut client, event), Ok("Early".into()));
    assert_eq!(handle(&mut client, r#"0{"sid":"x"}"#), Ok("Connect".into()));
    client.admit("/".into(), "second");
    assert_eq!(handle(&mut client, event), Ok("Event".into()));
    assert_eq!(client.close(), ["second"]);
}
