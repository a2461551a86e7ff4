#!/usr/bin/perl
# Net::LDAP at work: every step says what the library made of the answer, and dies where it should not be so.
use strict;
$| = 1;
use warnings;
use Net::LDAP;
use Net::LDAP::Constant qw(:codes :controls :extensions LDAP_PP_CHANGE_AFTER_RESET LDAP_PP_PASSWORD_TOO_SHORT LDAP_SYNC_REFRESH_ONLY);
use Net::LDAP::Control::Assertion;
use Net::LDAP::Control::ManageDsaIT;
use Net::LDAP::Control::MatchedValues;
use Net::LDAP::Control::Paged;
use Net::LDAP::Control::PasswordPolicy;
use Net::LDAP::Control::PersistentSearch;
use Net::LDAP::Control::PostRead;
use Net::LDAP::Control::ProxyAuth;
use Net::LDAP::Control::Sort;
use Net::LDAP::Control::SyncRequest;
use Net::LDAP::Control::TreeDelete;
use Net::LDAP::Control::VLV;
use Net::LDAP::Extension::SetPassword;
use Net::LDAP::Extension::WhoAmI;
use Net::LDAP::LDIF;
use Net::LDAP::Util qw(escape_filter_value);

my $suffix = $ENV{LDAP_SUFFIX};
my $people = "ou=people,$suffix";
my $bob    = "uid=bob,$people";

sub fine {
    my ($what, $message, $code) = @_;
    $code //= LDAP_SUCCESS;
    die "$what: " . $message->code . " " . $message->error . "\n" if $message->code != $code;
    return $message;
}

sub connected {
    my $ldap = Net::LDAP->new($ENV{LDAP_URL}, timeout => 20) or die "connect: $@\n";
    return $ldap;
}

sub names {
    return join ' ', map { $_->get_value('uid') // $_->dn } @_;
}

print "Net::LDAP $Net::LDAP::VERSION\n";
my $ldap = connected();
my $root = $ldap->root_dse(attrs => ['*', '+']);
for my $oid (LDAP_CONTROL_PAGED, LDAP_CONTROL_SORTREQUEST, LDAP_CONTROL_VLVREQUEST, LDAP_CONTROL_SYNC) {
    die "no control $oid\n" if not $root->supported_control($oid);
}
die "no StartTLS\n" if not $root->supported_extension(LDAP_EXTENSION_START_TLS);
fine('StartTLS', $ldap->start_tls(verify => 'require', cafile => $ENV{LDAP_CERTIFICATE}));
print 'StartTLS: ', ($ldap->cipher ? 'yes' : 'no'), "\n";

# Anonymous before the bind, and the schema.
my $schema = $ldap->schema or die "no schema\n";
print 'mail: ', $schema->attribute('mail')->{equality}, "\n";
print 'inetOrgPerson below ', join(' ', $schema->superclass('inetOrgPerson')), "\n";
print 'person must ', join(' ', sort map { $_->{name} } $schema->must('person')), "\n";

fine('bind', $ldap->bind($ENV{LDAP_ADMIN}, password => $ENV{LDAP_ADMIN_PASSWORD}));
print 'I am ', fine('whoami', $ldap->who_am_i)->response, "\n";
fine('wrong password', connected()->bind($bob, password => 'wrong'), LDAP_INVALID_CREDENTIALS);

# Add, modify, compare, rename, delete.
my $eve = "uid=eve,$people";
fine('add', $ldap->add($eve, attrs => [
    objectClass => ['inetOrgPerson'], uid => 'eve', cn => 'Eve Baker', sn => 'Baker', mail => ['eve@example.com'],
]));
fine('add again', $ldap->add($eve, attrs => [objectClass => 'person', cn => 'x', sn => 'x']), LDAP_ALREADY_EXISTS);
my $post = Net::LDAP::Control::PostRead->new(attrs => ['mail', 'description']);
my $changed = fine('modify', $ldap->modify($eve, changes => [
    add     => [mail => 'baker@example.com', description => 'new'],
    replace => [sn => 'Miller'],
    delete  => [mail => ['eve@example.com']],
], control => $post));
my ($after) = $changed->control(LDAP_CONTROL_POSTREAD);
print 'after: ', join(' ', sort map { $after->entry->get_value($_) } $after->entry->attributes), "\n";
fine('assertion', $ldap->modify($eve, replace => { sn => 'No' },
    control => Net::LDAP::Control::Assertion->new(assertion => '(sn=Baker)')), LDAP_ASSERTION_FAILED);
fine('compare', $ldap->compare($eve, attr => 'sn', value => 'MILLER'), LDAP_COMPARE_TRUE);
fine('compare', $ldap->compare($eve, attr => 'sn', value => 'Baker'), LDAP_COMPARE_FALSE);
fine('rename', $ldap->moddn($eve, newrdn => 'uid=evelyn', deleteoldrdn => 1));
$eve = "uid=evelyn,$people";
fine('change of an entry', do {
    my $entry = fine('read', $ldap->search(base => $eve, scope => 'base', filter => '(objectClass=*)'))->entry(0);
    $entry->replace(description => "r\x{c3}\x{bc}ckw\x{c3}\x{a4}rts")->update($ldap);
});
fine('delete', $ldap->delete($eve));
fine('delete again', $ldap->delete($eve), LDAP_NO_SUCH_OBJECT);
fine('branch', $ldap->add("ou=branch,$suffix", attrs => [objectClass => 'organizationalUnit']));
fine('twig', $ldap->add("ou=twig,ou=branch,$suffix", attrs => [objectClass => 'organizationalUnit']));
fine('not a leaf', $ldap->delete("ou=branch,$suffix"), LDAP_NOT_ALLOWED_ON_NONLEAF);
fine('tree delete', $ldap->delete("ou=branch,$suffix", control => Net::LDAP::Control::TreeDelete->new));

# Pages of two.
my $page = Net::LDAP::Control::Paged->new(size => 2);
my @pages;
while (1) {
    my $found = fine('page', $ldap->search(base => $people, filter => '(uid=*)', attrs => ['uid'], control => [$page]));
    push @pages, scalar $found->entries;
    my ($answer) = $found->control(LDAP_CONTROL_PAGED);
    my $cookie = $answer->cookie;
    last if not length $cookie;
    $page->cookie($cookie);
}
print 'pages: ', join(' ', @pages), "\n";

# Sorted, and a list that is looked at through a window.
for my $order ('sn', '-sn', '-employeeNumber') {
    my $sort = Net::LDAP::Control::Sort->new(order => $order);
    my $found = fine('sort', $ldap->search(base => $people, filter => '(uid=*)', attrs => ['uid'], control => [$sort]));
    my ($answer) = $found->control(LDAP_CONTROL_SORTRESULT);
    print "by $order (", $answer->result, '): ', names($found->entries), "\n";
}
my $sort = Net::LDAP::Control::Sort->new(order => 'cn');
my $window = Net::LDAP::Control::VLV->new(before => 0, after => 1, content => 0, offset => 1);
my $look = sub {
    my ($what) = @_;
    my $found = fine($what, $ldap->search(
        base => $people, filter => '(uid=*)', attrs => ['uid'], control => [$window, $sort]));
    my ($answer) = $found->control(LDAP_CONTROL_VLVRESPONSE) or die "no answer to the window\n";
    $window->response($answer);
    print "$what: ", names($found->entries), ' from ', $answer->target, ' of ', $answer->content, "\n";
};
$look->('first');
$window->scroll_page(1);
$look->('next page');
$window->end;
$look->('end');
$window->assert('Da');
$look->('from Da');

# Only some values; referrals as entries; as somebody else.
my $matched = fine('matched values', $ldap->search(base => $suffix, filter => '(uid=ann)', attrs => ['mail'],
    control => Net::LDAP::Control::MatchedValues->new(matchedValues => '((mail=ann.*))')));
print 'matched: ', join(' ', map { $_->get_value('mail') } $matched->entries), "\n";
my $referred = fine('references', $ldap->search(base => "ou=referrals,$suffix", filter => '(objectClass=*)'));
print 'references: ', join(' ', $referred->references), "\n";
my $managed = fine('ManageDsaIT', $ldap->search(base => "ou=referrals,$suffix", filter => '(objectClass=referral)', attrs => ['ref'],
    control => Net::LDAP::Control::ManageDsaIT->new(critical => 1)));
print 'managed: ', join(' ', map { $_->get_value('ref') } $managed->entries), "\n";
my $as_bob = Net::LDAP::Control::ProxyAuth->new(authzID => "dn:$bob", critical => 1);
print 'as bob: ', fine('proxy', $ldap->who_am_i(control => [$as_bob]))->response, "\n";

# A password: set by the administrator, told that it must be changed, changed by its owner.
fine('set password', $ldap->set_password(user => $bob, newpasswd => 'bob-other-secret'));
my $his = connected();
my $bound = fine('bind', $his->bind($bob, password => 'bob-other-secret',
    control => [Net::LDAP::Control::PasswordPolicy->new]));
my ($policy) = $bound->control(LDAP_CONTROL_PASSWORDPOLICY);
print 'password policy: ', $policy->pp_error == LDAP_PP_CHANGE_AFTER_RESET ? 'to be changed' : $policy->pp_error, "\n";
fine('not before', $his->search(base => $people, filter => '(uid=bob)'), LDAP_INSUFFICIENT_ACCESS);
my $short = $his->set_password(oldpasswd => 'bob-other-secret', newpasswd => 'x',
    control => [Net::LDAP::Control::PasswordPolicy->new]);
fine('short', $short, LDAP_CONSTRAINT_VIOLATION);
($policy) = $short->control(LDAP_CONTROL_PASSWORDPOLICY);
print 'short: ', $policy->pp_error == LDAP_PP_PASSWORD_TOO_SHORT ? 'too short' : 'other', "\n";
fine('own password', $his->set_password(oldpasswd => 'bob-other-secret', newpasswd => 'bob-third-secret'));
$bound = fine('bind anew', $his->bind($bob, password => 'bob-third-secret',
    control => [Net::LDAP::Control::PasswordPolicy->new]));
($policy) = $bound->control(LDAP_CONTROL_PASSWORDPOLICY);
print 'expires: ', ($policy->time_before_expiration // 0) > 0 ? 'soon' : 'not said', "\n";

# A search that goes on while others write.
my $follower = connected();
fine('bind', $follower->bind($ENV{LDAP_ADMIN}, password => $ENV{LDAP_ADMIN_PASSWORD}));
my @seen;
$follower->async(1);
my $follow = $follower->search(
    base => $people, filter => '(objectClass=person)', attrs => ['uid'],
    control => [Net::LDAP::Control::PersistentSearch->new(changeTypes => 15, changesOnly => 1, returnECs => 1)],
    callback => sub {
        my ($message, $entry) = @_;
        return if not defined $entry or not $entry->isa('Net::LDAP::Entry');
        my ($change) = grep { $_->isa('Net::LDAP::Control::EntryChange') } $message->control;
        push @seen, $change->changeType . ':' . $entry->dn;
    });
my $mallory = "uid=mallory,$people";
# What it follows from is when the server has the search: its answer to something later on the same connection.
my $marker = $follower->who_am_i;
$follower->process until $marker->done;
fine('add', $ldap->add($mallory, attrs => [objectClass => 'inetOrgPerson', uid => 'mallory', cn => 'M', sn => 'M']));
fine('modify', $ldap->modify($mallory, replace => { sn => 'N' }));
fine('rename', $ldap->moddn($mallory, newrdn => 'uid=mall', deleteoldrdn => 1));
fine('delete', $ldap->delete("uid=mall,$people"));
# `process` comes back when nothing more is there to read at that moment, which may be after the first of them.
alarm 20;
until (@seen == 4) {
    my $code = $follower->process;
    die "follow: $code\n" if $code != LDAP_SUCCESS;
}
alarm 0;
print "followed: @seen\n";
$follower->abandon($follow);

# A copy of the content, and what changed since.
my ($cookie, @copy) = (undef);
my $copy = sub {
    my ($message, $what) = @_;
    if ($what and $what->isa('Net::LDAP::Entry')) {
        my ($state) = grep { $_->isa('Net::LDAP::Control::SyncState') } $message->control;
        push @copy, $state->state . ':' . ($what->get_value('uid') // $what->dn);
    }
};
my $syncing = sub {
    my ($what) = @_;
    @copy = ();
    my $request = Net::LDAP::Control::SyncRequest->new(mode => LDAP_SYNC_REFRESH_ONLY, cookie => $cookie, critical => 1);
    my $found = fine($what, $ldap->search(
        base => $people, filter => '(uid=*)', attrs => ['uid'], control => [$request], callback => $copy));
    my ($done) = grep { $_->isa('Net::LDAP::Control::SyncDone') } $found->control;
    $cookie = $done->cookie;
    print "$what: ", join(' ', sort @copy), "\n";
};
$syncing->('copy');
fine('modify', $ldap->modify("uid=carol,$people", replace => { title => 'Chief' }));
$syncing->('since');

print 'LDIF:', map { "\n  $_" } split /\n/, do {
    my $entry = fine('read', $ldap->search(base => "uid=juergen,$people", scope => 'base', filter => '(objectClass=*)',
        attrs => ['cn', 'mail']))->entry(0);
    $entry->ldif(change => 0);
};
print "\n";
fine('unbind', $ldap->unbind);
