//! Says whether our decoding of a request and that of `ldap3_proto` mean the same.
//!
//! Also compiled into the fuzz driver. Where `ldap3_proto` cannot express a difference, the difference does not count:
//! absent and empty SASL credentials are one to it, and it keeps no control beyond its parsed form (the fuzz driver and
//! the tests compare those it keeps as they came).

use crate::model::{Filter, ModificationKind};
use crate::wire::{Authentication, Message, Request};
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapBindCred, LdapFilter, LdapModifyType, LdapMsg, LdapOp, LdapPartialAttribute, LdapSubstringFilter,
};

/// Whether both mean the same request.
pub(crate) fn same(ours: &Message<'_>, theirs: &LdapMsg) -> bool {
    ours.id == theirs.msgid && same_request(&ours.request, &theirs.op) && same_controls(ours, &theirs.ctrl)
}

fn same_request(ours: &Request<'_>, theirs: &LdapOp) -> bool {
    match (ours, theirs) {
        (Request::Bind(ours), LdapOp::BindRequest(theirs)) => {
            i64::from(ours.version) == theirs.version
                && ours.name == theirs.dn
                && match (&ours.authentication, &theirs.cred) {
                    (Authentication::Simple(ours), LdapBindCred::Simple(theirs)) => *ours == theirs.as_bytes(),
                    (Authentication::Sasl { mechanism, credentials }, LdapBindCred::SASL(theirs)) => {
                        *mechanism == theirs.mechanism && credentials.unwrap_or_default() == theirs.credentials
                    }
                    (Authentication::Unknown(_), LdapBindCred::Unsupported) => true,
                    _ => false,
                }
        }
        (Request::Unbind, LdapOp::UnbindRequest) => true,
        (Request::Search(ours), LdapOp::SearchRequest(theirs)) => {
            ours.base == theirs.base
                && i64::from(ours.scope.number()) == theirs.scope.clone() as i64
                && i64::from(ours.deref.number()) == theirs.aliases.clone() as i64
                && i64::from(ours.size_limit) == i64::from(theirs.sizelimit)
                && i64::from(ours.time_limit) == i64::from(theirs.timelimit)
                && ours.types_only == theirs.typesonly
                && same_filter(&ours.filter, &theirs.filter)
                && ours.attributes == theirs.attrs
        }
        (Request::Modify(ours), LdapOp::ModifyRequest(theirs)) => {
            ours.dn == theirs.dn
                && ours.modifications.len() == theirs.changes.len()
                && ours.modifications.iter().zip(&theirs.changes).all(|(ours, theirs)| {
                    let kind = match theirs.operation {
                        LdapModifyType::Add => ModificationKind::Add,
                        LdapModifyType::Delete => ModificationKind::Delete,
                        LdapModifyType::Replace => ModificationKind::Replace,
                        LdapModifyType::Increment => ModificationKind::Increment,
                    };
                    ours.kind == kind && same_attribute(ours.attribute, &ours.values, &theirs.modification)
                })
        }
        (Request::Add(ours), LdapOp::AddRequest(theirs)) => {
            ours.dn == theirs.dn
                && ours.attributes.len() == theirs.attributes.len()
                && ours
                    .attributes
                    .iter()
                    .zip(&theirs.attributes)
                    .all(|(ours, theirs)| same_attribute(ours.attribute, &ours.values, theirs))
        }
        (Request::Delete { dn }, LdapOp::DelRequest(theirs)) => dn == theirs,
        (Request::ModifyDn(ours), LdapOp::ModifyDNRequest(theirs)) => {
            ours.dn == theirs.dn
                && ours.new_rdn == theirs.newrdn
                && ours.delete_old_rdn == theirs.deleteoldrdn
                && ours.new_superior == theirs.new_superior.as_deref()
        }
        (Request::Compare(ours), LdapOp::CompareRequest(theirs)) => {
            ours.dn == theirs.dn && ours.attribute == theirs.atype && ours.value == theirs.val
        }
        (Request::Abandon(ours), LdapOp::AbandonRequest(theirs)) => ours == theirs,
        (Request::Extended(ours), LdapOp::ExtendedRequest(theirs)) => {
            ours.name == theirs.name && ours.value == theirs.value.as_deref()
        }
        _ => false,
    }
}

fn same_attribute(attribute: &str, values: &[&[u8]], theirs: &LdapPartialAttribute) -> bool {
    attribute == theirs.atype && values == theirs.vals
}

fn same_filter(ours: &Filter<'_>, theirs: &LdapFilter) -> bool {
    let same_filters = |ours: &[Filter<'_>], theirs: &[LdapFilter]| {
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same_filter(ours, theirs))
    };
    match (ours, theirs) {
        (Filter::And(ours), LdapFilter::And(theirs)) => same_filters(ours, theirs),
        (Filter::Or(ours), LdapFilter::Or(theirs)) => same_filters(ours, theirs),
        (Filter::Not(ours), LdapFilter::Not(theirs)) => same_filter(ours, theirs),
        (Filter::Equality(ours), LdapFilter::Equality(attribute, value))
        | (Filter::GreaterOrEqual(ours), LdapFilter::GreaterOrEqual(attribute, value))
        | (Filter::LessOrEqual(ours), LdapFilter::LessOrEqual(attribute, value))
        | (Filter::Approx(ours), LdapFilter::Approx(attribute, value)) => {
            ours.attribute == *attribute && *ours.value == *value.as_bytes()
        }
        (Filter::Substrings(ours), LdapFilter::Substring(attribute, theirs)) => {
            let some = |part: &Option<String>| part.clone().filter(|part| !part.is_empty()).map(String::into_bytes);
            let any: Vec<_> = theirs.any.iter().filter(|part| !part.is_empty()).map(|part| part.as_bytes()).collect();
            ours.attribute == *attribute
                && ours.initial.as_deref() == some(&theirs.initial).as_deref()
                && ours.any == any
                && ours.last.as_deref() == some(&theirs.final_).as_deref()
        }
        (Filter::Present(ours), LdapFilter::Substring(attribute, theirs)) => {
            let LdapSubstringFilter { initial, any, final_ } = theirs;
            *ours == *attribute && initial.iter().chain(any).chain(final_).all(String::is_empty)
        }
        (Filter::Present(ours), LdapFilter::Present(theirs)) => *ours == *theirs,
        (Filter::Extensible(ours), LdapFilter::Extensible(theirs)) => {
            ours.rule.as_deref() == theirs.matching_rule.as_deref()
                && ours.attribute.as_deref() == theirs.type_.as_deref()
                && *ours.value == *theirs.match_value.as_bytes()
                && ours.dn_attributes == theirs.dn_attributes
        }
        _ => false,
    }
}

fn same_controls(ours: &Message<'_>, theirs: &[LdapControl]) -> bool {
    ours.controls.len() == theirs.len()
        && ours.controls.iter().zip(theirs).all(|(ours, theirs)| match theirs {
            LdapControl::Unknown { oid, criticality, value } => {
                ours.oid == oid && ours.critical == *criticality && ours.value == value.as_deref()
            }
            _ => true,
        })
}
