//! Access rules with what they come to: the same rules and the same questions for Entente (`tests/ldap`) and for 389
//! Directory Server (`tests/peers`), which proves the cases.
//!
//! Each scenario begins with the same small tree below `ou=rules`, whose entry holds the scenario's rules and no others.

use super::client::Client;
use super::code;
use super::request::{ADD, DELETE, ONE, REPLACE, Search};

/// Where the tree of the scenarios is.
const TREE: &str = "ou=rules,dc=example,dc=com";
const PASSWORD: &str = "a secret for rules";

/// Rules, and who may do what under them.
pub(crate) struct Scenario {
    /// What is shown.
    pub(crate) name: &'static str,
    /// `@` stands for the tree.
    rules: &'static [&'static str],
    steps: &'static [Step],
}

/// Who, what, and whether it is allowed. Names are relative to the tree; no name is anonymous.
type Step = (&'static str, Act, bool);

/// What somebody tries.
pub(crate) enum Act {
    /// Read an attribute of an entry.
    Read(&'static str, &'static str),
    /// Find an entry by a filter.
    Find(&'static str, &'static str),
    /// Compare a value.
    Compare(&'static str, &'static str, &'static str),
    Modify(&'static str, i64, &'static str, &'static [&'static str]),
    /// Add a person, with one attribute besides.
    Add(&'static str, &'static str, &'static str),
    Delete(&'static str),
    /// Another RDN.
    Rename(&'static str, &'static str),
    /// Another superior.
    Move(&'static str, &'static str),
}
use Act::{Add, Compare, Delete, Find, Modify, Move, Read, Rename};

const ANN: &str = "uid=ann,ou=people";
const BOB: &str = "uid=bob,ou=people";
const CAROL: &str = "uid=carol,ou=people";
const DORA: &str = "uid=dora,ou=people,ou=west";
const EVE: &str = "uid=eve,ou=people,ou=south,ou=west";
const NEW: &str = "uid=new,ou=people";

/// Reads for everybody who has authenticated, so that the other rules are seen alone.
const READ: &str =
    r#"(targetattr != "userPassword")(version 3.0; acl "read"; allow (read, search, compare) userdn = "ldap:///all";)"#;

/// What 389 2.3.1 answers otherwise: it takes `!=` of userattr for `=`, and IPv4 networks by their prefix fit nobody there.
pub(crate) const OTHERWISE_ON_389: [&str; 3] = [
    "userattr: not: step 1 by 'uid=ann,ou=people' is true",
    "userattr: not: step 2 by 'uid=carol,ou=people' is false",
    "ip: a network by its prefix: step 1 by '' is false",
];

/// See the module.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "userdn: nobody without a rule",
        rules: &[],
        steps: &[("", Read(ANN, "cn"), false), (ANN, Read(ANN, "cn"), false)],
    },
    Scenario {
        name: "userdn: anyone is everybody",
        rules: &[r#"(targetattr = "*")(version 3.0; acl "a"; allow (read, search) userdn = "ldap:///anyone";)"#],
        steps: &[("", Read(ANN, "cn"), true), (BOB, Read(ANN, "cn"), true), ("", Compare(ANN, "sn", "Ann"), false)],
    },
    Scenario {
        name: "userdn: all is whoever has authenticated",
        rules: &[READ],
        steps: &[("", Read(ANN, "cn"), false), (BOB, Read(ANN, "cn"), true), (BOB, Compare(ANN, "sn", "Ann"), true)],
    },
    Scenario {
        name: "userdn: self and parent",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "self"; allow (write) userdn = "ldap:///self";)"#,
            r#"(targetattr = "description")(version 3.0; acl "parent"; allow (write) userdn = "ldap:///parent";)"#,
        ],
        steps: &[
            (ANN, Modify(ANN, REPLACE, "title", &["x"]), true),
            (ANN, Modify(BOB, REPLACE, "title", &["x"]), false),
            (ANN, Modify("cn=phone,uid=ann,ou=people", REPLACE, "description", &["x"]), true),
            (BOB, Modify("cn=phone,uid=ann,ou=people", REPLACE, "description", &["x"]), false),
            (ANN, Modify(ANN, REPLACE, "description", &["x"]), false),
        ],
    },
    Scenario {
        name: "userdn: names, patterns and searches",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "name"; allow (write) userdn = "ldap:///uid=ann,ou=people,@ || ldap:///uid=b*,ou=people,@";)"#,
            r#"(targetattr = "description")(version 3.0; acl "search"; allow (write) userdn = "ldap:///ou=people,@??one?(title=boss)";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "not"; allow (write) userdn != "ldap:///uid=ann,ou=people,@";)"#,
        ],
        steps: &[
            (ANN, Modify(CAROL, REPLACE, "title", &["x"]), true),
            (BOB, Modify(CAROL, REPLACE, "title", &["x"]), true),
            (DORA, Modify(CAROL, REPLACE, "title", &["x"]), false),
            (BOB, Modify(CAROL, REPLACE, "description", &["x"]), true),
            (ANN, Modify(CAROL, REPLACE, "description", &["x"]), false),
            (ANN, Modify(CAROL, REPLACE, "mobile", &["1"]), false),
            (BOB, Modify(CAROL, REPLACE, "mobile", &["1"]), true),
        ],
    },
    Scenario {
        name: "deny beats allow",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "d"; deny (read, search) userdn = "ldap:///uid=bob,ou=people,@";)"#,
        ],
        steps: &[
            (BOB, Read(BOB, "title"), false),
            (BOB, Read(BOB, "cn"), true),
            (ANN, Read(BOB, "title"), true),
            (BOB, Find("ou=people", "(title=boss)"), false),
            (ANN, Find("ou=people", "(title=boss)"), true),
        ],
    },
    Scenario {
        name: "groupdn: members, nested ones too",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "g"; allow (write) groupdn = "ldap:///cn=all,ou=groups,@ || ldap:///cn=none,@";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "n"; allow (write) groupdn != "ldap:///cn=admins,ou=groups,@";)"#,
        ],
        steps: &[
            (BOB, Modify(CAROL, REPLACE, "title", &["x"]), true),
            (ANN, Modify(CAROL, REPLACE, "title", &["x"]), false),
            (ANN, Modify(CAROL, REPLACE, "mobile", &["1"]), true),
            (BOB, Modify(CAROL, REPLACE, "mobile", &["1"]), false),
        ],
    },
    Scenario {
        name: "userattr: USERDN, here and inherited",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "u"; allow (write) userattr = "manager#USERDN";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "p"; allow (write) userattr = "parent[1].manager#USERDN";)"#,
            r#"(targetattr = "description")(version 3.0; acl "b"; allow (write) userattr = "parent[0,1].manager#USERDN";)"#,
        ],
        steps: &[
            (ANN, Modify(BOB, REPLACE, "title", &["x"]), true),
            (CAROL, Modify(BOB, REPLACE, "title", &["x"]), false),
            (ANN, Modify(BOB, REPLACE, "mobile", &["1"]), false),
            (BOB, Modify("cn=phone,uid=ann,ou=people", REPLACE, "description", &["x"]), true),
            (ANN, Modify(BOB, REPLACE, "description", &["x"]), true),
            (CAROL, Modify(BOB, REPLACE, "description", &["x"]), false),
        ],
    },
    Scenario {
        name: "userattr: never lets anybody add an entry that names its author; an inherited one does",
        rules: &[
            READ,
            r#"(target = "ldap:///uid=*,ou=people,@")(version 3.0; acl "own"; allow (add) userattr = "manager#USERDN";)"#,
            r#"(target = "ldap:///uid=*,ou=people,ou=west,@")(version 3.0; acl "up"; allow (add) userattr = "parent[1].seeAlso#USERDN";)"#,
        ],
        steps: &[
            (ANN, Add(NEW, "manager", "uid=ann,ou=people,@"), false),
            (CAROL, Add("uid=new,ou=people,ou=west", "description", "x"), true),
            (ANN, Add("uid=newer,ou=people,ou=west", "description", "x"), false),
        ],
    },
    Scenario {
        name: "userattr: GROUPDN and groupdnattr, inherited too",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "g"; allow (write) userattr = "seeAlso#GROUPDN";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "p"; allow (write) userattr = "parent[1].seeAlso#GROUPDN";)"#,
        ],
        steps: &[
            (BOB, Modify(CAROL, REPLACE, "title", &["x"]), true),
            (ANN, Modify(CAROL, REPLACE, "title", &["x"]), false),
            (BOB, Modify(CAROL, REPLACE, "mobile", &["1"]), true),
            (ANN, Modify(CAROL, REPLACE, "mobile", &["1"]), false),
        ],
    },
    Scenario {
        name: "userattr: a value that both have, and an LDAP URL",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "v"; allow (write) userattr = "departmentNumber#sales";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "u"; allow (write) userattr = "labeledURI#LDAPURL";)"#,
        ],
        steps: &[
            (ANN, Modify(CAROL, REPLACE, "title", &["x"]), true),
            (BOB, Modify(CAROL, REPLACE, "title", &["x"]), false),
            (ANN, Modify(BOB, REPLACE, "title", &["x"]), false),
            (BOB, Modify(CAROL, REPLACE, "mobile", &["1"]), true),
            (ANN, Modify(CAROL, REPLACE, "mobile", &["1"]), false),
        ],
    },
    Scenario {
        name: "ip",
        rules: &[
            r#"(targetattr = "objectClass || cn")(version 3.0; acl "a"; allow (read, search) ip = "127.0.0.1";)"#,
            r#"(targetattr = "sn")(version 3.0; acl "b"; allow (read, search) ip = "10.0.0.0/8";)"#,
            r#"(targetattr = "title")(version 3.0; acl "c"; allow (read, search) ip != "127.0.0.1";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "d"; allow (read, search) ip = "10.1.*,127.*";)"#,
            r#"(targetattr = "description")(version 3.0; acl "e"; allow (read, search) ip = "127.0.0.0+255.0.0.0";)"#,
        ],
        steps: &[
            ("", Read(BOB, "cn"), true),
            ("", Read(BOB, "sn"), false),
            ("", Read(BOB, "title"), false),
            ("", Read(BOB, "mobile"), true),
            ("", Read(BOB, "description"), true),
        ],
    },
    Scenario {
        name: "timeofday and dayofweek",
        rules: &[
            r#"(targetattr = "objectClass || cn")(version 3.0; acl "a"; allow (read, search) timeofday >= "0000" and timeofday < "2400";)"#,
            r#"(targetattr = "sn")(version 3.0; acl "b"; allow (read, search) timeofday < "0000";)"#,
            r#"(targetattr = "title")(version 3.0; acl "c"; allow (read, search) dayofweek = "Sun, Mon, Tue, Wed, Thu, Fri, Sat";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "d"; allow (read, search) dayofweek != "Sun, Mon, Tue, Wed, Thu, Fri, Sat";)"#,
        ],
        steps: &[
            ("", Read(BOB, "cn"), true),
            ("", Read(BOB, "sn"), false),
            ("", Read(BOB, "title"), true),
            ("", Read(BOB, "mobile"), false),
        ],
    },
    Scenario {
        name: "authmethod and ssf",
        rules: &[
            r#"(targetattr = "objectClass || cn")(version 3.0; acl "a"; allow (read, search) authmethod = "simple";)"#,
            r#"(targetattr = "sn")(version 3.0; acl "b"; allow (read, search) userdn = "ldap:///all" and authmethod = "ssl";)"#,
            r#"(targetattr = "title")(version 3.0; acl "c"; allow (read, search) userdn = "ldap:///all" and authmethod != "ssl";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "d"; allow (read, search) userdn = "ldap:///all" and ssf < "56";)"#,
            r#"(targetattr = "description")(version 3.0; acl "e"; allow (read, search) userdn = "ldap:///all" and ssf >= "56";)"#,
            r#"(targetattr = "uid")(version 3.0; acl "f"; allow (read, search) authmethod = "sasl EXTERNAL" or ssf = "0";)"#,
        ],
        steps: &[
            (ANN, Read(BOB, "cn"), true),
            (ANN, Read(BOB, "sn"), false),
            (ANN, Read(BOB, "title"), true),
            (ANN, Read(BOB, "mobile"), true),
            (ANN, Read(BOB, "description"), false),
            (ANN, Read(BOB, "uid"), true),
        ],
    },
    Scenario {
        name: "and, or and not",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "a"; allow (write) userdn = "ldap:///uid=ann,ou=people,@" and (groupdn = "ldap:///cn=admins,ou=groups,@" or ip = "127.0.0.1");)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "b"; allow (write) userdn = "ldap:///all" and not (userdn = "ldap:///uid=ann,ou=people,@");)"#,
        ],
        steps: &[
            (ANN, Modify(CAROL, REPLACE, "title", &["x"]), true),
            (BOB, Modify(CAROL, REPLACE, "title", &["x"]), false),
            (ANN, Modify(CAROL, REPLACE, "mobile", &["1"]), false),
            (BOB, Modify(CAROL, REPLACE, "mobile", &["1"]), true),
        ],
    },
    Scenario {
        name: "targets: subtree, pattern, filter, and all but these",
        rules: &[
            READ,
            r#"(target = "ldap:///ou=west,@")(targetattr = "title")(version 3.0; acl "a"; allow (write) userdn = "ldap:///all";)"#,
            r#"(target = "ldap:///uid=b*,ou=people,@")(targetattr = "mobile")(version 3.0; acl "b"; allow (write) userdn = "ldap:///all";)"#,
            r#"(targetfilter = "(|(title=boss)(uid=eve))")(targetattr = "description")(version 3.0; acl "c"; allow (write) userdn = "ldap:///all";)"#,
            r#"(target != "ldap:///ou=people,@")(targetattr = "employeeType")(version 3.0; acl "d"; allow (write) userdn = "ldap:///all";)"#,
        ],
        steps: &[
            (ANN, Modify(EVE, REPLACE, "title", &["x"]), true),
            (ANN, Modify(CAROL, REPLACE, "title", &["x"]), false),
            (ANN, Modify(BOB, REPLACE, "mobile", &["1"]), true),
            (ANN, Modify(CAROL, REPLACE, "mobile", &["1"]), false),
            (ANN, Modify(BOB, REPLACE, "description", &["x"]), true),
            (ANN, Modify(CAROL, REPLACE, "description", &["x"]), false),
            (ANN, Modify(EVE, REPLACE, "employeeType", &["x"]), true),
            (ANN, Modify(CAROL, REPLACE, "employeeType", &["x"]), false),
        ],
    },
    Scenario {
        name: "selfwrite: the own name and no other",
        rules: &[READ, r#"(targetattr = "member")(version 3.0; acl "s"; allow (selfwrite) userdn = "ldap:///all";)"#],
        steps: &[
            (ANN, Modify("cn=admins,ou=groups", ADD, "member", &["uid=ann,ou=people,@"]), true),
            (ANN, Modify("cn=admins,ou=groups", ADD, "member", &["uid=carol,ou=people,@"]), false),
            (ANN, Modify("cn=admins,ou=groups", DELETE, "member", &["uid=bob,ou=people,@"]), false),
            (ANN, Modify("cn=admins,ou=groups", DELETE, "member", &["uid=ann,ou=people,@"]), true),
        ],
    },
    Scenario {
        name: "add and delete",
        rules: &[
            READ,
            r#"(target = "ldap:///uid=*,ou=people,@")(version 3.0; acl "a"; allow (add, delete) userdn = "ldap:///uid=ann,ou=people,@";)"#,
        ],
        steps: &[
            (BOB, Add(NEW, "description", "x"), false),
            (ANN, Add(NEW, "description", "x"), true),
            (BOB, Delete(NEW), false),
            (ANN, Delete(NEW), true),
            (ANN, Add("uid=new,ou=people,ou=west", "description", "x"), false),
        ],
    },
    Scenario {
        name: "T-23: renaming needs write, and write of the attribute in the name",
        rules: &[
            READ,
            r#"(targetattr = "uid")(version 3.0; acl "a"; allow (write) userdn = "ldap:///uid=ann,ou=people,@";)"#,
        ],
        steps: &[(BOB, Rename(CAROL, "uid=caroline"), false), (ANN, Rename(CAROL, "uid=caroline"), true)],
    },
    Scenario {
        name: "T-23: moving needs moddn here and there",
        rules: &[
            READ,
            r#"(targetattr = "uid")(version 3.0; acl "w"; allow (write) userdn = "ldap:///all";)"#,
            r#"(target = "ldap:///ou=people,@")(version 3.0; acl "from"; allow (moddn) userdn = "ldap:///uid=ann,ou=people,@";)"#,
        ],
        steps: &[(ANN, Move(CAROL, "ou=people,ou=west"), false), (BOB, Move(CAROL, "ou=people,ou=west"), false)],
    },
    Scenario {
        name: "targattrfilters: each value that comes or goes",
        rules: &[
            READ,
            r#"(targattrfilters = "add=title:(title=engineer), del=title:(|(title=architect)(title=boss))")(version 3.0; acl "v"; allow (write) userdn = "ldap:///uid=ann,ou=people,@";)"#,
        ],
        steps: &[
            (ANN, Modify(CAROL, ADD, "title", &["architect"]), false),
            (ANN, Modify(CAROL, ADD, "title", &["engineer", "architect"]), false),
            (ANN, Modify(CAROL, ADD, "title", &["Engineer"]), true),
            (BOB, Modify(BOB, ADD, "title", &["engineer"]), false),
            (ANN, Modify(CAROL, DELETE, "title", &["engineer"]), false),
            (ANN, Modify(CAROL, DELETE, "title", &[]), false),
            (ANN, Modify(BOB, DELETE, "title", &["boss"]), true),
            (ANN, Modify(CAROL, ADD, "mobile", &["1"]), false),
        ],
    },
    Scenario {
        name: "targattrfilters: replacing is taking all away and adding",
        rules: &[
            READ,
            r#"(targattrfilters = "add=title:(title=engineer), del=title:(title=boss)")(version 3.0; acl "v"; allow (write) userdn = "ldap:///all";)"#,
        ],
        steps: &[
            (ANN, Modify(BOB, REPLACE, "title", &["architect"]), false),
            (ANN, Modify(BOB, REPLACE, "title", &["engineer"]), true),
            (ANN, Modify(BOB, REPLACE, "title", &["engineer"]), false),
            (ANN, Modify(BOB, DELETE, "title", &[]), false),
        ],
    },
    Scenario {
        name: "targattrfilters: all values may go at once if each may",
        rules: &[
            READ,
            r#"(targattrfilters = "del=title:(title=b*)")(version 3.0; acl "v"; allow (write) userdn = "ldap:///all";)"#,
        ],
        steps: &[(ANN, Modify(BOB, DELETE, "title", &[]), true), (ANN, Modify(BOB, ADD, "title", &["b"]), false)],
    },
    Scenario {
        name: "targattrfilters: a deny of some values",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "w"; allow (write) userdn = "ldap:///all";)"#,
            r#"(targattrfilters = "add=title:(title=boss)")(version 3.0; acl "d"; deny (write) userdn = "ldap:///all";)"#,
        ],
        steps: &[
            (ANN, Modify(CAROL, ADD, "title", &["boss"]), false),
            (ANN, Modify(CAROL, ADD, "title", &["baker"]), true),
            (ANN, Modify(CAROL, REPLACE, "title", &["cook"]), true),
            (ANN, Modify(CAROL, REPLACE, "title", &["cook", "boss"]), false),
        ],
    },
    Scenario {
        name: "targattrfilters: an entry that is added or deleted must fit with every value",
        rules: &[
            READ,
            r#"(target = "ldap:///uid=*,ou=people,@")(targattrfilters = "add=title:(title=cook), del=title:(!(title=boss))")(version 3.0; acl "e"; allow (add, delete) userdn = "ldap:///all";)"#,
        ],
        steps: &[
            (ANN, Add(NEW, "title", "boss"), false),
            (ANN, Add(NEW, "title", "cook"), true),
            (ANN, Delete(NEW), true),
            (ANN, Delete(BOB), false),
            (ANN, Delete(CAROL), true),
        ],
    },
    Scenario {
        name: "macros: ($dn) is the part of the name that the target leaves open",
        rules: &[
            READ,
            r#"(target = "ldap:///ou=people,($dn),@")(targetattr = "title")(version 3.0; acl "m"; allow (write) groupdn = "ldap:///cn=admins,ou=groups,($dn),@";)"#,
        ],
        steps: &[
            (DORA, Modify(DORA, REPLACE, "title", &["x"]), true),
            (EVE, Modify(DORA, REPLACE, "title", &["x"]), false),
            (EVE, Modify(EVE, REPLACE, "title", &["x"]), true),
            (DORA, Modify(EVE, REPLACE, "title", &["x"]), false),
            (BOB, Modify(DORA, REPLACE, "title", &["x"]), false),
            (BOB, Modify(CAROL, REPLACE, "title", &["x"]), false),
        ],
    },
    Scenario {
        name: "macros: [$dn] is also what is above it",
        rules: &[
            READ,
            r#"(target = "ldap:///ou=people,($dn),@")(targetattr = "title")(version 3.0; acl "m"; allow (write) groupdn = "ldap:///cn=admins,ou=groups,[$dn],@";)"#,
        ],
        steps: &[
            (DORA, Modify(DORA, REPLACE, "title", &["x"]), true),
            (DORA, Modify(EVE, REPLACE, "title", &["x"]), true),
            (EVE, Modify(EVE, REPLACE, "title", &["x"]), true),
            (EVE, Modify(DORA, REPLACE, "title", &["x"]), false),
            (BOB, Modify(DORA, REPLACE, "title", &["x"]), false),
        ],
    },
    Scenario {
        name: "macros: in userdn, and in a deny",
        rules: &[
            READ,
            r#"(target = "ldap:///ou=people,($dn),@")(targetattr = "title")(version 3.0; acl "m"; allow (write) userdn = "ldap:///uid=dora,ou=people,[$dn],@";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "w"; allow (write) userdn = "ldap:///all";)"#,
            r#"(target = "ldap:///ou=people,($dn),@")(targetattr = "mobile")(version 3.0; acl "d"; deny (write) groupdn = "ldap:///cn=admins,ou=groups,($dn),@";)"#,
        ],
        steps: &[
            (DORA, Modify(EVE, REPLACE, "title", &["x"]), true),
            (EVE, Modify(EVE, REPLACE, "title", &["x"]), false),
            (EVE, Modify(DORA, REPLACE, "mobile", &["1"]), true),
            (DORA, Modify(DORA, REPLACE, "mobile", &["1"]), false),
        ],
    },
    Scenario {
        name: "macros: ($attr.name) is each value of the entry",
        rules: &[
            READ,
            r#"(target = "ldap:///ou=people,($dn),@")(targetattr = "title")(version 3.0; acl "m"; allow (write) userdn = "ldap:///uid=($attr.employeeType),ou=people,($dn),@";)"#,
        ],
        steps: &[
            (DORA, Modify("uid=dirk,ou=people,ou=west", REPLACE, "title", &["x"]), true),
            (EVE, Modify("uid=dirk,ou=people,ou=west", REPLACE, "title", &["x"]), false),
            (DORA, Modify(DORA, REPLACE, "title", &["x"]), false),
        ],
    },
    Scenario {
        name: "macros: a star before ($dn) begins the entry's own name",
        rules: &[
            READ,
            r#"(target = "ldap:///uid=*,ou=people,($dn),@")(targetattr = "title")(version 3.0; acl "m"; allow (write) groupdn = "ldap:///cn=admins,ou=groups,[$dn],@";)"#,
            r#"(target = "ldap:///ou=*,($dn),@")(targetattr = "description")(version 3.0; acl "u"; allow (write) groupdn = "ldap:///cn=admins,ou=groups,($dn),@";)"#,
        ],
        steps: &[
            (DORA, Modify(EVE, REPLACE, "title", &["x"]), true),
            (EVE, Modify(DORA, REPLACE, "title", &["x"]), false),
            (BOB, Modify(CAROL, REPLACE, "title", &["x"]), false),
            (DORA, Modify("ou=people,ou=west", REPLACE, "description", &["x"]), true),
            (DORA, Modify(DORA, REPLACE, "description", &["x"]), false),
            (EVE, Modify("ou=people,ou=west", REPLACE, "description", &["x"]), false),
        ],
    },
    Scenario {
        name: "macros: [$dn] in targetfilter",
        rules: &[
            READ,
            r#"(target = "ldap:///ou=people,($dn),@")(targetfilter = "(seeAlso=cn=admins,ou=groups,[$dn],@)")(targetattr = "title")(version 3.0; acl "m"; allow (write) userdn = "ldap:///all";)"#,
        ],
        steps: &[
            (ANN, Modify("uid=dirk,ou=people,ou=west", REPLACE, "title", &["x"]), true),
            (ANN, Modify(DORA, REPLACE, "title", &["x"]), false),
            (ANN, Modify(EVE, REPLACE, "title", &["x"]), false),
        ],
    },
    Scenario {
        name: "targattrfilters beside targetattr, and of several attributes",
        rules: &[
            READ,
            r#"(targetattr = "mobile")(targattrfilters = "add=title:(title=cook) && description:(description=a*)")(version 3.0; acl "v"; allow (write) userdn = "ldap:///all";)"#,
        ],
        steps: &[
            (ANN, Modify(CAROL, ADD, "title", &["cook"]), true),
            (ANN, Modify(CAROL, ADD, "title", &["boss"]), false),
            (ANN, Modify(CAROL, ADD, "description", &["abc"]), true),
            (ANN, Modify(CAROL, ADD, "description", &["bcd"]), false),
            (ANN, Modify(CAROL, ADD, "mobile", &["2"]), true),
            (ANN, Modify(CAROL, DELETE, "mobile", &["2"]), true),
            (ANN, Modify(CAROL, ADD, "employeeType", &["x"]), false),
        ],
    },
    Scenario {
        name: "userattr: the old words, and further up",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "g"; allow (write) groupdnattr = "seeAlso";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "u"; allow (write) userdnattr = "manager";)"#,
            r#"(targetattr = "description")(version 3.0; acl "2"; allow (write) userattr = "parent[0,1,2].seeAlso#USERDN";)"#,
        ],
        steps: &[
            (BOB, Modify(CAROL, REPLACE, "title", &["x"]), true),
            (ANN, Modify(CAROL, REPLACE, "title", &["x"]), false),
            (ANN, Modify(BOB, REPLACE, "mobile", &["1"]), true),
            (BOB, Modify(BOB, REPLACE, "mobile", &["1"]), false),
            (CAROL, Modify(DORA, REPLACE, "description", &["x"]), true),
            (CAROL, Modify("ou=people,ou=west", REPLACE, "description", &["x"]), true),
            (BOB, Modify(DORA, REPLACE, "description", &["x"]), false),
        ],
    },
    Scenario {
        name: "userattr: not",
        rules: &[
            READ,
            r#"(targetattr = "employeeType")(version 3.0; acl "n"; allow (write) userattr != "manager#USERDN";)"#,
        ],
        steps: &[
            (ANN, Modify(BOB, REPLACE, "employeeType", &["x"]), false),
            (CAROL, Modify(BOB, REPLACE, "employeeType", &["x"]), true),
        ],
    },
    Scenario {
        name: "ip: a network by its prefix",
        rules: &[
            r#"(targetattr = "objectClass || cn")(version 3.0; acl "a"; allow (read, search) ip = "127.0.0.0/8";)"#,
        ],
        steps: &[("", Read(BOB, "cn"), true)],
    },
    Scenario {
        name: "one rule may allow and deny; filters may be turned round",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "two"; allow (write) userdn = "ldap:///all"; deny (write) userdn = "ldap:///uid=bob,ou=people,@";)"#,
            r#"(targetfilter != "(title=boss)")(targetattr = "mobile")(version 3.0; acl "f"; allow (write) userdn = "ldap:///all";)"#,
            r#"(targetattr = "descr*")(version 3.0; acl "w"; allow (write) userdn = "ldap:///all";)"#,
        ],
        steps: &[
            (ANN, Modify(CAROL, REPLACE, "title", &["x"]), true),
            (BOB, Modify(CAROL, REPLACE, "title", &["x"]), false),
            (ANN, Modify(BOB, REPLACE, "mobile", &["1"]), false),
            (ANN, Modify(DORA, REPLACE, "mobile", &["1"]), true),
            (ANN, Modify(DORA, REPLACE, "description", &["x"]), true),
            (ANN, Modify(DORA, REPLACE, "employeeType", &["x"]), false),
        ],
    },
    Scenario {
        name: "a rule holds at and below its holder, and search alone shows nothing",
        rules: &[
            r#"(targetattr = "objectClass || uid")(version 3.0; acl "s"; allow (search, read) userdn = "ldap:///all";)"#,
            r#"(targetattr = "title")(version 3.0; acl "t"; allow (search) userdn = "ldap:///all";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "r"; allow (read) userdn = "ldap:///all";)"#,
            r#"(targetattr = "cn")(version 3.0; acl "c"; allow (compare) userdn = "ldap:///all";)"#,
        ],
        steps: &[
            (ANN, Find("ou=people", "(title=boss)"), true),
            (ANN, Read(BOB, "title"), false),
            (ANN, Find("ou=people", "(mobile=1)"), false),
            (ANN, Find("ou=people", "(!(mobile=1))"), false),
            (ANN, Read(BOB, "mobile"), true),
            (ANN, Compare(BOB, "cn", "bob"), true),
            (ANN, Compare(BOB, "sn", "bob"), false),
            (ANN, Read(BOB, "cn"), false),
        ],
    },
    Scenario {
        name: "macros: in targetfilter",
        rules: &[
            READ,
            r#"(target = "ldap:///ou=people,($dn),@")(targetfilter = "(seeAlso=cn=admins,ou=groups,($dn),@)")(targetattr = "title")(version 3.0; acl "m"; allow (write) userdn = "ldap:///all";)"#,
        ],
        steps: &[
            (ANN, Modify("uid=dirk,ou=people,ou=west", REPLACE, "title", &["x"]), true),
            (ANN, Modify(DORA, REPLACE, "title", &["x"]), false),
        ],
    },
];

fn absolute(name: &str) -> String {
    format!("{name},{TREE}")
}

/// Removes what a scenario left, and makes the tree anew with its rules.
fn prepare(admin: &mut Client, scenario: &Scenario) {
    let mut dns = Vec::new();
    let found = admin.search(&Search::subtree("dc=example,dc=com", "(objectClass=*)").attributes(&["1.1"]));
    dns.extend(found.dns().into_iter().filter(|dn| dn.to_lowercase().ends_with(TREE)));
    dns.sort_by_key(|dn| std::cmp::Reverse(dn.split(',').count()));
    for dn in dns {
        admin.delete(&dn).expect(code::SUCCESS);
    }
    let rules: Vec<String> = scenario.rules.iter().map(|rule| rule.replace('@', TREE)).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let unit: (&str, &[&str]) = ("objectClass", &["top", "organizationalUnit"]);
    let top: Vec<(&str, &[&str])> = match rules.is_empty() {
        true => vec![unit, ("ou", &["rules"])],
        false => vec![unit, ("ou", &["rules"]), ("aci", &rules)],
    };
    let made = admin.add(TREE, &top);
    assert_eq!(made.code, code::SUCCESS, "{}: {made:?}", scenario.name);
    for name in ["ou=people", "ou=groups", "ou=west", "ou=people,ou=west", "ou=groups,ou=west", "ou=south,ou=west"] {
        add_unit(admin, name);
    }
    add_unit(admin, "ou=people,ou=south,ou=west");
    add_unit(admin, "ou=groups,ou=south,ou=west");
    let person = |admin: &mut Client, name: &str, more: &[(&str, &str)]| {
        let uid = name.split([',', '=']).nth(1).unwrap();
        let classes: (&str, &[&str]) = ("objectClass", &["top", "person", "organizationalPerson", "inetOrgPerson"]);
        let more: Vec<(&str, String)> = more.iter().map(|(name, value)| (*name, value.replace('@', TREE))).collect();
        let more: Vec<(&str, [&str; 1])> = more.iter().map(|(name, value)| (*name, [value.as_str()])).collect();
        let mut attributes: Vec<(&str, &[&str])> = vec![classes];
        let own = [uid];
        attributes.extend([("uid", &own[..]), ("cn", &own[..]), ("sn", &own[..]), ("userPassword", &[PASSWORD][..])]);
        attributes.extend(more.iter().map(|(name, value)| (*name, &value[..])));
        admin.add(&absolute(name), &attributes).expect(code::SUCCESS);
    };
    let people = format!("uid=ann,ou=people,{TREE}");
    person(admin, ANN, &[("departmentNumber", "sales"), ("manager", "uid=bob,ou=people,@")]);
    person(admin, BOB, &[("title", "boss"), ("mobile", "1"), ("description", "x"), ("manager", &people)]);
    let found_by = format!("ldap:///ou=people,{TREE}??one?(title=boss)");
    person(
        admin,
        CAROL,
        &[("seeAlso", "cn=admins,ou=groups,@"), ("departmentNumber", "sales"), ("labeledURI", &found_by)],
    );
    person(admin, DORA, &[]);
    person(
        admin,
        "uid=dirk,ou=people,ou=west",
        &[("employeeType", "dora"), ("seeAlso", "cn=admins,ou=groups,ou=west,@")],
    );
    person(admin, EVE, &[]);
    let phone: [(&str, &[&str]); 2] = [("objectClass", &["top", "device"]), ("cn", &["phone"])];
    admin.add(&absolute("cn=phone,uid=ann,ou=people"), &phone).expect(code::SUCCESS);
    for (name, member) in [
        ("cn=admins,ou=groups", BOB),
        ("cn=all,ou=groups", "cn=admins,ou=groups"),
        ("cn=admins,ou=groups,ou=west", DORA),
        ("cn=admins,ou=groups,ou=south,ou=west", EVE),
    ] {
        let member = absolute(member);
        let attributes: [(&str, &[&str]); 2] = [("objectClass", &["top", "groupOfNames"]), ("member", &[&member])];
        admin.add(&absolute(name), &attributes).expect(code::SUCCESS);
    }
    admin
        .modify(&absolute("ou=people"), &[(ADD, "seeAlso", &[&absolute("cn=admins,ou=groups")])])
        .expect(code::SUCCESS);
    admin.modify(&absolute("ou=people,ou=west"), &[(ADD, "seeAlso", &[&absolute(CAROL)])]).expect(code::SUCCESS);
}

fn add_unit(admin: &mut Client, name: &str) {
    let attributes: [(&str, &[&str]); 1] = [("objectClass", &["top", "organizationalUnit"])];
    admin.add(&absolute(name), &attributes).expect(code::SUCCESS);
}

fn is_allowed(client: &mut Client, act: &Act) -> bool {
    let done = |outcome: super::client::Outcome| outcome.code == code::SUCCESS;
    match act {
        Read(name, attribute) => {
            let search = Search::base(absolute(name)).attributes(&[attribute]);
            client.search(&search).entries.iter().any(|entry| entry.has(attribute))
        }
        Find(base, filter) => {
            !client.search(&Search::base(absolute(base)).scope(ONE).filter(filter)).entries.is_empty()
        }
        Compare(name, attribute, value) => {
            let compared = client.compare(&absolute(name), attribute, value).code;
            [code::COMPARE_TRUE, code::COMPARE_FALSE].contains(&compared)
        }
        Modify(name, kind, attribute, values) => {
            let values: Vec<String> = values.iter().map(|value| value.replace('@', TREE)).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            done(client.modify(&absolute(name), &[(*kind, attribute, &values)]))
        }
        Add(name, attribute, value) => {
            let value = value.replace('@', TREE);
            let attributes: [(&str, &[&str]); 4] = [
                ("objectClass", &["top", "person", "organizationalPerson", "inetOrgPerson"]),
                ("cn", &["New"]),
                ("sn", &["New"]),
                (attribute, &[&value]),
            ];
            done(client.add(&absolute(name), &attributes))
        }
        Delete(name) => done(client.delete(&absolute(name))),
        Rename(name, rdn) => done(client.modify_dn(&absolute(name), rdn, true, None)),
        Move(name, superior) => {
            let rdn = name.split(',').next().unwrap();
            done(client.modify_dn(&absolute(name), rdn, false, Some(&absolute(superior))))
        }
    }
}

/// Plays every scenario; `connect` gives a connection. Returns how many questions were asked, and those that were answered
/// otherwise than expected in each of `plays` plays of their scenario: 389 now and then overlooks the rules of an entry
/// that is added under a name deleted just before.
pub(crate) fn play(admin: &mut Client, connect: &dyn Fn() -> Client, plays: usize) -> (usize, Vec<String>) {
    let (mut asked, mut wrong) = (0, Vec::new());
    for scenario in SCENARIOS {
        let mut still: Vec<String> = Vec::new();
        for play in 0..plays {
            let answers = play_one(admin, connect, scenario);
            still = if play == 0 { answers } else { still.into_iter().filter(|told| answers.contains(told)).collect() };
            if still.is_empty() {
                break;
            }
        }
        asked += scenario.steps.len();
        wrong.extend(still);
    }
    (asked, wrong)
}

/// The questions of a scenario that are answered otherwise than expected.
fn play_one(admin: &mut Client, connect: &dyn Fn() -> Client, scenario: &Scenario) -> Vec<String> {
    prepare(admin, scenario);
    let mut wrong = Vec::new();
    for (number, (who, act, expected)) in scenario.steps.iter().enumerate() {
        let mut client = connect();
        if !who.is_empty() {
            client.bind(&absolute(who), PASSWORD).expect(code::SUCCESS);
        }
        let given = is_allowed(&mut client, act);
        if given != *expected {
            wrong.push(format!("{}: step {} by '{who}' is {given}", scenario.name, number + 1));
        }
    }
    wrong
}
