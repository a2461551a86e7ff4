//! LDAP operations: who may, what it means, which result code.
