//! What a supplier wrote reaches a consumer through a hub, when the two never meet.

use super::node::{Node, person};
use crate::support::code;
use crate::support::request::{REPLACE, Search};
use crate::support::server::{SUFFIX, check, export};
use crate::support::wait::wait_until;

/// 389: replication/cascading_test.
#[test]
fn adds_modifies_renames_and_deletes_reach_a_consumer_through_a_hub() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut supplier = Node::found(folder.path(), "supplier");
    supplier.serve();
    let mut hub = supplier.joined("hub", "hub");
    let mut consumer = supplier.joined("leaf", "consumer");
    supplier.wait_until_equal();
    consumer.stop();
    let mut client = supplier.client();
    let attributes: [(&str, &[&str]); 4] =
        [("objectClass", &["inetOrgPerson"]), ("uid", &["new"]), ("cn", &["New"]), ("sn", &["New"])];
    client.add(&person("new"), &attributes).expect(code::SUCCESS);
    client.modify(&person("ann"), &[(REPLACE, "title", &["through a hub"])]).expect(code::SUCCESS);
    client.modify_dn(&person("bob"), "uid=robert", true, None).expect(code::SUCCESS);
    client.delete(&person("star")).expect(code::SUCCESS);
    drop(client);
    wait_until("the hub to have all", || {
        let everything = Search::subtree(SUFFIX, "(uid=star)");
        hub.client().search(&everything).expect(code::SUCCESS).entries.is_empty()
    });
    supplier.stop();
    consumer.serve();
    wait_until("the consumer to have all", || consumer.client().names(SUFFIX, "(uid=star)").is_empty());
    let mut client = consumer.client();
    assert_eq!(client.read(&person("new")).value("sn"), "New");
    assert_eq!(client.read(&person("ann")).value("title"), "through a hub");
    assert_eq!(client.read(&person("robert")).value("uid"), "robert");
    assert!(client.names(SUFFIX, "(uid=bob)").is_empty());
    drop(client);
    hub.stop();
    consumer.stop();
    for node in [&supplier, &hub, &consumer] {
        check(&node.data());
    }
    let all = export(&supplier.data());
    assert_eq!(all, export(&hub.data()));
    assert_eq!(all, export(&consumer.data()));
}
