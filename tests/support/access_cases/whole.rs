//! Scenarios of what is about whole entries and people: roles, groups by search, moves.

use super::*;
use crate::support::request::REPLACE;

const NAMES: &str = r#"(targetattr = "uid")(version 3.0; acl "names"; allow (write) userdn = "ldap:///all";)"#;
const GROUPS: &str = "ou=groups";

/// See the module.
pub(super) const WHOLE: &[Scenario] = &[
    Scenario {
        name: "roledn: managed, filtered and nested roles, where they are for",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "m"; allow (write) roledn = "ldap:///cn=clerks,@";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "n"; allow (write) roledn = "ldap:///cn=none,@ || ldap:///cn=seniors,@";)"#,
            r#"(targetattr = "description")(version 3.0; acl "w"; allow (write) roledn = "ldap:///cn=west,ou=west,@";)"#,
            r#"(targetattr = "employeeType")(version 3.0; acl "!"; allow (write) roledn != "ldap:///cn=clerks,@";)"#,
            r#"(targetattr = "roomNumber")(version 3.0; acl "f"; allow (write) roledn = "ldap:///cn=bosses,ou=people,@";)"#,
        ],
        steps: &[
            (CAROL, Modify(ANN, REPLACE, "title", &["x"]), true),
            (DORA, Modify(ANN, REPLACE, "title", &["y"]), true),
            (BOB, Modify(ANN, REPLACE, "title", &["z"]), false),
            (BOB, Modify(ANN, REPLACE, "mobile", &["1"]), true),
            (CAROL, Modify(ANN, REPLACE, "mobile", &["2"]), true),
            (ANN, Modify(ANN, REPLACE, "mobile", &["3"]), false),
            (CAROL, Modify(ANN, REPLACE, "description", &["x"]), false),
            (EVE, Modify(ANN, REPLACE, "description", &["x"]), true),
            (CAROL, Modify(ANN, REPLACE, "employeeType", &["x"]), false),
            (BOB, Modify(ANN, REPLACE, "employeeType", &["x"]), true),
            (BOB, Modify(ANN, REPLACE, "roomNumber", &["1"]), true),
            (CAROL, Modify(ANN, REPLACE, "roomNumber", &["1"]), false),
        ],
    },
    Scenario {
        name: "userattr: ROLEDN",
        rules: &[READ, r#"(targetattr = "title")(version 3.0; acl "r"; allow (write) userattr = "secretary#ROLEDN";)"#],
        steps: &[
            (CAROL, Modify(BOB, REPLACE, "title", &["x"]), true),
            (ANN, Modify(BOB, REPLACE, "title", &["x"]), false),
            (CAROL, Modify(ANN, REPLACE, "title", &["x"]), false),
        ],
    },
    Scenario {
        name: "groupdn: groups by search, in other groups too",
        rules: &[
            READ,
            r#"(targetattr = "title")(version 3.0; acl "s"; allow (write) groupdn = "ldap:///cn=finders,ou=groups,@";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "n"; allow (write) groupdn = "ldap:///cn=wide,ou=groups,@";)"#,
            r#"(targetattr = "description")(version 3.0; acl "!"; allow (write) groupdn != "ldap:///cn=finders,ou=groups,@";)"#,
        ],
        steps: &[
            (BOB, Modify(ANN, REPLACE, "title", &["x"]), true),
            (CAROL, Modify(ANN, REPLACE, "title", &["x"]), false),
            (DIRK, Modify(ANN, REPLACE, "mobile", &["1"]), true),
            (BOB, Modify(ANN, REPLACE, "mobile", &["1"]), false),
            (BOB, Modify(ANN, REPLACE, "description", &["x"]), false),
            (CAROL, Modify(ANN, REPLACE, "description", &["x"]), true),
        ],
    },
    Scenario {
        name: "moddn: at a common superior for all below, and by all but proxy",
        rules: &[
            READ,
            NAMES,
            r#"(version 3.0; acl "m"; allow (moddn) userdn = "ldap:///uid=ann,ou=people,@";)"#,
            r#"(version 3.0; acl "a"; allow (all) userdn = "ldap:///uid=bob,ou=people,@";)"#,
        ],
        steps: &[
            (CAROL, Move(DIRK, "ou=people"), false),
            (ANN, Move(DIRK, "ou=people"), true),
            (BOB, Move(CAROL, "ou=people,ou=west"), true),
        ],
    },
    Scenario {
        name: "target_from and target_to: from there to here, and nothing else",
        rules: &[
            READ,
            NAMES,
            r#"(target_from = "ldap:///ou=people,@")(target_to = "ldap:///ou=west,@")(version 3.0; acl "m"; allow (moddn) userdn = "ldap:///uid=ann,ou=people,@";)"#,
        ],
        steps: &[
            (BOB, Move(CAROL, "ou=west"), false),
            (ANN, Move(CAROL, GROUPS), false),
            (ANN, Move(DIRK, "ou=south,ou=west"), false),
            (ANN, Move(CAROL, "ou=south,ou=west"), true),
            (ANN, Move(BOB, "ou=west"), true),
        ],
    },
    Scenario {
        name: "target_to alone: from everywhere",
        rules: &[
            READ,
            NAMES,
            r#"(target_to = "ldap:///ou=groups,@")(version 3.0; acl "m"; allow (moddn) userdn = "ldap:///uid=ann,ou=people,@";)"#,
        ],
        steps: &[(ANN, Move(CAROL, "ou=west"), false), (ANN, Move(DIRK, GROUPS), true)],
    },
    Scenario {
        name: "target_from alone: to everywhere",
        rules: &[
            READ,
            NAMES,
            r#"(target_from = "ldap:///ou=west,@")(version 3.0; acl "m"; allow (moddn) userdn = "ldap:///uid=ann,ou=people,@";)"#,
        ],
        steps: &[(ANN, Move(CAROL, GROUPS), false), (ANN, Move(DIRK, GROUPS), true)],
    },
    Scenario {
        name: "target_from and target_to: patterns, of the entry and of its new superior",
        rules: &[
            READ,
            NAMES,
            r#"(target_from = "ldap:///uid=d*,ou=people,ou=west,@")(target_to = "ldap:///ou=gr*,@")(version 3.0; acl "m"; allow (moddn) userdn = "ldap:///uid=ann,ou=people,@";)"#,
            r#"(target_to = "ldap:///uid=*,ou=people,@")(version 3.0; acl "n"; allow (moddn) userdn = "ldap:///uid=bob,ou=people,@";)"#,
        ],
        steps: &[
            (ANN, Move(CAROL, GROUPS), false),
            (ANN, Move(DIRK, "ou=people"), false),
            (ANN, Move(DIRK, GROUPS), true),
            (BOB, Move(DORA, "ou=people"), false),
        ],
    },
    Scenario {
        name: "target_from and target_to: not these",
        rules: &[
            READ,
            NAMES,
            r#"(target_from != "ldap:///ou=people,@")(target_to != "ldap:///ou=south,ou=west,@")(version 3.0; acl "m"; allow (moddn) userdn = "ldap:///uid=ann,ou=people,@";)"#,
        ],
        steps: &[
            (ANN, Move(CAROL, GROUPS), false),
            (ANN, Move(DIRK, "ou=south,ou=west"), false),
            (ANN, Move(DIRK, GROUPS), true),
        ],
    },
    Scenario {
        name: "target_from and target_to: deny beats allow",
        rules: &[
            READ,
            NAMES,
            r#"(version 3.0; acl "m"; allow (moddn) userdn = "ldap:///uid=ann,ou=people,@";)"#,
            r#"(target_from = "ldap:///ou=people,@")(target_to = "ldap:///ou=west,@")(version 3.0; acl "d"; deny (moddn) userdn = "ldap:///all";)"#,
            r#"(target_to = "ldap:///ou=west,@")(version 3.0; acl "b"; allow (moddn) userdn = "ldap:///uid=bob,ou=people,@";)"#,
            r#"(target = "ldap:///ou=south,ou=west,@")(version 3.0; acl "s"; deny (moddn) userdn = "ldap:///uid=bob,ou=people,@";)"#,
        ],
        steps: &[
            (ANN, Move(CAROL, "ou=west"), false),
            (ANN, Move(CAROL, GROUPS), true),
            (BOB, Move(DIRK, "ou=south,ou=west"), false),
            (BOB, Move(DIRK, "ou=west"), true),
        ],
    },
    Scenario {
        name: "target_to: other rights of the rule are not about moves; target and filter are about the new superior",
        rules: &[
            READ,
            NAMES,
            r#"(target_to = "ldap:///ou=west,@")(targetattr = "title")(version 3.0; acl "w"; allow (moddn, write) userdn = "ldap:///uid=ann,ou=people,@";)"#,
            r#"(target_to = "ldap:///ou=groups,@")(targetfilter = "(uid=dirk)")(version 3.0; acl "f"; allow (moddn) userdn = "ldap:///uid=bob,ou=people,@";)"#,
            r#"(target_to = "ldap:///ou=groups,@")(targetfilter = "(ou=groups)")(version 3.0; acl "g"; allow (moddn) userdn = "ldap:///uid=carol,ou=people,@";)"#,
            r#"(target = "ldap:///ou=people,@")(target_to = "ldap:///ou=groups,@")(version 3.0; acl "t"; allow (moddn) userdn = "ldap:///uid=eve,ou=people,ou=south,ou=west,@";)"#,
        ],
        steps: &[
            (ANN, Modify(CAROL, REPLACE, "title", &["x"]), true),
            (BOB, Move(DIRK, GROUPS), false),
            (EVE, Move(DIRK, GROUPS), false),
            (CAROL, Move(DIRK, GROUPS), true),
            (ANN, Move(CAROL, "ou=west"), true),
        ],
    },
    Scenario {
        name: "target_to: userattr is about the new superior",
        rules: &[
            READ,
            NAMES,
            r#"(target_to = "ldap:///ou=west,@")(version 3.0; acl "u"; allow (moddn) userattr = "manager#USERDN";)"#,
            r#"(target_to = "ldap:///ou=people,ou=west,@")(version 3.0; acl "v"; allow (moddn) userattr = "seeAlso#USERDN";)"#,
        ],
        steps: &[(BOB, Move(ANN, "ou=west"), false), (CAROL, Move(ANN, "ou=people,ou=west"), true)],
    },
];
