"""python-ldap's syncrepl consumer keeps a copy: refreshOnly, then refreshAndPersist, compared with a plain search."""

import os
import time

import ldap
import ldap.modlist
from ldap.ldapobject import ReconnectLDAPObject
from ldap.syncrepl import SyncreplConsumer

URL, SUFFIX = os.environ["LDAP_URL"], os.environ["LDAP_SUFFIX"]
ADMIN, PASSWORD = os.environ["LDAP_ADMIN"], os.environ["LDAP_ADMIN_PASSWORD"]
DEADLINE_S = 30


class Copy(ReconnectLDAPObject, SyncreplConsumer):
    """Entries by entryUUID, as the callbacks say."""

    def __init__(self):
        super().__init__(URL)
        self.simple_bind_s(ADMIN, PASSWORD)
        self.entries, self.cookie, self.mentioned, self.is_refreshed = {}, None, set(), False

    def syncrepl_set_cookie(self, cookie):
        self.cookie = cookie

    def syncrepl_get_cookie(self):
        return self.cookie

    def syncrepl_entry(self, dn, attributes, uuid):
        self.entries[uuid] = (dn.lower(), attributes)

    def syncrepl_delete(self, uuids):
        for uuid in uuids:
            self.entries.pop(uuid, None)

    def syncrepl_present(self, uuids, refreshDeletes=False):
        if uuids is not None:
            self.mentioned.update(uuids)
            return
        if not refreshDeletes:
            self.entries = {uuid: entry for uuid, entry in self.entries.items() if uuid in self.mentioned}
        self.mentioned = set()

    def syncrepl_refreshdone(self):
        self.is_refreshed = True

    def poll_once(self):
        search = self.syncrepl_search(SUFFIX, ldap.SCOPE_SUBTREE, mode="refreshOnly", filterstr="(objectClass=*)")
        while self.syncrepl_poll(msgid=search, timeout=DEADLINE_S):
            pass


def plain(entries):
    return {dn: {name.lower(): sorted(values) for name, values in attributes.items()} for dn, attributes in entries}


writer = ldap.initialize(URL)
writer.simple_bind_s(ADMIN, PASSWORD)


def original():
    # What is below referrals is another server's; ManageDsaIT is not asked for on either side.
    found = writer.search_s(SUFFIX, ldap.SCOPE_SUBTREE, "(objectClass=*)")
    return plain((dn.lower(), attributes) for dn, attributes in found if dn)


def add(name):
    dn = f"cn={name},ou=people,{SUFFIX}"
    attributes = {"objectClass": [b"inetOrgPerson"], "cn": [name.encode()], "sn": ["Über".encode()]}
    writer.add_s(dn, ldap.modlist.addModlist(attributes))
    return dn


def change(round_number):
    one, two = add(f"one {round_number}"), add(f"two {round_number}")
    writer.modify_s(one, [(ldap.MOD_REPLACE, "title", [b"Dr"])])
    writer.rename_s(one, f"cn=moved {round_number}", f"ou=groups,{SUFFIX}", 1)
    writer.delete_s(two)


copy = Copy()
copy.poll_once()
assert plain(copy.entries.values()) == original(), "after the first poll"
for number in range(3):
    change(number)
    before = dict(copy.entries)
    copy.poll_once()
    assert plain(copy.entries.values()) == original(), f"after poll {number}"
    changed = sum(1 for uuid, entry in copy.entries.items() if before.get(uuid) is not entry)
    assert changed == 1, f"{changed} entries came where one had changed"

persisting = Copy()
persisting.entries, persisting.cookie = dict(copy.entries), copy.cookie
search = persisting.syncrepl_search(
    SUFFIX, ldap.SCOPE_SUBTREE, mode="refreshAndPersist", filterstr="(objectClass=*)"
)
while not persisting.is_refreshed:
    persisting.syncrepl_poll(msgid=search, timeout=DEADLINE_S)
for number in range(3, 6):
    change(number)
    expected, deadline = original(), time.monotonic() + DEADLINE_S
    while plain(persisting.entries.values()) != expected:
        assert time.monotonic() < deadline, f"change {number} did not come"
        persisting.syncrepl_poll(msgid=search, timeout=DEADLINE_S)
resumed = Copy()
resumed.entries, resumed.cookie = dict(persisting.entries), persisting.cookie
change(6)
resumed.poll_once()
assert plain(resumed.entries.values()) == original(), "with the cookie of the search that persisted"
print("all passed")
