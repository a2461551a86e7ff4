"""What 389's own client tests ask of content synchronisation (RFC 4533), by python-ldap's consumer.

    python_content_sync.py begin|resume|persist|foreign|old

Each step is a process of its own, as a consumer that was restarted: entries and cookie are in the file LDAP_STATE. Between
two steps the test may restart the server or name another one in LDAP_URL. LDAP_SUBJECT (entente, slapd, 389) says where
servers are right and differ, or are known to be wrong.
"""

import os
import pickle
import sys
import time

import ldap
import ldap.modlist
from ldap.ldapobject import ReconnectLDAPObject
from ldap.syncrepl import SyncreplConsumer

URL, SUFFIX, SUBJECT = os.environ["LDAP_URL"], os.environ["LDAP_SUFFIX"], os.environ["LDAP_SUBJECT"]
ADMIN, PASSWORD = os.environ["LDAP_ADMIN"], os.environ["LDAP_ADMIN_PASSWORD"]
STATE = os.environ["LDAP_STATE"]
BASE = f"ou=content-sync,{SUFFIX}"
DEADLINE_S = 30
REFRESH_REQUIRED = 4096


class Copy(ReconnectLDAPObject, SyncreplConsumer):
    """Entries by their identity, as the callbacks say, and what was called since the last look."""

    def __init__(self, kept=None):
        super().__init__(URL)
        self.simple_bind_s(ADMIN, PASSWORD)
        self.entries, self.cookie = kept or ({}, None)
        self.mentioned, self.events, self.is_refreshed = set(), [], False

    def syncrepl_set_cookie(self, cookie):
        self.cookie = cookie

    def syncrepl_get_cookie(self):
        return self.cookie

    def syncrepl_entry(self, dn, attributes, uuid):
        self.entries[uuid] = (dn.lower(), attributes)
        self.events.append(dn.lower())

    def syncrepl_delete(self, uuids):
        for uuid in uuids:
            known = self.entries.pop(uuid, None)
            if known:
                self.events.append("gone " + known[0])

    def syncrepl_present(self, uuids, refreshDeletes=False):
        if uuids is not None:
            self.mentioned.update(uuids)
            return
        # 389 tells deletes by name and does not say so (refreshDeletes is not set at the end of refreshOnly).
        if not refreshDeletes and not (SUBJECT == "389" and self.had_cookie):
            for uuid in [uuid for uuid in self.entries if uuid not in self.mentioned]:
                self.syncrepl_delete([uuid])
        self.mentioned = set()

    def syncrepl_refreshdone(self):
        self.is_refreshed = True

    def begin(self, mode, filterstr):
        self.had_cookie = self.cookie is not None
        return self.syncrepl_search(BASE, ldap.SCOPE_SUBTREE, mode=mode, filterstr=filterstr)

    def poll(self, filterstr="(objectClass=*)"):
        """One refreshOnly search; what it changed."""
        self.events = []
        search = self.begin("refreshOnly", filterstr)
        while self.syncrepl_poll(msgid=search, timeout=DEADLINE_S):
            pass
        return sorted(self.events)

    def persist(self, filterstr="(objectClass=*)"):
        search = self.begin("refreshAndPersist", filterstr)
        while not self.is_refreshed:
            self.syncrepl_poll(msgid=search, timeout=DEADLINE_S)
        self.events = []
        return search

    def expect_equal(self, filterstr="(objectClass=*)"):
        found = writer.search_s(BASE, ldap.SCOPE_SUBTREE, filterstr)
        wanted = plain((dn.lower(), attributes) for dn, attributes in found if dn)
        assert plain(self.entries.values()) == wanted, f"{self.entries} instead of {wanted} by {self.cookie}"


def plain(entries):
    return {dn: {name.lower(): sorted(values) for name, values in attributes.items()} for dn, attributes in entries}


writer = ldap.initialize(URL)
writer.simple_bind_s(ADMIN, PASSWORD)


def add(name, below=BASE, **more):
    attributes = {"objectClass": [b"inetOrgPerson"], "cn": [name.encode()], "sn": ["Über".encode()]}
    attributes.update({kind: [value.encode()] for kind, value in more.items()})
    writer.add_s(f"cn={name},{below}", ldap.modlist.addModlist(attributes))
    return f"cn={name},{below}".lower()


def branch(name, below=BASE):
    dn = f"ou={name},{below}"
    writer.add_s(dn, [("objectClass", [b"organizationalUnit"]), ("ou", [name.encode()])])
    return dn.lower()


def replace(dn, kind, value):
    writer.modify_s(dn, [(ldap.MOD_REPLACE, kind, value and [value.encode()])])


def expect(seen, *wanted):
    assert list(seen) == sorted(wanted), f"{list(seen)} instead of {sorted(wanted)}"


def begin():
    writer.add_s(BASE, [("objectClass", [b"organizationalUnit"]), ("ou", [b"content-sync"])])
    here, there = branch("here"), branch("there")
    one, two = add("one", here), add("two", here)
    copy = Copy()
    expect(copy.poll(), BASE.lower(), here, there, one, two)
    expect(copy.poll())
    three = add("three", here)
    expect(copy.poll(), three)
    replace(one, "title", "Dr")
    replace(one, "description", "twice changed, once sent")
    expect(copy.poll(), one)
    writer.rename_s(two, "cn=deux", None, 1)
    expect(copy.poll(), f"cn=deux,{here}")
    writer.rename_s(three, "cn=three", there, 1)
    expect(copy.poll(), f"cn=three,{there}")
    writer.delete_s(one)
    expect(copy.poll(), f"gone {one}")
    # Come and gone between two looks: nothing that a copy would keep.
    writer.delete_s(add("brief", here))
    copy.poll()
    copy.expect_equal()
    # Into and out of the filter.
    chiefs, filterstr = Copy(), "(title=chief)"
    expect(chiefs.poll(filterstr))
    replace(f"cn=deux,{here}", "title", "chief")
    expect(chiefs.poll(filterstr), f"cn=deux,{here}")
    replace(f"cn=deux,{here}", "title", None)
    # 389 forgets those who left the filter between two searches (2.3.1).
    expect(chiefs.poll(filterstr), *([] if SUBJECT == "389" else [f"gone cn=deux,{here}"]))
    copy.poll()
    keep(copy)


def resume():
    """With the cookie of another day, and perhaps of another server of the cluster."""
    number = int(time.monotonic() * 1000)
    changed, gone = add(f"changed {number}"), add(f"gone {number}")
    copy = Copy(kept())
    copy.poll()
    replace(changed, "title", "Dr")
    writer.delete_s(gone)
    new = add(f"new {number}")
    expect(copy.poll(), changed, new, f"gone {gone}")
    copy.expect_equal()
    keep(copy)


def persist():
    """Each change is seen once, and as what it was."""
    copy, chiefs = Copy(kept()), Copy()
    searches = [(copy, copy.persist()), (chiefs, chiefs.persist("(title=chief)"))]

    def see(*wanted):
        for (seeing, search), events in zip(searches, wanted):
            deadline = time.monotonic() + DEADLINE_S
            while len(seeing.events) < len(events):
                assert time.monotonic() < deadline, f"{seeing.events} instead of {events}"
                seeing.syncrepl_poll(msgid=search, timeout=DEADLINE_S)
            assert seeing.events == events, f"{seeing.events} instead of {events}"
            seeing.events = []

    below = branch("persist")
    see([below], [])
    first = add("first", below)
    see([first], [])
    replace(first, "title", "chief")
    see([first], [first])
    writer.rename_s(first, "cn=second", None, 1)
    second = f"cn=second,{below}"
    see([second], [second])
    writer.rename_s(below, "ou=persisted", None, 1)
    below = f"ou=persisted,{BASE}".lower()
    second = f"cn=second,{below}"
    # That the superior has another name is seen from the superior alone by consumers that keep a tree.
    see(*(([below, second], [second]) if SUBJECT == "entente" else ([below], [])))
    writer.rename_s(second, "cn=third", BASE, 1)
    third = f"cn=third,{BASE}".lower()
    see([third], [third])
    replace(third, "title", None)
    see([third], [f"gone {third}"])
    replace(third, "title", "chief")
    see([third], [third])
    writer.delete_s(third)
    see([f"gone {third}"], [f"gone {third}"])
    writer.delete_s(below)
    see([f"gone {below}"], [])
    copy.expect_equal()
    # With the cookie of a search that persisted.
    again = Copy((dict(copy.entries), copy.cookie))
    again.poll()
    after = add("after")
    expect(again.poll(), after)
    writer.delete_s(after)
    expect(again.poll(), f"gone {after}")
    keep(again)


def foreign():
    """Whatever is brought as a cookie, the copy is right afterwards or the consumer is told to begin anew."""
    _, own = kept()
    for cookie in ["", "nonsense", "x" * 4096, "rid=001,csn=nonsense", own[:60], own.replace("ent=", "ent=0"), "\x00\x01\x02"]:
        copy = Copy(({}, cookie))
        try:
            copy.poll()
        except ldap.LDAPError as error:
            said = error.args[0]
            assert said.get("result") == REFRESH_REQUIRED or said.get("desc") == "Protocol error", (cookie[:40], error)
            copy = Copy()
            copy.poll()
        copy.expect_equal()


def old():
    """The server does not remember any more what changed since: everything comes, or the word to ask for it."""
    copy = Copy(kept())
    try:
        copy.poll()
    except ldap.LDAPError as error:
        assert error.args[0].get("result") == REFRESH_REQUIRED, error
        copy = Copy()
        copy.poll()
    copy.expect_equal()
    keep(copy)


def keep(copy):
    with open(STATE, "wb") as file:
        pickle.dump((copy.entries, copy.cookie), file)


def kept():
    with open(STATE, "rb") as file:
        return pickle.load(file)


{step.__name__: step for step in (begin, resume, persist, foreign, old)}[sys.argv[1]]()
print("all passed")
