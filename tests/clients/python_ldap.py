"""python-ldap (libldap underneath) at its usual work: what Django, Zulip, NetBox and many scripts do.

The server and its identities come from the environment; see tests/peers/python_clients.rs.
"""

import os

import ldap
import ldap.controls.libldap
import ldap.controls.readentry
import ldap.modlist
import ldap.schema
from ldap.filter import filter_format

URL = os.environ["LDAP_URL"]
SUFFIX = os.environ["LDAP_SUFFIX"]
ADMIN = os.environ["LDAP_ADMIN"]
ADMIN_PASSWORD = os.environ["LDAP_ADMIN_PASSWORD"]
CERTIFICATE = os.environ["LDAP_CERTIFICATE"]
ENTENTE = os.environ["LDAP_SUBJECT"] == "entente"
PEOPLE = f"ou=people,{SUFFIX}"
ANN = f"uid=ann,{PEOPLE}"


def connect(name="", password=""):
    connection = ldap.initialize(URL)
    connection.set_option(ldap.OPT_NETWORK_TIMEOUT, 20)
    connection.timeout = 20
    connection.simple_bind_s(name, password)
    return connection


def names(found):
    return sorted(attributes["uid"][0].decode() for dn, attributes in found if dn and "uid" in attributes)


def bind_and_who_am_i():
    connection = connect(ANN, "ann-secret")
    assert connection.whoami_s() == f"dn:{ANN}"
    connection.unbind_s()
    try:
        connect(ANN, "wrong")
    except ldap.INVALID_CREDENTIALS:
        pass
    else:
        raise AssertionError("a wrong password bound")


def filters_of_mail_clients():
    connection = connect()
    thunderbird = "(|(cn=*ann*)(mail=*ann*)(givenName=*ann*)(sn=*ann*))"
    assert names(connection.search_s(SUFFIX, ldap.SCOPE_SUBTREE, thunderbird)) == ["ann"]
    evolution = "(|(|(cn=bo*)(sn=bo*))(mail=bo*)(displayName=bo*)(|(fileAs=bo*)(&(!(fileAs=*))(sn=bo*))))"
    assert names(connection.search_s(SUFFIX, ldap.SCOPE_SUBTREE, evolution)) == ["bob"]
    # Blanks between the components, as Evolution and Jenkins write them: libldap takes them out or sends them on.
    blanks = "(& (objectClass=person) (| (uid=ann) (uid=bob) ) )"
    try:
        assert names(connection.search_s(SUFFIX, ldap.SCOPE_SUBTREE, blanks)) == ["ann", "bob"]
    except ldap.FILTER_ERROR:
        pass
    special = filter_format("(cn=%s)", ["Star * (Odd) \\ Name"])
    assert names(connection.search_s(SUFFIX, ldap.SCOPE_SUBTREE, special)) == ["star"]


def paged_results():
    connection = connect(ADMIN, ADMIN_PASSWORD)
    control = ldap.controls.libldap.SimplePagedResultsControl(True, size=2, cookie="")
    found, pages = [], 0
    while True:
        request = connection.search_ext(PEOPLE, ldap.SCOPE_SUBTREE, "(uid=*)", ["uid"], serverctrls=[control])
        _, entries, _, controls = connection.result3(request)
        found += entries
        pages += 1
        cookie = [c for c in controls if c.controlType == control.controlType][0].cookie
        if not cookie:
            break
        control.cookie = cookie
    assert pages >= 3
    assert names(found) == ["ann", "bob", "carol", "dave", "juergen", "star"]


def size_limit_brings_its_entries():
    connection = connect(ADMIN, ADMIN_PASSWORD)
    request = connection.search_ext(PEOPLE, ldap.SCOPE_SUBTREE, "(uid=*)", ["uid"], sizelimit=2)
    entries = []
    try:
        while True:
            kind, part = connection.result(request, all=0)
            if kind == ldap.RES_SEARCH_RESULT:
                raise AssertionError("the limit was not told")
            entries += part
    except ldap.SIZELIMIT_EXCEEDED:
        pass
    assert len(entries) == 2


def schema():
    name, subschema = ldap.schema.urlfetch(URL)
    assert name.lower() == "cn=subschema"
    person = subschema.get_obj(ldap.schema.ObjectClass, "inetOrgPerson")
    assert "organizationalPerson" in person.sup
    must, may = subschema.attribute_types(["inetOrgPerson"])
    spelled = {name.lower() for element in list(must.values()) + list(may.values()) for name in element.names}
    assert {"cn", "sn", "mail", "jpegphoto", "telephonenumber"} <= spelled
    # Everything that is published can be read, and refers to what is published.
    for kind in (ldap.schema.ObjectClass, ldap.schema.AttributeType, ldap.schema.MatchingRule, ldap.schema.LDAPSyntax):
        elements = [subschema.get_obj(kind, oid) for oid in subschema.listall(kind)]
        assert elements and all(element is not None for element in elements), kind
    for oid in subschema.listall(ldap.schema.AttributeType):
        element = subschema.get_obj(ldap.schema.AttributeType, oid)
        for superior in element.sup:
            assert subschema.get_obj(ldap.schema.AttributeType, superior) is not None, (element.names, superior)
        assert element.syntax or element.sup, element.names
    for oid in subschema.listall(ldap.schema.ObjectClass):
        element = subschema.get_obj(ldap.schema.ObjectClass, oid)
        for attribute in element.must + element.may:
            # slapd hides some attributes of its own.
            assert not ENTENTE or subschema.get_obj(ldap.schema.AttributeType, attribute) is not None, (element.names, attribute)


def writes():
    connection = connect(ADMIN, ADMIN_PASSWORD)
    dn = f"uid=py,{PEOPLE}"
    attributes = {
        "objectClass": [b"inetOrgPerson"],
        "uid": [b"py"],
        "cn": ["Pÿthon".encode()],
        "sn": [b"Thon"],
        "jpegPhoto": [bytes(range(256))],
    }
    connection.add_s(dn, ldap.modlist.addModlist(attributes))
    (_, entry), = connection.search_s(dn, ldap.SCOPE_BASE)
    assert entry["jpegPhoto"] == [bytes(range(256))] and entry["cn"] == ["Pÿthon".encode()]
    changed = dict(entry, sn=[b"Other"], mail=[b"py@example.com"])
    connection.modify_s(dn, ldap.modlist.modifyModlist(entry, changed))
    assert connection.compare_s(dn, "sn", b"other")
    read = ldap.controls.readentry.PostReadControl(True, ["description"])
    request = connection.modify_ext(dn, [(ldap.MOD_REPLACE, "description", [b"seen"])], serverctrls=[read])
    _, _, _, controls = connection.result3(request)
    assert controls[0].entry["description"] in (["seen"], [b"seen"]), controls[0].entry
    connection.rename_s(dn, "uid=pyth", SUFFIX, delold=1)
    assert connection.read_s(f"uid=pyth,{SUFFIX}")["uid"] == [b"pyth"]
    connection.delete_s(f"uid=pyth,{SUFFIX}")
    try:
        connection.delete_s(f"uid=pyth,{SUFFIX}")
    except ldap.NO_SUCH_OBJECT as error:
        assert error.args[0].get("matched") == SUFFIX
    else:
        raise AssertionError("deleted twice")


def password_modify():
    connection = connect(ANN, "ann-secret")
    connection.passwd_s(ANN, "ann-secret", "changed-by-python-1")
    connect(ANN, "changed-by-python-1")
    admin = connect(ADMIN, ADMIN_PASSWORD)
    answer = admin.passwd_s(ANN, None, None, extract_newpw=True)
    made = answer[1].genPasswd
    connect(ANN, made.decode() if isinstance(made, bytes) else made)
    admin.passwd_s(ANN, None, "ann-secret")


def start_tls():
    connection = ldap.initialize(URL)
    connection.set_option(ldap.OPT_X_TLS_CACERTFILE, CERTIFICATE)
    connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    connection.start_tls_s()
    connection.simple_bind_s(ANN, "ann-secret")
    assert connection.whoami_s() == f"dn:{ANN}"


def cancel_and_abandon():
    connection = connect()
    request = connection.search(SUFFIX, ldap.SCOPE_SUBTREE)
    connection.abandon(request)
    assert connection.whoami_s() == ""
    # libldap keeps no request of this id, so the server is asked about nothing that runs.
    request = connection.search(SUFFIX, ldap.SCOPE_SUBTREE)
    connection.result(request)
    try:
        connection.cancel_s(request)
    except (ldap.NO_SUCH_OPERATION, ldap.TOO_LATE, ldap.CANNOT_CANCEL):
        pass


def assertions():
    connection = connect(ADMIN, ADMIN_PASSWORD)
    control = ldap.controls.libldap.AssertionControl(True, "(sn=nobody)")
    try:
        request = connection.modify_ext(ANN, [(ldap.MOD_REPLACE, "title", [b"x"])], serverctrls=[control])
        connection.result3(request)
    except ldap.ASSERTION_FAILED:
        pass
    else:
        raise AssertionError("a false assertion passed")


def names_as_asked():
    connection = connect()
    (_, entry), = connection.search_s(ANN, ldap.SCOPE_BASE, attrlist=["MAIL", "givenname"])
    expected = {"MAIL", "givenname"} if ENTENTE else {"mail", "givenName"}
    assert set(entry) == expected, entry


for work in (
    bind_and_who_am_i,
    filters_of_mail_clients,
    paged_results,
    size_limit_brings_its_entries,
    schema,
    writes,
    password_modify,
    start_tls,
    cancel_and_abandon,
    assertions,
    names_as_asked,
):
    work()
    print(work.__name__)
print("all passed")
