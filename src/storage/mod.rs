//! LMDB tables: bytes and ids; no schema, no LDAP policy.
