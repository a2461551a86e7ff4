//! `cn=monitor`: what the running node says of itself. slapd's is another one, so these cases are Entente's alone.

use crate::support::code;
use crate::support::request::{SUB, Search};
use crate::support::server::Server;

#[test]
fn administrator_reads_the_monitor() {
    only_entente!(Own);
    let mut client = Server::shared().admin();
    let found = client.search(&Search::base("cn=monitor").scope(SUB).attributes(&["*", "+"])).expect(code::SUCCESS);
    assert!(!found.entries.is_empty());
    let text = format!("{found:?}").to_lowercase();
    for word in ["connection", "operation"] {
        assert!(text.contains(word), "{word} is not in cn=monitor: {text}");
    }
    let store = client.read_attributes("cn=store,cn=monitor", &["monitoredInfo"]).values("monitoredInfo");
    assert!(store.contains(&"encrypted_attributes: none".to_owned()), "{store:?}");
}

/// T-24 of the hostile tests: whatever rules say, by search, by compare, and in the root DSE.
#[test]
fn monitor_is_not_for_everybody() {
    only_entente!(Own);
    for mut client in [Server::shared().anonymous(), Server::shared().person("ann")] {
        let found = client.search(&Search::base("cn=monitor").scope(SUB));
        assert!(found.entries.is_empty(), "{found:?}");
        client.compare("cn=monitor", "cn", "monitor").expect(code::NO_SUCH_OBJECT);
        assert!(!client.search(&Search::base("").attributes(&["*", "+"])).single().has("monitorContext"));
    }
}
