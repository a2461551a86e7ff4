"""ldap3 (pure Python, own BER) at its usual work, with schema and server information read: what Authentik does.

The server and its identities come from the environment; see tests/peers/python_clients.rs.
"""

import os
import ssl

from ldap3 import ALL, ALL_ATTRIBUTES, ALL_OPERATIONAL_ATTRIBUTES, BASE, DEREF_ALWAYS, LEVEL, MODIFY_ADD, MODIFY_REPLACE
from ldap3 import SUBTREE, Connection, ObjectDef, Reader, Server, Tls
from ldap3.core.exceptions import LDAPInvalidCredentialsResult, LDAPNoSuchObjectResult, LDAPObjectClassViolationResult
from ldap3.utils.conv import escape_filter_chars

URL = os.environ["LDAP_URL"]
SUFFIX = os.environ["LDAP_SUFFIX"]
ADMIN = os.environ["LDAP_ADMIN"]
ADMIN_PASSWORD = os.environ["LDAP_ADMIN_PASSWORD"]
CERTIFICATE = os.environ["LDAP_CERTIFICATE"]
PEOPLE = f"ou=people,{SUFFIX}"
ANN = f"uid=ann,{PEOPLE}"

TLS = Tls(ca_certs_file=CERTIFICATE, validate=ssl.CERT_REQUIRED, valid_names=["127.0.0.1"])
SERVER = Server(URL, get_info=ALL, connect_timeout=20, tls=TLS)


def connect(name=None, password=None):
    return Connection(SERVER, name, password, auto_bind=True, raise_exceptions=True, receive_timeout=20)


def uids(connection):
    return sorted(entry.uid.value for entry in connection.entries if "uid" in entry.entry_attributes)


def server_information():
    with connect() as connection:
        info = connection.server.info
        assert SUFFIX in info.naming_contexts, info.naming_contexts
        # ldap3 says '3' or 3 by version.
        assert 3 in [int(version) for version in info.supported_ldap_versions]
        assert any(control[0] == "1.2.840.113556.1.4.319" for control in info.supported_controls)
        schema = connection.server.schema
        assert "inetOrgPerson" in schema.object_classes and "telephoneNumber" in schema.attribute_types
        assert "sn" in schema.object_classes["person"].must_contain


def bind_and_who_am_i():
    with connect(ANN, "ann-secret") as connection:
        assert connection.extend.standard.who_am_i() == f"dn:{ANN}"
    try:
        connect(ANN, "wrong")
    except LDAPInvalidCredentialsResult:
        pass
    else:
        raise AssertionError("a wrong password bound")


def searches():
    with connect() as connection:
        filters = {
            "(|(cn=*ann*)(mail=*ann*)(givenName=*ann*)(sn=*ann*))": ["ann"],
            "(&(objectClass=inetOrgPerson)(|(uid=bob)(mail=bob)))": ["bob"],
            f"(cn={escape_filter_chars('Star * (Odd) ' + chr(92) + ' Name')})": ["star"],
            "( & (objectClass=person) ( | (uid=ann) (uid=bob) ) )": ["ann", "bob"],
        }
        for text, expected in filters.items():
            connection.search(SUFFIX, text, SUBTREE, dereference_aliases=DEREF_ALWAYS, attributes=["uid", "cn"])
            assert sorted(set(uids(connection))) == expected, (text, uids(connection))
        connection.search(PEOPLE, "(objectClass=*)", LEVEL, attributes=[ALL_ATTRIBUTES, ALL_OPERATIONAL_ATTRIBUTES])
        assert len(connection.entries) == 6
        assert all(entry.entryUUID.value for entry in connection.entries)
        connection.search(ANN, "(objectClass=*)", BASE, attributes=["jpegPhoto"])
        assert connection.entries[0].jpegPhoto.raw_values[0].startswith(b"\xff\xd8")


def paged_results():
    with connect(ADMIN, ADMIN_PASSWORD) as connection:
        found = connection.extend.standard.paged_search(
            PEOPLE, "(uid=*)", attributes=["uid"], paged_size=2, paged_criticality=True, generator=True
        )
        assert sorted(entry["attributes"]["uid"][0] for entry in found) == ["ann", "bob", "carol", "dave", "juergen", "star"]


def object_definitions():
    """The reader of ldap3 checks every attribute against the published schema."""
    with connect() as connection:
        person = ObjectDef(["inetOrgPerson"], connection)
        reader = Reader(connection, person, PEOPLE, "uid: ann")
        entries = reader.search()
        assert [entry.entry_dn for entry in entries] == [ANN]


def writes():
    with connect(ADMIN, ADMIN_PASSWORD) as connection:
        dn = f"uid=l3,{PEOPLE}"
        connection.add(dn, ["inetOrgPerson"], {"cn": "El Drei", "sn": "Drei", "jpegPhoto": bytes(range(256))})
        connection.modify(dn, {"mail": [(MODIFY_ADD, ["a@example.com", "b@example.com"])], "sn": [(MODIFY_REPLACE, ["Trois"])]})
        assert connection.compare(dn, "sn", "trois")
        connection.search(dn, "(objectClass=*)", BASE, attributes=["mail", "jpegPhoto"])
        entry = connection.entries[0]
        assert sorted(entry.mail.values) == ["a@example.com", "b@example.com"]
        assert entry.jpegPhoto.raw_values == [bytes(range(256))]
        try:
            connection.modify(dn, {"sn": [(MODIFY_REPLACE, [])]})
        except LDAPObjectClassViolationResult:
            pass
        else:
            raise AssertionError("a required attribute was taken")
        connection.modify_dn(dn, "uid=l33")
        connection.delete(f"uid=l33,{PEOPLE}")
        try:
            connection.delete(f"uid=l33,{PEOPLE}")
        except LDAPNoSuchObjectResult as error:
            assert error.dn == PEOPLE, error.dn
        else:
            raise AssertionError("deleted twice")


def password_modify():
    with connect(ADMIN, ADMIN_PASSWORD) as connection:
        made = connection.extend.standard.modify_password(ANN)
        with connect(ANN, made) as person:
            person.extend.standard.modify_password(ANN, old_password=made, new_password="ann-secret")
    connect(ANN, "ann-secret").unbind()


def start_tls():
    connection = Connection(SERVER, ANN, "ann-secret", raise_exceptions=True, receive_timeout=20)
    connection.open()
    connection.start_tls()
    connection.bind()
    assert connection.extend.standard.who_am_i() == f"dn:{ANN}"
    connection.unbind()


for work in (
    server_information,
    bind_and_who_am_i,
    searches,
    paged_results,
    object_definitions,
    writes,
    password_modify,
    start_tls,
):
    work()
    print(work.__name__)
print("all passed")
