//! Password policy (draft-behera-ldap-password-policy-10), and Netscape's two controls.

mod change;
mod comparison;
mod expiry;
mod in_effect;
mod lockout;

use crate::support::ber::Element;
use crate::support::client::{Client, Outcome};
use crate::support::request::Control;
use crate::support::server::{Server, Setup, Subject};
use crate::support::{code, oid};

const POLICY: &str = "cn=policy,dc=example,dc=com";

/// What a password policy response says: warning (tag and number) and error.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    grace: Option<i64>,
    expires: Option<i64>,
    error: Option<i64>,
}

fn said(outcome: &Outcome) -> Said {
    let value = outcome.control(oid::PASSWORD_POLICY);
    let mut said = Said::default();
    for part in Element::whole(&value).unwrap().children().unwrap() {
        match part.tag {
            0xa0 => {
                let warning = part.children().unwrap().remove(0);
                match warning.tag {
                    0x80 => said.expires = Some(warning.number()),
                    0x81 => said.grace = Some(warning.number()),
                    tag => panic!("warning with tag {tag:02x}"),
                }
            }
            0x81 => said.error = Some(part.number()),
            tag => panic!("part with tag {tag:02x}"),
        }
    }
    said
}

fn error(number: i64) -> Said {
    Said { error: Some(number), ..Said::default() }
}

const EXPIRED: i64 = 0;
const ACCOUNT_LOCKED: i64 = 1;
const CHANGE_AFTER_RESET: i64 = 2;
const NOT_ALLOWED: i64 = 3;
const MUST_SUPPLY_OLD: i64 = 4;
const TOO_SHORT: i64 = 6;
const TOO_YOUNG: i64 = 7;
const IN_HISTORY: i64 = 8;

/// A policy for everybody below the suffix: a subentry here, an entry that the overlay names there.
pub(crate) fn policy(values: &[(&str, &str)]) -> Setup {
    let classes = Subject::current().pick("objectClass: subentry\nsubtreeSpecification: {}", "objectClass: device");
    let lines: String = values.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let entry =
        format!("dn: {POLICY}\n{classes}\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: userPassword\n{lines}");
    Setup::default()
        .with_entries(&entry)
        .with_slapd_lines(&format!("lastbind on\noverlay ppolicy\nppolicy_default {POLICY}\n"))
}

fn asking(client: &mut Client) -> &mut Client {
    client.with(Control::not_critical(oid::PASSWORD_POLICY, None))
}

fn bind_asking(server: &Server, name: &str, password: &str) -> Outcome {
    asking(&mut server.anonymous()).bind(name, password)
}

fn fail(server: &Server, name: &str, times: usize) {
    for _ in 0..times {
        server.anonymous().bind(name, "wrong").expect(code::INVALID_CREDENTIALS);
    }
}

fn operational(server: &Server, name: &str, attribute: &str) -> Vec<String> {
    server.admin().read_attributes(name, &[attribute]).values(attribute)
}
