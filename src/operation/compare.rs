//! Compare (RFC 4511 4.10): whether an entry has a value, by the attribute's equality rule; of a password, whether it is the
//! one ([`password`]).

mod password;

use super::access::Access;
use super::control::RequestKind;
use super::outcome::{OperationError, Outcome};
use super::restricted::is_password;
use super::{Directory, Session, referral, virtual_entry};
use crate::dit::Entry;
use crate::model::{Assertion, AttributeDescription, DerefAliases, Dn, Filter, ResultCode};
use crate::schema::{AttributeTypeIndex, Schema};
use crate::search::{
    AllSearchable, AttributeGate, Base, CompiledFilter, Truth, evaluate, evaluate_attributes, find_base,
};
use crate::wire::assurance::SESSION_TOKEN;
use crate::wire::{CompareRequest, Controls, LdapResult, ResponseKind, response};
use password::PasswordQuestion;
use std::borrow::Cow;
use std::sync::Arc;

/// What may be compared instead of searched by.
struct CompareGate<'a, 'v>(&'a Access<'v>);

impl AttributeGate for CompareGate<'_, '_> {
    fn searchable(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex) -> bool {
        self.0.may_compare(entry, attribute)
    }

    fn knows(&self, entry: &Entry<'_>) -> bool {
        self.0.is_visible(entry)
    }
}

/// Makes the response, a complete PDU.
pub type Answering = Box<dyn FnOnce() -> Vec<u8> + Send>;

/// The answer to a comparison of a password.
struct Job {
    /// It takes 20 ms and more of a core.
    is_costly: bool,
    answer: Answering,
}

enum Compared {
    Values(bool),
    Password(Job),
}

impl Directory {
    /// Compares, and appends the response to `out`; or returns what makes it, which takes 20 ms and more of a core.
    /// Cost otherwise: some microseconds.
    #[must_use]
    pub fn compare(
        self: &Arc<Self>,
        session: &Session,
        id: i32,
        request: &CompareRequest<'_>,
        controls: &Controls<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Answering> {
        match self.try_compare(session, id, request, controls) {
            Ok(Compared::Values(is_equal)) => {
                let code = if is_equal { ResultCode::COMPARE_TRUE } else { ResultCode::COMPARE_FALSE };
                let token = controls.find(SESSION_TOKEN).and_then(|_| self.token_control());
                response::result(out, id, ResponseKind::Compare, &LdapResult::plain(code), token.as_slice());
            }
            Ok(Compared::Password(job)) if job.is_costly => return Some(job.answer),
            Ok(Compared::Password(job)) => out.extend_from_slice(&(job.answer)()),
            Err(error) => error.respond(out, id, ResponseKind::Compare, &[]),
        }
        None
    }

    fn try_compare(
        self: &Arc<Self>,
        session: &Session,
        id: i32,
        request: &CompareRequest<'_>,
        given: &Controls<'_>,
    ) -> Outcome<Compared> {
        let asked = self.asked_about(session, given, RequestKind::Compare, request.dn)?;
        let (session, controls) = (asked.session(session), &asked.controls);
        if controls.dont_use_copy {
            self.check_gate()?;
        }
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        let schema = view.catalog().schema();
        let dn = Dn::parse(request.dn)?;
        if let Some(entry) = virtual_entry::find(self, session, view, &dn)? {
            let question = Question::new(schema, request)?;
            let truth = |filter: &CompiledFilter| Ok(evaluate_attributes(filter, schema, &entry.attributes));
            assert_that(schema, controls.assertion.as_ref(), truth)?;
            return question.answer(truth).map(Compared::Values);
        }
        let access = self.access(&session.requester, view)?;
        let entry = match find_base(view, &dn, DerefAliases::Never, controls.manage_dsa_it)? {
            Base::Entry(id) => view.entry(id)?,
            Base::Missing { matched } => return Err(access.no_such_object(matched)?),
            Base::AliasProblem { alias } => return Err(access.no_such_object(Some(alias))?),
            Base::Referral { entry, missing } => {
                return Err(referral::instead(view, &access, entry, &dn, missing, None)?);
            }
        };
        let Some(entry) = entry else { return Err(access.no_such_object(None)?) };
        if !access.is_visible(&entry) {
            return Err(access.no_such_object(Some(view.superior(&entry)))?);
        }
        assert_that(schema, controls.assertion.as_ref(), |filter| Ok(evaluate(filter, view, &entry, &access)?))?;
        let question = Question::new(schema, request)?;
        if !access.may_compare(&entry, question.attribute) {
            return Err(OperationError::insufficient_access("no access rule lets you compare this attribute"));
        }
        let compared = |filter: &CompiledFilter| match access.is_administrator() {
            true => Ok(evaluate(filter, view, &entry, &AllSearchable)?),
            false => Ok(evaluate(filter, view, &entry, &CompareGate(&access))?),
        };
        if is_password(request.attribute) {
            // Whether there is one at all is said as for any attribute.
            question.answer(compared)?;
            let token = given.find(SESSION_TOKEN).and_then(|_| self.token_control());
            let says_policy = controls.password_policy;
            let address = session.connection.address;
            let password = request.value;
            let question = PasswordQuestion { id, dn: &dn, address, password, says_policy, token };
            return self.compare_password(view, &entry, question).map(Compared::Password);
        }
        question.answer(compared).map(Compared::Values)
    }
}

/// The assertion control (RFC 4528): the entry must match.
fn assert_that(
    schema: &Schema,
    assertion: Option<&Filter<'_>>,
    truth: impl Fn(&CompiledFilter) -> Outcome<Truth>,
) -> Outcome<()> {
    let Some(assertion) = assertion else { return Ok(()) };
    if truth(&CompiledFilter::compile(schema, assertion).with_searched_members(schema))?.is_true() {
        return Ok(());
    }
    Err(OperationError::new(ResultCode::ASSERTION_FAILED, "the entry does not match the assertion"))
}

struct Question {
    attribute: AttributeTypeIndex,
    has_value: CompiledFilter,
    is_present: CompiledFilter,
    name: String,
}

impl Question {
    fn new(schema: &Schema, request: &CompareRequest<'_>) -> Outcome<Self> {
        let description = AttributeDescription::parse(request.attribute)?;
        let Some(found) = schema.attribute_type(description.name()) else {
            return Err(OperationError::new(
                ResultCode::UNDEFINED_ATTRIBUTE_TYPE,
                format!("attribute type {} is not in the schema", description.name()),
            ));
        };
        if let Some(unknown) = schema.attribute_options().unknown_in(&description) {
            let refusal = schema.attribute_options().refusal(&description, unknown);
            return Err(OperationError::new(ResultCode::UNDEFINED_ATTRIBUTE_TYPE, refusal));
        }
        let Some(rule) = found.equality else {
            return Err(OperationError::new(
                ResultCode::INAPPROPRIATE_MATCHING,
                format!("{} has no equality rule: its values cannot be compared", found.name()),
            ));
        };
        if rule.is_key_rule() {
            rule.key(schema, request.value, &mut Vec::new())?;
        }
        let attribute = Cow::Borrowed(request.attribute);
        let present = Filter::Present(attribute.clone());
        let equal = Filter::Equality(Assertion { attribute, value: Cow::Borrowed(request.value) });
        Ok(Self {
            attribute: found.index,
            has_value: CompiledFilter::compile(schema, &equal).with_searched_members(schema),
            is_present: CompiledFilter::compile(schema, &present).with_searched_members(schema),
            name: found.name().to_owned(),
        })
    }

    fn answer(&self, truth: impl Fn(&CompiledFilter) -> Outcome<Truth>) -> Outcome<bool> {
        if truth(&self.has_value)?.is_true() {
            return Ok(true);
        }
        if truth(&self.is_present)?.is_true() {
            return Ok(false);
        }
        Err(OperationError::new(ResultCode::NO_SUCH_ATTRIBUTE, format!("the entry has no {}", self.name)))
    }
}
