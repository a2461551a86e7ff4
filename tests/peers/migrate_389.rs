//! `entente migrate` from Debian's 389 Directory Server while it is written to.

use std::collections::{BTreeMap, BTreeSet};

use crate::dirsrv::{Dirsrv, MANAGER};
use crate::migrate_live::{admin, migrate, serve};
use crate::migration_389::fill;
use crate::support::client::Client;
use crate::support::code;
use crate::support::program::{Program, run};
use crate::support::request::Search;
use crate::support::server::{SUFFIX, check, init};
use crate::support::wait::wait_until;
use crate::support::workload::Workload;

/// What a client sees of both, beside what 389 calls its entries itself.
const SEEN: [&str; 7] =
    ["*", "createTimestamp", "modifyTimestamp", "creatorsName", "modifiersName", "entryUUID", "nsUniqueId"];

type Content = BTreeMap<String, BTreeMap<String, BTreeSet<Vec<u8>>>>;

#[track_caller]
fn content(client: &mut Client) -> Content {
    let found = client.search(&Search::subtree(SUFFIX, "(objectClass=*)").attributes(&SEEN)).expect(code::SUCCESS);
    let lower = |value: &Vec<u8>| match std::str::from_utf8(value) {
        Ok(text) if text.contains('=') => text.to_lowercase().into_bytes(),
        _ => value.clone(),
    };
    let entries = found.entries.iter().map(|entry| {
        let attributes =
            entry.attributes.iter().map(|(name, values)| (name.to_lowercase(), values.iter().map(lower).collect()));
        (entry.dn.to_lowercase(), attributes.collect())
    });
    entries.collect()
}

#[track_caller]
fn expect_same(mut ours: Content, theirs: Content) {
    for (dn, mut attributes) in theirs {
        let unique_id =
            attributes.remove("nsuniqueid").and_then(|values| values.first().cloned()).expect("every entry has one");
        let own = attributes.remove("entryuuid").unwrap_or_else(|| {
            let digits: Vec<u8> = unique_id.to_ascii_lowercase().into_iter().filter(|byte| *byte != b'-').collect();
            let parts =
                [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| String::from_utf8_lossy(&digits[part]).into_owned());
            BTreeSet::from([parts.join("-").into_bytes()])
        });
        attributes.insert("entryuuid".to_owned(), own);
        attributes.remove("aci");
        let mut here = ours.remove(&dn).unwrap_or_else(|| panic!("{dn} is missing"));
        here.remove("aci");
        // Asked for by name, it says the entryUUID here.
        here.remove("nsuniqueid").expect("every entry has one");
        assert_eq!(here, attributes, "{dn}");
    }
    assert!(ours.is_empty(), "only here: {:?}", ours.keys());
}

/// Number of the newest change in the retro changelog.
#[track_caller]
fn last_change(client: &mut Client) -> u64 {
    client.read_attributes("", &["lastChangeNumber"]).value("lastChangeNumber").parse().expect("a number")
}

/// The number in the cookie that the copy is as of.
fn reached(state: &std::path::Path) -> Option<u64> {
    let text = std::fs::read_to_string(state).ok()?;
    let digits = text.split("\"cookie\":\"").nth(1)?.split('"').next()?;
    let bytes = (0..digits.len() / 2).filter_map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok());
    String::from_utf8(bytes.collect()).ok()?.rsplit('#').next()?.parse().ok()
}

/// Loaded, followed under load, interrupted, followed again, taken over: entry by entry the same, and people bind as before.
#[test]
fn a_live_389_is_moved_while_it_is_written_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let old = Dirsrv::make(&folder.join("old"));
    let _program = old.start_with_content_sync();
    let mut client = old.manager();
    fill(&mut client);
    let mut workload = Workload::begin(&mut client, 9, 100);
    (workload.renames_branches, workload.follows_members, workload.window) = (false, false, 1);
    workload.make(&mut client, 200);
    init(&folder.join("data"), folder);
    run(&mut migrate(folder, old.address, MANAGER, &[])).expect_success();
    let state = folder.join("data/migration.json");
    for _ in 0..2 {
        // Meanwhile nobody follows.
        workload.make(&mut client, 150);
        let mut follower = Program::start(&mut migrate(folder, old.address, MANAGER, &["--follow"]));
        follower.wait_for_line("in step");
        workload.make(&mut client, 300);
        let last = last_change(&mut client);
        wait_until("the follower to have the last change", || reached(&state).is_some_and(|number| number >= last));
        assert!(follower.terminate().success(), "{}", follower.said());
        check(&folder.join("data"));
    }
    workload.make(&mut client, 150);
    let said = run(&mut migrate(folder, old.address, MANAGER, &["--take-over"])).expect_success();
    assert!(said.contains("entente serve --data"), "{said}");
    check(&folder.join("data"));
    let (mut served, ours) = serve(folder);
    expect_same(content(&mut admin(ours)), content(&mut client));
    let hash = client.read_attributes(&format!("uid=ann,ou=people,{SUFFIX}"), &["userPassword"]).value("userPassword");
    assert!(hash.starts_with("{PBKDF2"), "389 hashes by its own scheme: {hash}");
    for uid in ["ann", "bob"] {
        let mut person = Client::connect(ours);
        person.bind(&format!("uid={uid},ou=people,{SUFFIX}"), &format!("{uid}-secret")).expect(code::SUCCESS);
    }
    assert!(served.terminate().success());
}
