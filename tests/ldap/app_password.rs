//! App passwords: named secrets of one account, each for one program.

use crate::support::client::{Client, Outcome};
use crate::support::request::{self, REPLACE};
use crate::support::server::{Server, Setup};
use crate::support::wait::wait_for;
use crate::support::{code, oid};
use crate::{ANN, BOB};

fn order(client: &mut Client, json: &str) -> Outcome {
    client.perform(&request::extended(oid::APP_PASSWORD, Some(json.as_bytes())))
}

fn answered(outcome: Outcome) -> serde_json::Value {
    serde_json::from_slice(&outcome.expect(code::SUCCESS).value.unwrap()).unwrap()
}

fn server() -> Server {
    Server::start(Setup::default())
}

fn make(client: &mut Client, name: &str) -> String {
    let answer = answered(order(client, &format!(r#"{{"action":"add","name":"{name}"}}"#)));
    answer["password"].as_str().unwrap().to_owned()
}

#[test]
fn each_program_has_a_secret_that_goes_by_itself() {
    only_entente!(Own);
    let server = server();
    let mut ann = server.person("ann");
    let (phone, printer) = (make(&mut ann, "phone"), make(&mut ann, "the printer"));
    assert!(phone.len() >= 20 && phone != printer);
    server.bound(ANN, &phone);
    server.bound(ANN, &printer);
    server.bound(ANN, "ann-secret");
    server.anonymous().bind(BOB, &phone).expect(code::INVALID_CREDENTIALS);
    let lines = wait_for("the last use to be in the tree", || {
        let lines = answered(order(&mut ann, r#"{"action":"list"}"#));
        lines.as_array().unwrap().iter().all(|line| line["lastUse"].is_string()).then_some(lines)
    });
    let names: Vec<&str> = lines.as_array().unwrap().iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["phone", "the printer"]);
    answered(order(&mut ann, r#"{"action":"revoke","name":"phone"}"#));
    server.anonymous().bind(ANN, &phone).expect(code::INVALID_CREDENTIALS);
    server.bound(ANN, &printer);
    order(&mut ann, r#"{"action":"revoke","name":"phone"}"#).expect(code::NO_SUCH_ATTRIBUTE);
    order(&mut ann, r#"{"action":"add","name":"the printer"}"#).expect(code::ATTRIBUTE_OR_VALUE_EXISTS);
    // The hashes are nobody's to read.
    assert!(!ann.read_attributes(ANN, &["*", "+", "appPassword"]).has("appPassword"));
}

#[test]
fn they_are_for_the_owner_and_the_administrator_alone() {
    only_entente!(Own);
    let server = server();
    let about_bob = format!(r#"{{"action":"add","dn":"{BOB}","name":"x"}}"#);
    order(&mut server.person("ann"), &about_bob).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    order(&mut server.anonymous(), &about_bob).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    let nobody = r#"{"action":"list","dn":"uid=nobody,dc=example,dc=com"}"#;
    order(&mut server.person("ann"), nobody).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    let made = answered(order(&mut server.admin(), &about_bob));
    // A program may not make itself another one.
    let mut program = server.bound(BOB, made["password"].as_str().unwrap());
    order(&mut program, r#"{"action":"add","name":"y"}"#).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    for broken in
        ["", "{}", r#"{"action":"add"}"#, r#"{"action":"add","name":"a#b"}"#, r#"{"action":"fly","name":"x"}"#]
    {
        order(&mut server.person("bob"), broken).expect(code::PROTOCOL_ERROR);
    }
}

/// T-31: a lock of the account holds for programs.
#[test]
fn a_locked_account_has_no_programs() {
    only_entente!(Own);
    let server = server();
    let phone = make(&mut server.person("ann"), "phone");
    server.admin().modify(ANN, &[(REPLACE, "pwdAccountLockedTime", &["000001010000Z"])]).expect(code::SUCCESS);
    server.anonymous().bind(ANN, &phone).expect(code::INVALID_CREDENTIALS);
}
