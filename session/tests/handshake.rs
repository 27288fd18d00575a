//! A page and a connection of one browser, through a real server.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::net::SocketAddr;

use engineio::{Server, handler_fn};
use session::{HandshakeExt as _, MemoryStore, Session, Sessions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

async fn get(server: SocketAddr, target: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

const POLL: &str = "/engine.io/?EIO=4&transport=polling";

#[tokio::test]
async fn a_page_and_a_connection_share_the_session() {
    let sessions = Sessions::builder(MemoryStore::default()).secret("keyboard cat").build().unwrap();
    let (connected, mut connections) = mpsc::unbounded_channel::<Session>();
    let pages = sessions.clone();
    let server = Server::builder()
        .handshake(sessions)
        .fallback(move |request| {
            let pages = pages.clone();
            async move {
                let session = pages.open(request.headers()).await.unwrap();
                session.insert("user", "ada").unwrap();
                let mut response = http::Response::default();
                pages.commit(&session, response.headers_mut()).await.unwrap();
                response
            }
        })
        .build(handler_fn(move |connection, mut events| {
            connected.send(connection.handshake().session().clone()).unwrap();
            async move { while events.next().await.is_some() {} }
        }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { server.serve(listener).await });

    let page = get(address, "/login", "").await;
    let (_, cookie) = page.split_once("connect.sid=").unwrap();
    let cookie = format!("Cookie: connect.sid={}\r\n", cookie.split(';').next().unwrap());

    let refused = get(address, POLL, &format!("{cookie}Origin: https://evil.example\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    let opened = get(address, POLL, &format!("{cookie}Origin: http://{address}\r\n")).await;
    assert!(opened.starts_with("HTTP/1.1 200 ") && !opened.contains("connect.sid"), "{opened}");
    let session = connections.recv().await.unwrap();
    assert_eq!(session.get::<String>("user").unwrap().as_deref(), Some("ada"));

    get(address, POLL, "").await;
    assert!(connections.recv().await.unwrap().is_new());
}
