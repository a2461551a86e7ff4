<?php
// Roundcube's library at work: every step says what it made of the answer, and throws where it should not be so.
set_error_handler(function ($level, $text, $file, $line) {
    // The library reads keys that its own results lack.
    if (!(error_reporting() & $level) || strpos($file, 'Net/LDAP3') !== false) return true;
    throw new ErrorException($text, 0, $level, $file, $line);
});
require_once 'Net/LDAP3.php';
$suffix = getenv('LDAP_SUFFIX');
$people = "ou=people,$suffix";

function book(array $settings = []): Net_LDAP3 {
    $book = new Net_LDAP3($settings + [
        'hosts' => ['127.0.0.1'], 'port' => (int) getenv('LDAP_PORT'), 'use_tls' => false, 'ldap_version' => 3,
        'root_dn' => getenv('LDAP_SUFFIX'), 'vlv' => true, 'referrals' => false, 'sizelimit' => 0, 'timelimit' => 20,
        'network_timeout' => 20, 'search_attributes' => ['cn', 'mail'], 'fuzzy_search' => 1, 'page_size' => 2,
    ]);
    if (getenv('DEBUG')) $book->config_set('log_hook', function ($level, $text) { fwrite(STDERR, implode(' ', (array) $text) . "\n"); });
    if (!$book->connect()) throw new Exception('no connection');
    return $book;
}

function uids(Net_LDAP3_Result $result): string {
    $found = [];
    foreach ($result->entries(true) as $entry) $found[] = $entry['uid'];
    return implode(' ', $found);
}

$book = book();
echo 'wrong password: ', var_export($book->bind("uid=bob,$people", 'wrong'), true), "\n";
if (!$book->bind(getenv('LDAP_ADMIN'), getenv('LDAP_ADMIN_PASSWORD'))) throw new Exception('no bind');

// Without declared lists: the whole, sorted here, and what the search box asks.
$found = $book->search($people, '(objectClass=inetOrgPerson)', 'sub', ['uid', 'cn', 'mail']);
echo 'all: ', $found->count(), ' ', var_export($found->get('vlv'), true), "\n";
$filter = $book->search_filter(['operator' => 'OR', 'params' => [
    'cn' => ['type' => 'both', 'value' => 'caro'], 'mail' => ['type' => 'prefix', 'value' => 'caro'],
]]);
echo "$filter: ", uids($book->search($people, $filter, 'sub', ['uid'])), "\n";

// A list declared in the settings is looked at page by page: sort and window, both in the server.
$lists = book(['vlv' => [[$people => [
    'scope' => 'sub', 'filter' => '(objectclass=inetorgperson)', 'sort' => [['sn', 'givenname', 'cn']],
]]]]);
$lists->bind(getenv('LDAP_ADMIN'), getenv('LDAP_ADMIN_PASSWORD'));
foreach ([1, 2, 3] as $page) {
    $lists->set_vlv_page($page, 2);
    $found = $lists->search($people, '(objectclass=inetorgperson)', 'sub', ['uid']);
    echo "page $page: ", uids($found), ' of ', $found->get('count'), ' ', var_export($found->get('vlv'), true), "\n";
}

// Who logs in, and by which name.
$attributes = ['mail'];
$book->config_set('service_bind_dn', getenv('LDAP_ADMIN'));
$book->config_set('service_bind_pw', getenv('LDAP_ADMIN_PASSWORD'));
$dn = $book->login('carol@example.com', 'carol-secret', null, $attributes);
echo 'login: ', var_export($dn, true), ' ', implode(' ', (array) ($attributes['mail'] ?? [])), "\n";
echo 'no login: ', var_export($book->login('carol@example.com', 'wrong'), true), "\n";
// A new one: after a bind that failed the library thinks that it is who it was before.
$book = book();
$book->bind(getenv('LDAP_ADMIN'), getenv('LDAP_ADMIN_PASSWORD'));

// Entries, changed as an address book changes them.
$eve = "uid=eve,$people";
$new = ['objectclass' => ['inetOrgPerson'], 'uid' => 'eve', 'cn' => 'Eve Baker', 'sn' => 'Baker', 'mail' => ['eve@example.com']];
if (!$book->add_entry($eve, $new)) throw new Exception('add');
$old = $book->get_entry($eve);
$changed = $old;
$changed['sn'] = 'Müller';
$changed['mail'] = ['eve@example.com', 'mueller@example.com'];
if (!$book->modify_entry($eve, $old, $changed)) throw new Exception('modify');
$entry = $book->get_entry($eve);
echo 'changed: ', $entry['sn'], ' ', implode(' ', $entry['mail']), "\n";
$groups = $book->find_user_groups("uid=ann,$people");
sort($groups);
echo 'groups of ann: ', implode(' ', $groups), "\n";
$members = $book->list_group_members("cn=everybody,ou=groups,$suffix");
sort($members);
echo 'members: ', implode(' ', $members), "\n";
$allowed = array_map('strtolower', $book->attributes_allowed(['inetOrgPerson'])['may'] ?? []);
echo 'attributes: ', implode(' ', array_filter(['mail', 'uidNumber'], fn ($name) => in_array(strtolower($name), $allowed))), "\n";
if (!$book->delete_entry($eve)) throw new Exception('delete');
echo 'gone: ', var_export($book->get_entry($eve), true), "\n";
$rights = $book->effective_rights("uid=bob,$people");
echo 'rights: ', implode(' ', $rights['entrylevelrights']), '; ', implode(' ', $rights['attributelevelrights']['cn']), "\n";
