// Two address books: one for everybody, one behind TLS and a password. And no calls home.
user_pref("marionette.port", @PORT@);
user_pref("ldap_2.servers.open.description", "Open");
user_pref("ldap_2.servers.open.dirType", 0);
user_pref("ldap_2.servers.open.filename", "open.sqlite");
user_pref("ldap_2.servers.open.maxHits", 100);
user_pref("ldap_2.servers.open.uri", "ldap://@NODE@/ou=people,dc=example,dc=com??sub?(objectclass=*)");
user_pref("ldap_2.servers.secure.description", "Secure");
user_pref("ldap_2.servers.secure.dirType", 0);
user_pref("ldap_2.servers.secure.filename", "secure.sqlite");
user_pref("ldap_2.servers.secure.maxHits", 100);
user_pref("ldap_2.servers.secure.uri", "ldaps://@SECURE@/ou=people,dc=example,dc=com??sub?(objectclass=*)");
user_pref("ldap_2.servers.secure.auth.dn", "uid=mail,ou=services,dc=example,dc=com");
user_pref("ldap_2.autoComplete.useDirectory", true);
user_pref("ldap_2.autoComplete.directoryServer", "ldap_2.servers.open");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
