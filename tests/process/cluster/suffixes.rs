//! A second suffix is content like any other: added on one member it is served by all, and compared by itself.

use super::node::Node;
use crate::support::code;
use crate::support::program::{entente, run};
use crate::support::request::Search;
use crate::support::server::{SUFFIX, check, export};
use crate::support::wait::wait_until;

const SECOND: &str = "dc=example,dc=net";

#[test]
fn a_suffix_added_on_one_member_is_served_by_all_and_verified_by_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let mut b = a.joined("b", "supplier");
    let suffix = |node: &Node, word: &str| run(entente().args(["suffix", word, SECOND]).arg("--data").arg(node.data()));
    suffix(&a, "add").expect_success();
    let contexts = |node: &Node| {
        node.client().search(&Search::base("").attributes(&["namingContexts"])).single().values("namingContexts")
    };
    wait_until("the suffix on b", || contexts(&b) == [SUFFIX, SECOND]);
    let unit: [(&str, &[&str]); 1] = [("objectClass", &["organizationalUnit"])];
    b.client().add(&format!("ou=x,{SECOND}"), &unit).expect(code::SUCCESS);
    wait_until("its entry on a", || a.client().names(SECOND, "(ou=x)") == ["x"]);
    a.wait_until_equal();
    let said = a.replica(&["verify"]).expect_success();
    for suffix in [SUFFIX, SECOND] {
        assert!(said.contains(&format!("EQUAL {suffix} b (")), "{said}");
    }
    b.client().delete(&format!("ou=x,{SECOND}")).expect(code::SUCCESS);
    a.wait_until_equal();
    suffix(&b, "delete").expect_success();
    wait_until("the suffix to go on a", || contexts(&a) == [SUFFIX]);
    a.wait_until_equal();
    a.stop();
    b.stop();
    for node in [&a, &b] {
        check(&node.data());
    }
    assert_eq!(export(&a.data()), export(&b.data()));
}
