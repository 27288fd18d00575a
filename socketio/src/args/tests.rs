use super::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn arguments(json: &str) -> Arguments {
    let name = json.find('"').unwrap();
    Arguments::new(json.into(), 0, name + json::value_end(&json[name..]))
}

/// The arguments of an event that carries `data`, as its receiver would have them.
fn sent<D: Serialize + ?Sized>(data: &D) -> Arguments {
    Arguments::encode(None, data, None).unwrap()
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Unit;

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Newtype((u8, u8));

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Pair(u8, u8);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Shape {
    File { name: String, data: Bytes },
    Many(Vec<Bytes>),
    Pair(Bytes, u8),
    Point,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "data")]
enum Adjacent {
    File(Bytes),
}

#[test]
fn only_tuples_spread() {
    for (text, expected) in [
        (sent(&()), "[]"),
        (sent(&(1,)), "[1]"),
        (sent(&(1, "a", [2, 3])), r#"[1,"a",[2,3]]"#),
        (sent(&[1, 2]), "[1,2]"),
        (sent(&vec![1, 2]), "[[1,2]]"),
        (sent(&[1, 2][..]), "[[1,2]]"),
        (sent("a"), r#"["a"]"#),
        (sent(&1.5), "[1.5]"),
        (sent(&None::<u8>), "[null]"),
        (sent(&Some((1, 2))), "[[1,2]]"),
        (sent(&Unit), "[null]"),
        (sent(&Newtype((1, 2))), "[[1,2]]"),
        (sent(&Pair(1, 2)), "[[1,2]]"),
        (sent(&((1, 2),)), "[[1,2]]"),
        (sent(&Shape::Point), r#"["Point"]"#),
        (sent(&json!({"a": [null]})), r#"[{"a":[null]}]"#),
        (sent(&BTreeMap::from([(1, 2)])), r#"[{"1":2}]"#),
        (sent(&serde_json::value::RawValue::from_string("[ 1 ]".into()).unwrap()), "[[ 1 ]]"),
    ] {
        assert_eq!(text.json(), expected);
    }
}

#[test]
fn what_is_sent_is_read_back() {
    fn check<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T) {
        assert_eq!(&sent(value).decode::<T>().unwrap(), value);
        // With an attachment somewhere the other deserialiser reads the same.
        let (read, bytes) = sent(&(value, Bytes::from("x"))).decode::<(T, Bytes)>().unwrap();
        assert_eq!((&read, &*bytes), (value, &b"x"[..]));
    }
    check(&(1_u8, -2_i64, 1.5_f32, true, 'c', "s".to_owned()));
    check(&(u128::MAX, i128::MIN));
    check(&vec![Some(1), None]);
    check(&(Unit, Newtype((1, 2)), Pair(3, 4)));
    check(&BTreeMap::from([("a".to_owned(), vec![1])]));
    check(&json!([1, {"a": null}, "b\u{0}", -1.5]));
    for shape in [
        Shape::File { name: "f".into(), data: "1".into() },
        Shape::Many(vec!["2".into(), Bytes::new()]),
        Shape::Pair("3".into(), 4),
        Shape::Point,
    ] {
        check(&shape);
        check(&(Some(shape), 1));
    }
    check(&Adjacent::File("4".into()));
    assert!(sent(&()).decode::<()>().is_ok());
    assert!(sent(&1).decode::<Box<serde_json::value::RawValue>>().is_ok());
}

#[test]
fn surplus_is_ignored_and_missing_told() {
    let two = arguments(r#"["name",1,"b"]"#);
    assert_eq!(two.decode::<()>().ok(), Some(()));
    assert_eq!(two.decode::<u8>().ok(), Some(1));
    assert_eq!(two.decode::<(u8, String)>().ok(), Some((1, "b".into())));
    assert_eq!(two.decode::<(u8, String, Option<u8>)>().ok(), Some((1, "b".into(), None)));
    let missing = two.decode::<(u8, String, u8)>().unwrap_err().to_string();
    assert!(missing.starts_with("argument 3 is missing"), "{missing}");
    let none = arguments(r#"["name"]"#);
    assert_eq!(none.decode::<Option<u8>>().ok(), Some(None));
    assert_eq!(none.decode::<(Option<Value>,)>().ok(), Some((None,)));
    assert!(none.decode::<u8>().is_err());
    assert!(none.decode::<Vec<u8>>().is_err());
}

#[test]
fn arguments_are_found_behind_whatever_comes_first() {
    let odd = arguments("[ \"na\\\"me\" , {\"a\":[\"]\",{}]} ,\t\"b\\u0041\" , \"plain\" ]");
    type All = (Value, String, String, Option<u8>);
    let expected = (json!({"a": ["]", {}]}), "bA".to_owned(), "plain".to_owned(), None);
    assert_eq!(odd.decode::<All>().unwrap(), expected);
    assert_eq!(odd.decode::<Value>().unwrap(), expected.0);
}

#[test]
fn errors_tell_the_argument() {
    let two = arguments(r#"["name",1,"b"]"#);
    let error = two.decode::<(u8, u8)>().unwrap_err().to_string();
    assert!(error.starts_with("invalid type: string \"b\", expected u8"), "{error}");
    assert!(error.ends_with("of argument 2"), "{error}");
}

#[test]
fn data_of_another_type_is_an_error() {
    for json in
        [r#"["name","x"]"#, r#"["name",1e400]"#, r#"["name",256]"#, r#"["name",[1]]"#, r#"["name",null]"#]
    {
        assert!(arguments(json).decode::<u8>().is_err(), "{json}");
    }
    assert!(arguments(r#"["name","\ud800"]"#).decode::<String>().is_err());
    assert!(arguments(r#"["name",{"_placeholder":true,"num":0}]"#).decode::<Bytes>().is_err());
}

#[test]
fn buffers_are_numbered_in_order() {
    let data =
        BTreeMap::from([("a", vec![Bytes::from("1"), Bytes::from("2")]), ("b", vec![Bytes::from("3")])]);
    let sent = sent(&data);
    assert_eq!(sent.attachments(), ["1", "2", "3"]);
    let place = |num: u8| json!({"_placeholder": true, "num": num});
    let json: Value = serde_json::from_str(sent.json()).unwrap();
    assert_eq!(json, json!([{"a": [place(0), place(1)], "b": [place(2)]}]));
}
