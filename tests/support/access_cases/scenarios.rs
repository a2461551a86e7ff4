//! The scenarios: a few rules each, and who may do what under them.

use super::*;
use crate::support::request::{DELETE, REPLACE};

/// See the module.
pub(super) const SCENARIOS: &[Scenario] = &[
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
        name: "dns: names of the loopback address",
        rules: &[
            r#"(targetattr = "objectClass || cn")(version 3.0; acl "a"; allow (read, search) dns = "localhost";)"#,
            r#"(targetattr = "sn")(version 3.0; acl "b"; allow (read, search) dns = "mail.example.com";)"#,
            r#"(targetattr = "title")(version 3.0; acl "c"; allow (read, search) dns != "localhost";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "d"; allow (read, search) dns = "mail.example.com" or dns = "LOCALHOST";)"#,
            r#"(targetattr = "description")(version 3.0; acl "e"; allow (read, search) dns = "*.example.com";)"#,
            r#"(targetattr = "uid")(version 3.0; acl "f"; allow (read, search) dns = "*";)"#,
            r#"(targetattr = "uid")(version 3.0; acl "g"; deny (read, search) dns = "*.example.com";)"#,
        ],
        steps: &[
            ("", Read(BOB, "cn"), true),
            ("", Read(BOB, "sn"), false),
            ("", Read(BOB, "title"), false),
            ("", Read(BOB, "mobile"), true),
            ("", Read(BOB, "description"), false),
            ("", Read(BOB, "uid"), true),
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
