//! Why a case asks Entente alone. The cases are proved by slapd (`LDAP_SUBJECT=slapd`); one that slapd cannot be asked says why
//! by a word of [`Reason`], so that they can be counted: `tests/ldap/README.md` has the table, `tests/tidy.rs` holds it.

use crate::support::server::Subject;

/// The reasons that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is about what ACI alone can say; `tests/peers/access_389.rs` asks 389 the same.
    Access,
    /// slapd 2.5 has it and breaks on it.
    Breaks,
    /// It bounds what an attack or a large answer costs the process.
    Cost,
    /// It is about the words of an answer.
    Diagnostic,
    /// A feature of 389, Sun, OpenDJ or Active Directory; tests/peers asks 389 where 389 has it.
    Foreign,
    /// slapd takes what the RFC refuses.
    Lax,
    /// It reads our log.
    Log,
    /// A feature of Entente alone.
    Own,
    /// A setting to which nothing in slapd corresponds.
    Setting,
    /// slapd 2.5, as Debian builds it, does not serve it.
    Unserved,
}

impl Reason {
    /// Whether a case with this reason ends here.
    pub(crate) fn ends_it(self) -> bool {
        Subject::current().is_slapd()
    }
}

/// The case asks Entente alone; its first statement.
macro_rules! only_entente {
    ($reason:ident) => {
        if $crate::only::Reason::$reason.ends_it() {
            return;
        }
    };
}

/// The case asks slapd too, but not what follows.
macro_rules! only_entente_from_here {
    ($reason:ident) => {
        if $crate::only::Reason::$reason.ends_it() {
            return;
        }
    };
}
