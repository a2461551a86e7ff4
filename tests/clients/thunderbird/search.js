// What a person does with LDAP address books in Thunderbird: the search box of the address book, completing a
// recipient, the copy for working offline, and a book with a password behind TLS.
// Arguments: words to search for, letters to complete, the server's certificate (base64), the password.
const [words, beginning, certificate, password, done] = arguments;
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const bookOf = pref => MailServices.ab.directories.find(directory => directory.dirPrefId == pref)
  .QueryInterface(Ci.nsIAbLDAPDirectory);
const open = bookOf("ldap_2.servers.open");
const secure = bookOf("ldap_2.servers.secure");

// As the address book's search box does it: its own query with the words put in.
const search = book => new Promise(found => {
  const format = Services.prefs.getStringPref("mail.addr_book.quicksearchquery.format");
  const query = format.replaceAll("@V", encodeURIComponent(words)).replace(/^\?/, "");
  const cards = [];
  book.search(query, words, {
    onSearchFoundCard: card => cards.push([card.displayName, card.primaryEmail]),
    onSearchFinished: status => found({ status, cards: cards.sort() }),
  });
});

// As the line "To" of a new message does it.
const complete = () => new Promise(found => {
  const line = Cc["@mozilla.org/autocomplete/search;1?name=ldap"].createInstance(Ci.nsIAutoCompleteSearch);
  line.startSearch(beginning, JSON.stringify({ type: "addr_to", idKey: "" }), null, {
    onSearchResult(_, result) {
      if (result.searchResult <= Ci.nsIAutoCompleteResult.RESULT_NOMATCH) {
        found([]);
      } else if (result.searchResult == Ci.nsIAutoCompleteResult.RESULT_SUCCESS) {
        found(Array.from({ length: result.matchCount }, (_, at) => result.getValueAt(at)).sort());
      }
    },
  });
});

// "Download now"; then a search while offline, which asks the copy alone.
const copy = async () => {
  const service = Cc["@mozilla.org/addressbook/ldap-replication-service;1"].getService(Ci.nsIAbLDAPReplicationService);
  const status = await new Promise(ended => service.startReplication(open, {
    onStateChange: (_, __, flags, status) => flags & Ci.nsIWebProgressListener.STATE_STOP && ended(status),
    onProgressChange() {},
  }));
  Services.io.offline = true;
  const offline = await search(open);
  Services.io.offline = false;
  return { status, offline };
};

// What the dialogues about an unknown certificate and a password leave behind.
const trust = async () => {
  const url = secure.lDAPURL;
  const known = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).constructX509FromBase64(certificate);
  Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService)
    .rememberValidityOverride(url.asciiHost, url.port, {}, known, true);
  const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
  login.init(url.prePath, null, url.spec, "", password, "", "");
  await Services.logins.addLoginAsync(login);
};

(async () => {
  try {
    const answer = { search: await search(open), complete: await complete(), copy: await copy() };
    await trust();
    answer.secure = await search(secure);
    done(answer);
  } catch (error) {
    done({ error: `${error}\n${error.stack}` });
  }
})();
