//! Agreement with the npm package `socket.io-msgpack-parser` 3.0.2, which uses notepack.io 2.2.0, and the
//! corpus of the fuzz target.
//!
//! The messages were made in Node.js, in a folder with `npm install socket.io-msgpack-parser@3.0.2`, by
//!
//! ```js
//! new (require("socket.io-msgpack-parser").Encoder)().encode(PACKET)[0].toString("hex")
//! ```
#![cfg(feature = "msgpack")]
#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

use engineio::Message;
use socketio::{
    MsgPackError, MsgPackParser, Parser,
    packet::{AckId, Content, Packet, PacketError},
};
use std::{fs, path::Path};

#[allow(unreachable_pub, reason = "the module belongs to the fuzz crate, where it is reached")]
#[path = "../../fuzz/src/msgpack.rs"]
mod fuzz;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn decode(hex: &str) -> Result<Packet, MsgPackError> {
    match MsgPackParser.decoder().handle_message(Message::from(bytes(hex))) {
        Ok(packet) => Ok(packet.unwrap()),
        Err(error) => Err(*error.downcast().unwrap()),
    }
}

fn connect(namespace: &str, payload: Option<&str>) -> Packet {
    Packet { namespace: namespace.into(), content: Content::connect(payload.map(Into::into)).unwrap() }
}

fn connect_error(payload: &str) -> Packet {
    Packet { namespace: "/".into(), content: Content::connect_error(payload).unwrap() }
}

fn disconnect() -> Packet {
    Packet { namespace: "/".into(), content: Content::Disconnect }
}

fn event(namespace: &str, id: Option<u64>, json: &str, attachments: &[&'static str]) -> Packet {
    let attachments = attachments.iter().map(|&text| text.into()).collect();
    let content = Content::event(id.and_then(AckId::new), json, attachments).unwrap();
    Packet { namespace: namespace.into(), content }
}

fn ack(id: u64, json: &str, attachments: &[&'static str]) -> Packet {
    let attachments = attachments.iter().map(|&text| text.into()).collect();
    let content = Content::ack(AckId::new(id).unwrap(), json, attachments).unwrap();
    Packet { namespace: "/".into(), content }
}

/// The same bytes in both directions.
#[test]
fn says_what_javascript_says() {
    for (javascript, hex, packet) in [
        (r#"{type:0,nsp:"/"}"#, "82a47479706500a36e7370a12f", connect("/", None)),
        (
            r#"{type:0,data:{token:"t"},nsp:"/admin"}"#,
            "83a47479706500a46461746181a5746f6b656ea174a36e7370a62f61646d696e",
            connect("/admin", Some(r#"{"token":"t"}"#)),
        ),
        (
            r#"{type:0,data:{sid:"x"},nsp:"/"}"#,
            "83a47479706500a46461746181a3736964a178a36e7370a12f",
            connect("/", Some(r#"{"sid":"x"}"#)),
        ),
        (r#"{type:1,nsp:"/"}"#, "82a47479706501a36e7370a12f", disconnect()),
        (
            r#"{type:2,data:["a"],nsp:"/"}"#,
            "83a47479706502a46461746191a161a36e7370a12f",
            event("/", None, r#"["a"]"#, &[]),
        ),
        (
            r#"{type:2,data:["é\u0000\"😀",null,true,false],id:0,nsp:"/é"}"#,
            "84a47479706502a46461746194a8c3a90022f09f9880c0c3c2a2696400a36e7370a32fc3a9",
            event("/é", Some(0), r#"["é\u0000\"😀",null,true,false]"#, &[]),
        ),
        (
            r#"{type:2,data:["n",0,127,128,255,256,65535,65536,4294967295,4294967296,9007199254740991],nsp:"/"}"#,
            "83a47479706502a4646174619ba16e007fcc80ccffcd0100cdffffce00010000ceffffffffcf0000000100000000\
             cf001fffffffffffffa36e7370a12f",
            event(
                "/",
                None,
                r#"["n",0,127,128,255,256,65535,65536,4294967295,4294967296,9007199254740991]"#,
                &[],
            ),
        ),
        (
            r#"{type:2,data:["n",-1,-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-9007199254740991],nsp:"/"}"#,
            "83a47479706502a4646174619ba16effe0d0dfd080d1ff7fd18000d2ffff7fffd280000000d3ffffffff7fffffff\
             d3ffe0000000000001a36e7370a12f",
            event(
                "/",
                None,
                r#"["n",-1,-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-9007199254740991]"#,
                &[],
            ),
        ),
        (
            r#"{type:2,data:["f",0.5,-1e-7,5e-324,0.1],id:9007199254740991,nsp:"/"}"#,
            "84a47479706502a46461746195a166cb3fe0000000000000cbbe7ad7f29abcaf48cb0000000000000001\
             cb3fb999999999999aa26964cf001fffffffffffffa36e7370a12f",
            event("/", Some(AckId::MAX.value()), r#"["f",0.5,-1e-7,5e-324,0.1]"#, &[]),
        ),
        (
            r#"{type:2,data:["b",Buffer.from([1,2]),{c:[Buffer.alloc(0)]}],nsp:"/"}"#,
            "83a47479706502a46461746193a162c402010281a16391c400a36e7370a12f",
            event(
                "/",
                None,
                r#"["b",{"_placeholder":true,"num":0},{"c":[{"_placeholder":true,"num":1}]}]"#,
                &["\x01\x02", ""],
            ),
        ),
        (
            r#"{type:2,data:["deep",{b:[{}],a:[[]]}],id:128,nsp:"/"}"#,
            "84a47479706502a46461746192a46465657082a1629180a1619190a26964cc80a36e7370a12f",
            event("/", Some(128), r#"["deep",{"b":[{}],"a":[[]]}]"#, &[]),
        ),
        (
            r#"{type:2,data:["wide",[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]],nsp:"/"}"#,
            "83a47479706502a46461746192a477696465dc00100102030405060708090a0b0c0d0e0f10a36e7370a12f",
            event("/", None, r#"["wide",[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]]"#, &[]),
        ),
        (
            r#"{type:2,data:[1,"x".repeat(32)],nsp:"/"}"#,
            "83a47479706502a4646174619201d9207878787878787878787878787878787878787878787878787878787878787878\
             a36e7370a12f",
            event("/", None, r#"[1,"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]"#, &[]),
        ),
        (
            r#"{type:3,data:[],id:1,nsp:"/"}"#,
            "84a47479706503a46461746190a2696401a36e7370a12f",
            ack(1, "[]", &[]),
        ),
        (
            r#"{type:3,data:[Buffer.from("ok"),{a:1}],id:70000,nsp:"/"}"#,
            "84a47479706503a46461746192c4026f6b81a16101a26964ce00011170a36e7370a12f",
            ack(70000, r#"[{"_placeholder":true,"num":0},{"a":1}]"#, &["ok"]),
        ),
        (
            r#"{type:4,data:{message:"no",data:{code:1}},nsp:"/"}"#,
            "83a47479706504a46461746182a76d657373616765a26e6fa46461746181a4636f646501a36e7370a12f",
            connect_error(r#"{"message":"no","data":{"code":1}}"#),
        ),
        (
            r#"{type:4,data:"no",nsp:"/"}"#,
            "83a47479706504a464617461a26e6fa36e7370a12f",
            connect_error(r#""no""#),
        ),
    ] {
        assert_eq!(MsgPackParser.encode(&packet).unwrap(), [bytes(hex).into()], "{javascript}");
        assert_eq!(decode(hex), Ok(packet), "{javascript}");
    }
}

/// What JavaScript has more ways to say than JSON.
#[test]
fn understands_javascript() {
    let buffer = |num: u8| format!(r#"{{"_placeholder":true,"num":{num}}}"#);
    for (javascript, hex, packet) in [
        (
            r#"{type:2,data:["a",undefined],options:{compress:true},nsp:"/"}"#,
            "84a47479706502a46461746192a161d40000a76f7074696f6e7381a8636f6d7072657373c3a36e7370a12f",
            event("/", None, r#"["a",null]"#, &[]),
        ),
        (
            r#"{type:2,data:["a",{u:undefined,v:1,w:undefined}],id:undefined,nsp:"/"}"#,
            "84a47479706502a46461746192a16183a175d40000a17601a177d40000a26964d40000a36e7370a12f",
            event("/", None, r#"["a",{"v":1}]"#, &[]),
        ),
        (
            r#"{type:0,data:undefined,nsp:"/"}"#,
            "83a47479706500a464617461d40000a36e7370a12f",
            connect("/", None),
        ),
        (r#"{type:1,data:undefined,nsp:"/"}"#, "83a47479706501a464617461d40000a36e7370a12f", disconnect()),
        (
            r#"{type:2,data:["d",new Date(1704164645678),new Date(-1)],nsp:"/"}"#,
            "83a47479706502a46461746193a164d7000000018cc820db2ed700ffffffffffffffffa36e7370a12f",
            event("/", None, r#"["d","2024-01-02T03:04:05.678Z","1969-12-31T23:59:59.999Z"]"#, &[]),
        ),
        (
            // Its own mistake: 2^64 and more are written without their highest bits.
            r#"{type:2,data:["n",NaN,Infinity,-0,1e21,1e20],nsp:"/"}"#,
            "83a47479706502a46461746196a16ecb7ff8000000000000cb7ff000000000000000cf35c9adc5dea00000\
             cf6bc75e2d63100000a36e7370a12f",
            event("/", None, r#"["n",null,null,0,3875820019684212736,7766279631452241920]"#, &[]),
        ),
        (
            r#"{type:2,data:["ab",new Uint8Array([1,2]).buffer,new Uint8Array([3]),{toJSON(){return [4]}}],nsp:"/"}"#,
            "83a47479706502a46461746194a26162c702000102c70100039104a36e7370a12f",
            event("/", None, &format!(r#"["ab",{},{},[4]]"#, buffer(0), buffer(1)), &["\x01\x02", "\x03"]),
        ),
        (
            r#"{type:3,id:5,nsp:"/",data:[{"_placeholder":false,num:0}]}"#,
            "84a47479706503a2696405a36e7370a12fa4646174619182ac5f706c616365686f6c646572c2a36e756d00",
            ack(5, r#"[{"_placeholder":false,"num":0}]"#, &[]),
        ),
        (
            // Written by hand: type and id as floats, which JavaScript takes for integers.
            r#"{type:2.0,data:["a"],nsp:"/",id:5.0}"#,
            "84a474797065cb4000000000000000a46461746191a161a36e7370a12fa26964cb4014000000000000",
            event("/", Some(5), r#"["a"]"#, &[]),
        ),
        (
            // Refused by JavaScript, whose encoder sends no ids that are null.
            r#"{type:2,data:["a"],id:null,nsp:"/"}"#,
            "84a47479706502a46461746191a161a26964c0a36e7370a12f",
            event("/", None, r#"["a"]"#, &[]),
        ),
    ] {
        assert_eq!(decode(hex), Ok(packet), "{javascript}");
    }
}

#[test]
fn refuses_what_javascript_refuses() {
    for (javascript, hex, error) in [
        (r#"{type:2,data:["a"]}"#, "82a47479706502a46461746191a161", MsgPackError::Namespace(15)),
        (
            r#"{type:2,data:["a"],id:0.5,nsp:"/"}"#,
            "84a47479706502a46461746191a161a26964cb3fe0000000000000a36e7370a12f",
            MsgPackError::AckId(18),
        ),
        (
            r#"{type:0,data:null,nsp:"/"}"#,
            "83a47479706500a464617461c0a36e7370a12f",
            PacketError::Payload.into(),
        ),
        (
            r#"{type:0,data:[],nsp:"/"}"#,
            "83a47479706500a46461746190a36e7370a12f",
            PacketError::Payload.into(),
        ),
        (
            r#"{type:1,data:[],nsp:"/"}"#,
            "83a47479706501a46461746190a36e7370a12f",
            PacketError::Payload.into(),
        ),
        (
            r#"{type:5,data:["a"],nsp:"/"}"#,
            "83a47479706505a46461746191a161a36e7370a12f",
            MsgPackError::Type(6),
        ),
        (
            r#"{type:"2",data:["a"],nsp:"/"}"#,
            "83a474797065a132a46461746191a161a36e7370a12f",
            MsgPackError::Type(6),
        ),
        (r#"{type:1,nsp:"/"} and 0"#, "82a47479706501a36e7370a12f00", MsgPackError::TrailingBytes(13)),
        (r#"{type:4,data:5,nsp:"/"}"#, "83a47479706504a46461746105a36e7370a12f", PacketError::Payload.into()),
        ("[]", "90", MsgPackError::NotMap),
        ("no marker", "c1", MsgPackError::UnknownValue(0)),
    ] {
        assert_eq!(decode(hex), Err(error), "{javascript}");
    }
}

/// JavaScript's decoder lets these pass. They break rules of the default parser, or could pass for something
/// else here.
#[test]
fn refuses_more_than_javascript() {
    for (javascript, hex, error) in [
        (
            r#"{type:2,data:["a"],nsp:"x"}"#,
            "83a47479706502a46461746191a161a36e7370a178",
            MsgPackError::Namespace(19),
        ),
        (
            r#"{type:2,data:["a"],id:-1,nsp:"/"}"#,
            "84a47479706502a46461746191a161a26964ffa36e7370a12f",
            MsgPackError::AckId(18),
        ),
        (
            r#"{type:2,data:["a"],id:2**53,nsp:"/"}"#,
            "84a47479706502a46461746191a161a26964cf0020000000000000a36e7370a12f",
            MsgPackError::AckId(18),
        ),
        (
            r#"{type:3,data:["a"],nsp:"/"}"#,
            "83a47479706503a46461746191a161a36e7370a12f",
            PacketError::MissingAckId.into(),
        ),
        (
            r#"{type:2,data:[],nsp:"/"}"#,
            "83a47479706502a46461746190a36e7370a12f",
            PacketError::EventName.into(),
        ),
        (
            r#"{type:2,data:["connect"],nsp:"/"}"#,
            "83a47479706502a46461746191a7636f6e6e656374a36e7370a12f",
            PacketError::EventName.into(),
        ),
        (
            r#"{type:2,data:[null],nsp:"/"}"#,
            "83a47479706502a46461746191c0a36e7370a12f",
            PacketError::EventName.into(),
        ),
        (
            r#"{type:0,data:{a:Buffer.from("x")},nsp:"/"}"#,
            "83a47479706500a46461746181a161c40178a36e7370a12f",
            MsgPackError::Attachments(12),
        ),
        (
            r#"{type:2,data:["a",{_placeholder:true,num:0}],nsp:"/"}"#,
            "83a47479706502a46461746192a16182ac5f706c616365686f6c646572c3a36e756d00a36e7370a12f",
            MsgPackError::Placeholder(16),
        ),
        ("type twice", "83a47479706501a47479706501a36e7370a12f", MsgPackError::Duplicate(7)),
        (
            "a map with binary as its key",
            "83a47479706502a46461746192a16181c401aa01a36e7370a12f",
            MsgPackError::Key(16),
        ),
    ] {
        assert_eq!(decode(hex), Err(error), "{javascript}");
    }
}

#[test]
fn corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/msgpack");
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is there") {
        let path = entry.expect("a readable folder").path();
        println!("{}", path.display());
        fuzz::msgpack(&fs::read(path).expect("a readable file"));
        count += 1;
    }
    assert!(count > 0, "no files in {}", folder.display());
}
