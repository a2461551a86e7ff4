"""An LDAP address book of Evolution, through evolution-addressbook-factory: find, complete, browse, write.

usage, below dbus-run-session: book.py PASSWORD. Prints what it found, one line of JSON a step; with an LDAP source
"entente" in the folder of sources.
"""

import json
import sys
import time

import gi

gi.require_version("EBook", "1.2")
gi.require_version("EBookContacts", "1.2")
gi.require_version("EDataServer", "1.2")
from gi.repository import EBook, EBookContacts, EDataServer, GLib  # noqa: E402

NO_WAITING = 2**32 - 1  # for a state that an LDAP book does not tell
PATIENCE = 120  # seconds


def tell(step, **what):
    print(json.dumps({"step": step, **what}, ensure_ascii=False), flush=True)


def shown(contact):
    return [contact.get_property("full-name") or "", contact.get_property("email-1") or ""]


def found(book, query):
    done, contacts = book.get_contacts_sync(query, None)
    assert done
    return sorted(shown(contact) for contact in contacts)


def list_of(name, contacts):
    """A contact list as Evolution's editor makes it: members are contacts of the same book."""
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"FN:{name}", f"X-EVOLUTION-FILE-AS:{name}", "X-EVOLUTION-LIST:TRUE"]
    for contact in contacts:
        name, mail = shown(contact)
        lines.append(
            f'EMAIL;X-EVOLUTION-DEST-CONTACT-UID="{contact.get_property("id")}";X-EVOLUTION-DEST-NAME="{name}";'
            f"X-EVOLUTION-DEST-EMAIL-NUM=0:{mail}"
        )
    return EBookContacts.Contact.new_from_vcard("\r\n".join([*lines, "END:VCARD", ""]))


def wait_until_connected(book):
    """The factory connects behind the scenes; a question before is refused."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            book.get_contacts_sync('(is "full_name" "nobody")', None)
            return
        except GLib.Error as error:
            if "Not connected" not in error.message or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def main():
    registry = EDataServer.SourceRegistry.new_sync(None)
    source = registry.ref_source("entente")
    password = sys.argv[1]
    provider = EDataServer.SourceCredentialsProvider.new(registry)
    credentials = EDataServer.NamedParameters.new()
    credentials.set(EDataServer.SOURCE_CREDENTIAL_PASSWORD, password)
    provider.store_sync(source, credentials, False, None)
    book = EBook.BookClient.connect_direct_sync(registry, source, NO_WAITING, None)
    wait_until_connected(book)
    tell("open", readonly=book.is_readonly(), capabilities=book.get_capabilities())

    anywhere = EBookContacts.BookQuery.any_field_contains("builder").to_string()
    tell("anywhere", contacts=found(book, anywhere))
    begins = EBookContacts.BookQuery.field_test(
        EBookContacts.ContactField.EMAIL, EBookContacts.BookQueryTest.BEGINS_WITH, "bo"
    ).to_string()
    tell("mail", contacts=found(book, begins))
    complete = '(or (beginswith "full_name" "car") (beginswith "email" "car") (beginswith "file_as" "car"))'
    tell("complete", contacts=found(book, complete))
    tell("browse", contacts=found(book, '(exists "full_name")'))

    contact = EBookContacts.Contact.new()
    contact.set_property("full-name", "Ada Lovelace")
    contact.set_property("family-name", "Lovelace")
    contact.set_property("given-name", "Ada")
    contact.set_property("file-as", "Lovelace, Ada")
    contact.set_property("email-1", "ada@example.com")
    contact.set_property("business-phone", "+44 20 7946 0100")
    contact.set_property("title", "Countess")
    birth = EBookContacts.ContactDate.new()
    birth.year, birth.month, birth.day = 1815, 12, 10
    contact.set_property("birth-date", birth)
    done, uid = book.add_contact_sync(contact, EBookContacts.BookOperationFlags.NONE, None)
    tell("create", done=done, uid=uid)

    done, contact = book.get_contact_sync(uid, None)
    contact.set_property("email-1", "ada@engine.example.com")
    contact.set_property("mobile-phone", "+44 7700 900123")
    contact.set_property("title", "Analyst")
    tell("modify", done=book.modify_contact_sync(contact, EBookContacts.BookOperationFlags.NONE, None))
    done, contact = book.get_contact_sync(uid, None)
    birth = contact.get_property("birth-date")
    tell(
        "read",
        contact=shown(contact),
        title=contact.get_property("title"),
        mobile=contact.get_property("mobile-phone"),
        birth=[birth.year, birth.month, birth.day],
    )
    tell("found", contacts=found(book, '(contains "full_name" "lovel")'))
    _, members = book.get_contacts_sync('(or (is "email" "bob@example.com") (is "email" "carol@example.com"))', None)
    done, list_uid = book.add_contact_sync(list_of("Builders", members), EBookContacts.BookOperationFlags.NONE, None)
    done, members = book.get_contact_sync(list_uid, None)
    mails = [attribute.get_value() for attribute in members.get_attributes(EBookContacts.ContactField.EMAIL)]
    tell("list", name=members.get_property("full-name"), is_list=members.get_property("list"), mails=sorted(mails))
    assert book.remove_contact_by_uid_sync(list_uid, EBookContacts.BookOperationFlags.NONE, None)

    tell("delete", done=book.remove_contact_by_uid_sync(uid, EBookContacts.BookOperationFlags.NONE, None))
    tell("gone", contacts=found(book, '(beginswith "full_name" "Ada")'))


main()
