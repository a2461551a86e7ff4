//! LDAP values: names, attributes, filters, changes, LDIF. No schema, no I/O but LDIF text.
