//! The LDAP door: connections, requests in, responses out.
