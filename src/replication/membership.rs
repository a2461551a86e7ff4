//! Members and invitations as entries below cn=cluster: read, written, founded.
//!
//! ```text
//! cn=cluster                         cluster id, authority with its key, administrator
//!   cn=members                       cn=<node id>: key, addresses, role, state, origins
//!   cn=invites                       cn=<first half of the secret's digest>: the digest, expiry, role; and whose key
//!                                    it was used for, so that an answer lost on its way can be given again
//! ```
//!
//! Invariants
//! - An invitation is good for one key: it is marked in the same transaction that makes the member's entry.
//! - Entries that say nonsense make no member; they are left to the administrator.

mod asked;
mod epoch;

pub use asked::{Asked, asked_of, demand_supplier, leave, put_asked};
pub use epoch::{begin_epoch, epoch};

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::identity::{Authority, IdentityError, from_hexadecimal, hexadecimal, node_of};
use super::invite::Token;
use super::{Member, MemberState, NodeId, Role};
use crate::dit::{CLUSTER_DN, DitError, Entry, MEMBERS_DN, View, Writing};
use crate::schema::time::{format_generalized_time, parse_generalized_time};
use crate::state::OriginId;
use crate::storage::MetaName;

const INVITES_DN: &str = "cn=invites,cn=cluster";
/// Members read at most; far beyond what a cluster has.
const MEMBERS_MAX: usize = 4096;
/// Invitations that are open at one time.
const INVITES_MAX: usize = 256;

/// Why an invitation is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// Storage and the like.
    #[error(transparent)]
    Dit(#[from] DitError),
    /// This node writes nothing itself.
    #[error("this member only reads; the cluster is changed on a supplier")]
    ReadOnly,
    /// Its time is over.
    #[error("the invitation has expired; make another with: entente invite")]
    Expired,
    /// The authority is not there or cannot sign.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// More are open than there may be.
    #[error("too many invitations are open; wait until they expire")]
    TooMany,
    /// There is none with this secret.
    #[error("this cluster knows no such invitation; make another with: entente invite")]
    Unknown,
    /// Somebody became a member by it.
    #[error("the invitation was used already; make another with: entente invite")]
    Used,
}

/// What a node says of itself in its entry.
#[derive(Clone, Debug, Default)]
pub struct Appearance {
    /// Its name for people.
    pub name: String,
    /// Where members reach it; `None`: as before.
    pub addresses: Option<Vec<String>>,
    /// Where LDAP clients reach it; `None`: as before.
    pub urls: Option<Vec<String>>,
    /// Where it stands, for durability `site`; empty for nowhere in particular, `None`: as before.
    pub site: Option<String>,
}

/// A number that names this node, as stored in its data file.
///
/// # Errors
/// [`DitError::Storage`].
pub fn node_id(view: View<'_>) -> Result<NodeId, DitError> {
    Ok(NodeId(sixteen(view, MetaName::Node)?))
}

/// The origin under which this node writes.
///
/// # Errors
/// [`DitError::Storage`].
pub fn origin(view: View<'_>) -> Result<OriginId, DitError> {
    Ok(OriginId(view.reader().meta_u64(MetaName::Origin)?))
}

/// The cluster's id.
///
/// # Errors
/// [`DitError::Storage`].
pub fn cluster_id(view: View<'_>) -> Result<[u8; 16], DitError> {
    sixteen(view, MetaName::Cluster)
}

fn sixteen(view: View<'_>, name: MetaName) -> Result<[u8; 16], DitError> {
    Ok(view.reader().meta(name)?.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default())
}

/// All members, in the order of their node ids.
///
/// # Errors
/// [`DitError::Storage`].
pub fn members(view: View<'_>) -> Result<Vec<Member>, DitError> {
    let Some(container) = view.entry_named(MEMBERS_DN)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for id in view.children(container.id)?.take(MEMBERS_MAX) {
        if let Some(entry) = view.entry(id?)?
            && let Some(member) = read_member(view, &entry)?
        {
            found.push(member);
        }
    }
    found.sort_by_key(|member| member.node);
    Ok(found)
}

/// Where LDAP clients reach the members that take writes, all but `own`.
///
/// # Errors
/// [`DitError::Storage`].
pub fn supplier_urls(view: View<'_>, own: NodeId) -> Result<Vec<String>, DitError> {
    let mut urls = Vec::new();
    for member in members(view)? {
        if member.node == own || member.role != Role::Supplier || member.state != MemberState::Active {
            continue;
        }
        if let Some(entry) = view.entry_named(&member_dn(member.node))? {
            urls.extend(texts(view, &entry, "memberLdapUrl")?);
        }
    }
    Ok(urls)
}

/// Where LDAP clients reach one member.
///
/// # Errors
/// [`DitError::Storage`].
pub fn urls_of(view: View<'_>, node: NodeId) -> Result<Vec<String>, DitError> {
    match view.entry_named(&member_dn(node))? {
        Some(entry) => texts(view, &entry, "memberLdapUrl"),
        None => Ok(Vec::new()),
    }
}

fn read_member(view: View<'_>, entry: &Entry<'_>) -> Result<Option<Member>, DitError> {
    let one = |name| Ok::<_, DitError>(texts(view, entry, name)?.into_iter().next().unwrap_or_default());
    let Some(node) = node_of(&one("cn")?) else { return Ok(None) };
    let fingerprint = from_hexadecimal(&one("memberKey")?).and_then(|bytes| bytes.try_into().ok());
    let (Some(fingerprint), Some(role), Some(state)) =
        (fingerprint, role_of(&one("memberRole")?), state_of(&one("memberState")?))
    else {
        return Ok(None);
    };
    let mut member = Member {
        node,
        name: one("memberName")?,
        addresses: texts(view, entry, "memberAddress")?,
        fingerprint,
        role,
        state,
        site: one("memberSite")?,
        ..Member::default()
    };
    let origin = |text: &str| u64::from_str_radix(text, 16).ok().map(OriginId);
    member.origins = texts(view, entry, "memberOrigin")?.iter().filter_map(|text| origin(text)).collect();
    for text in texts(view, entry, "memberFinal")? {
        let parts = text.split_once(' ').and_then(|(of, last)| Some((origin(of)?, last.parse().ok()?)));
        member.finals.extend(parts);
    }
    Ok(Some(member))
}

fn texts(view: View<'_>, entry: &Entry<'_>, name: &str) -> Result<Vec<String>, DitError> {
    let Some(entry) = view.entry(entry.id)? else { return Ok(Vec::new()) };
    Ok(view.values_named(&entry, name)?.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect())
}

/// The DN of a member's entry.
pub fn member_dn(node: NodeId) -> String {
    format!("cn={},{MEMBERS_DN}", hexadecimal(&node.0))
}

/// The authority with its key; `None` where cn=cluster has none.
///
/// # Errors
/// [`InviteError::Dit`]; [`InviteError::Identity`].
pub fn authority(view: View<'_>) -> Result<Option<Authority>, InviteError> {
    let Some(entry) = view.entry_named(CLUSTER_DN)? else { return Ok(None) };
    let one = |name| Ok::<_, DitError>(view.values_named(&entry, name)?.into_iter().next());
    match (one("clusterAuthority")?, one("clusterAuthorityKey")?) {
        (Some(certificate), Some(key)) => Ok(Some(Authority::from_parts(cluster_id(view)?, &certificate, &key)?)),
        _ => Ok(None),
    }
}

/// SHA-256 of an authority's certificate, as tokens name it.
pub fn authority_fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

/// Makes sure that cn=cluster has its authority and its folders.
///
/// # Errors
/// [`InviteError::Dit`]; [`InviteError::Identity`].
pub fn found(writing: &mut Writing<'_>) -> Result<(), InviteError> {
    let cluster = cluster_id(writing.view())?;
    let texts = |text: &str| vec![text.as_bytes().to_vec()];
    writing.put_entry(
        CLUSTER_DN,
        &[
            ("objectClass", texts("clusterRoot")),
            ("cn", texts("cluster")),
            ("clusterId", texts(&hexadecimal(&cluster))),
        ],
    )?;
    if authority(writing.view())?.is_none() {
        let authority = Authority::create(cluster, now_s(writing))?;
        writing.put_entry(
            CLUSTER_DN,
            &[
                ("clusterAuthority", vec![authority.certificate().to_vec()]),
                ("clusterAuthorityKey", vec![authority.key().to_vec()]),
            ],
        )?;
    }
    for (dn, name) in [(MEMBERS_DN, "members"), (INVITES_DN, "invites")] {
        writing.put_entry(dn, &[("objectClass", texts("clusterContainer")), ("cn", texts(name))])?;
    }
    Ok(())
}

/// Makes or corrects a member's entry. Addresses and origins are left out where they are to stay.
///
/// # Errors
/// [`DitError`].
pub fn put_member(
    writing: &mut Writing<'_>,
    node: NodeId,
    fingerprint: [u8; 32],
    role: Role,
    appearance: &Appearance,
) -> Result<(), DitError> {
    let dn = member_dn(node);
    let is_new = writing.view().entry_named(&dn)?.is_none();
    let mut attributes: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("objectClass", one("clusterMember")),
        ("cn", one(&hexadecimal(&node.0))),
        ("memberKey", one(&hexadecimal(&fingerprint))),
    ];
    if is_new {
        attributes.push(("memberRole", one(role_text(role))));
        attributes.push(("memberState", one(state_text(MemberState::Active))));
    }
    if !appearance.name.is_empty() {
        attributes.push(("memberName", one(&appearance.name)));
    }
    let many = |texts: &[String]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    if let Some(addresses) = &appearance.addresses {
        attributes.push(("memberAddress", many(addresses)));
    }
    if let Some(urls) = &appearance.urls {
        attributes.push(("memberLdapUrl", many(urls)));
    }
    if let Some(site) = &appearance.site {
        attributes.push(("memberSite", if site.is_empty() { Vec::new() } else { one(site) }));
    }
    writing.put_entry(&dn, &attributes).map(|_| ())
}

/// Makes sure that the member's entry names this origin.
///
/// # Errors
/// [`DitError`].
pub fn put_origin(writing: &mut Writing<'_>, node: NodeId, origin: OriginId) -> Result<(), DitError> {
    let dn = member_dn(node);
    let view = writing.view();
    let Some(entry) = view.entry_named(&dn)? else { return Ok(()) };
    let mut held = texts(view, &entry, "memberOrigin")?;
    let text = format!("{:012x}", origin.0);
    if held.contains(&text) {
        return Ok(());
    }
    held.push(text);
    writing.put_entry(&dn, &[("memberOrigin", held.into_iter().map(String::into_bytes).collect())]).map(|_| ())
}

/// Writes a member's state and the agreed ends of its origins.
///
/// # Errors
/// [`DitError`].
pub fn put_state(
    writing: &mut Writing<'_>,
    node: NodeId,
    state: MemberState,
    finals: &std::collections::BTreeMap<OriginId, u64>,
) -> Result<(), DitError> {
    let finals = finals.iter().map(|(origin, last)| format!("{:012x} {last}", origin.0).into_bytes()).collect();
    let what = [("memberState", one(state_text(state))), ("memberFinal", finals), ("memberAsked", Vec::new())];
    put_into(writing, node, &what)
}

/// Says where other members reach a member.
///
/// # Errors
/// [`DitError`].
pub fn put_addresses(writing: &mut Writing<'_>, node: NodeId, addresses: &[String]) -> Result<(), DitError> {
    let addresses = addresses.iter().map(|text| text.as_bytes().to_vec()).collect();
    put_into(writing, node, &[("memberAddress", addresses)])
}

/// Gives a member another role.
///
/// # Errors
/// [`DitError`].
pub fn put_role(writing: &mut Writing<'_>, node: NodeId, role: Role) -> Result<(), DitError> {
    put_into(writing, node, &[("memberRole", one(role_text(role))), ("memberAsked", Vec::new())])
}

fn put_into(writing: &mut Writing<'_>, node: NodeId, attributes: &[(&str, Vec<Vec<u8>>)]) -> Result<(), DitError> {
    let dn = member_dn(node);
    if writing.view().entry_named(&dn)?.is_some() {
        writing.put_entry(&dn, attributes)?;
    }
    Ok(())
}

/// Opens an invitation and drops those that have expired. `digest`: of the secret.
///
/// # Errors
/// [`InviteError::Dit`]; [`InviteError::TooMany`].
pub fn open_invite(writing: &mut Writing<'_>, digest: [u8; 32], expires_s: u64, role: Role) -> Result<(), InviteError> {
    let open = drop_expired(writing)?;
    if open >= INVITES_MAX {
        return Err(InviteError::TooMany);
    }
    let dn = invite_dn(&digest);
    let expires_ms = i64::try_from(expires_s.saturating_mul(1000)).unwrap_or(i64::MAX);
    writing.put_entry(
        &dn,
        &[
            ("objectClass", one("clusterInvite")),
            ("cn", one(&invite_name(&digest))),
            ("inviteSecret", one(&hexadecimal(&digest))),
            ("inviteExpires", one(&format_generalized_time(expires_ms))),
            ("memberRole", one(role_text(role))),
        ],
    )?;
    Ok(())
}

/// Whether an invitation is open, so that somebody may come.
///
/// # Errors
/// [`DitError::Storage`].
pub fn has_invites(view: View<'_>) -> Result<bool, DitError> {
    match view.entry_named(INVITES_DN)? {
        Some(container) => Ok(view.subordinate_count(container.id)? > 0),
        None => Ok(false),
    }
}

/// Takes an invitation for the key with this fingerprint, and makes the member's entry: one transaction. The same key
/// may come again while the invitation lasts. Returns the role.
///
/// # Errors
/// [`InviteError`]; the transaction has nothing of it unless the error is [`InviteError::Dit`].
pub fn take_invite(
    writing: &mut Writing<'_>,
    secret: &[u8],
    node: NodeId,
    fingerprint: [u8; 32],
    name: &str,
) -> Result<Role, InviteError> {
    let digest = Token::secret_digest(secret);
    let dn = invite_dn(&digest);
    let now = writing.now_ms();
    let view = writing.view();
    let entry = view.entry_named(&dn)?.ok_or(InviteError::Unknown)?;
    let first = |name| Ok::<_, DitError>(texts(view, &entry, name)?.into_iter().next().unwrap_or_default());
    let stored = from_hexadecimal(&first("inviteSecret")?).unwrap_or_default();
    // The name of the entry tells half of the digest; only the whole opens.
    if !bool::from(stored.ct_eq(&digest)) {
        return Err(InviteError::Unknown);
    }
    let expires = parse_generalized_time(first("inviteExpires")?.as_bytes());
    if expires.is_none_or(|expires| i64::try_from(now).is_ok_and(|now| now >= expires)) {
        return Err(InviteError::Expired);
    }
    let role = role_of(&first("memberRole")?).ok_or(InviteError::Unknown)?;
    let used_by = first("memberKey")?;
    let own = hexadecimal(&fingerprint);
    if !used_by.is_empty() && used_by != own {
        return Err(InviteError::Used);
    }
    if used_by.is_empty() && view.entry_named(&member_dn(node))?.is_some() {
        return Err(InviteError::Used);
    }
    writing.put_entry(&dn, &[("memberKey", one(&own))])?;
    put_member(writing, node, fingerprint, role, &Appearance { name: name.to_owned(), ..Appearance::default() })?;
    Ok(role)
}

/// Drops expired invitations; returns how many are left.
///
/// # Errors
/// [`DitError`].
pub fn drop_expired(writing: &mut Writing<'_>) -> Result<usize, DitError> {
    let now = i64::try_from(writing.now_ms()).unwrap_or(i64::MAX);
    let view = writing.view();
    let Some(container) = view.entry_named(INVITES_DN)? else { return Ok(0) };
    let (mut expired, mut open) = (Vec::new(), 0);
    for id in view.children(container.id)? {
        let Some(entry) = view.entry(id?)? else { continue };
        let ends = texts(view, &entry, "inviteExpires")?;
        let ends = ends.first().and_then(|text| parse_generalized_time(text.as_bytes()));
        if ends.is_some_and(|ends| now < ends) {
            open += 1;
        } else {
            expired.extend(view.dn_text(entry.id)?);
        }
    }
    for dn in expired {
        writing.delete_entry(&dn)?;
    }
    Ok(open)
}

fn invite_name(digest: &[u8; 32]) -> String {
    hexadecimal(digest.first_chunk::<16>().map_or(&[], |half| &half[..]))
}

fn invite_dn(digest: &[u8; 32]) -> String {
    format!("cn={},{INVITES_DN}", invite_name(digest))
}

fn one(text: &str) -> Vec<Vec<u8>> {
    vec![text.as_bytes().to_vec()]
}

fn now_s(writing: &Writing<'_>) -> i64 {
    i64::try_from(writing.now_ms() / 1000).unwrap_or(i64::MAX)
}

/// The word for a role.
pub fn role_text(role: Role) -> &'static str {
    match role {
        Role::Supplier => "supplier",
        Role::Consumer => "consumer",
        Role::Hub => "hub",
    }
}

/// The role that a word means.
pub fn role_of(text: &str) -> Option<Role> {
    [Role::Supplier, Role::Consumer, Role::Hub].into_iter().find(|role| role_text(*role).eq_ignore_ascii_case(text))
}

/// The word for a state.
pub fn state_text(state: MemberState) -> &'static str {
    match state {
        MemberState::Active => "active",
        MemberState::Suspended => "suspended",
        MemberState::Retired => "retired",
    }
}

fn state_of(text: &str) -> Option<MemberState> {
    let all = [MemberState::Active, MemberState::Suspended, MemberState::Retired];
    all.into_iter().find(|state| state_text(*state).eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests;
