//! The operational attributes of an account, read and written.

use crate::dit::{Entry, View, Writing};
use crate::model::AttributeDescription;
use crate::operation::outcome::{OperationError, Outcome};
use crate::policy::password_policy::{PasswordState, SECOND};
use crate::schema::time::{format_generalized_time, parse_instant};
use crate::state::{CellValue, Delta};
use crate::storage::EntryId;
use std::sync::LazyLock;

/// Attribute descriptions of the state; parsed once.
struct Names {
    changed: Option<AttributeDescription>,
    locked: Option<AttributeDescription>,
    failures: Option<AttributeDescription>,
    graces: Option<AttributeDescription>,
    reset: Option<AttributeDescription>,
    last_success: Option<AttributeDescription>,
    start: Option<AttributeDescription>,
    end: Option<AttributeDescription>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let name = |text: &str| AttributeDescription::parse(text).ok();
    Names {
        changed: name("pwdChangedTime"),
        locked: name("pwdAccountLockedTime"),
        failures: name("pwdFailureTime"),
        graces: name("pwdGraceUseTime"),
        reset: name("pwdReset"),
        last_success: name("pwdLastSuccess"),
        start: name("pwdStartTime"),
        end: name("pwdEndTime"),
    }
});

/// What the entry's attributes say. Cost: a look-up each; nothing for those that no entry has.
///
/// # Errors
/// Storage.
pub(in crate::operation) fn state_of(view: View<'_>, entry: &Entry<'_>) -> Outcome<PasswordState> {
    let values = |name: &Option<AttributeDescription>| -> Vec<&[u8]> {
        let id = name.as_ref().and_then(|name| view.catalog().find(name));
        id.and_then(|id| entry.attribute(id)).map(|slice| slice.values().collect()).unwrap_or_default()
    };
    let times = |name: &Option<AttributeDescription>| -> Vec<i64> {
        let mut times: Vec<i64> = values(name).into_iter().filter_map(micros).collect();
        times.sort_unstable();
        times
    };
    let names = &*NAMES;
    let newest = |name: &Option<AttributeDescription>| times(name).last().copied();
    Ok(PasswordState {
        changed_us: newest(&names.changed),
        locked_us: newest(&names.locked),
        failures_us: times(&names.failures),
        grace_uses_us: times(&names.graces),
        reset: values(&names.reset).iter().any(|value| value.eq_ignore_ascii_case(b"TRUE")),
        last_success_us: newest(&names.last_success),
        start_us: newest(&names.start),
        end_us: newest(&names.end),
    })
}

/// Unix microseconds of a generalized time.
pub(super) fn micros(text: &[u8]) -> Option<i64> {
    parse_instant(text).map(|instant| instant.unix_ms * 1_000 + i64::from(instant.rest_ns / 1_000))
}

/// A moment to the microsecond: failures of one second are different ones.
pub(in crate::operation) fn instant_text(us: i64) -> String {
    let whole = format_generalized_time(us.div_euclid(1_000));
    format!("{}.{:06}Z", whole.trim_end_matches('Z'), us.rem_euclid(SECOND))
}

/// A moment to the second.
pub(in crate::operation) fn second_text(us: i64) -> String {
    format_generalized_time(us.div_euclid(1_000))
}

/// The delta that adds a value, or takes one away.
///
/// # Errors
/// A value that breaks its syntax; storage.
pub(in crate::operation) fn cell(writing: &mut Writing<'_>, name: &str, value: &[u8], present: bool) -> Outcome<Delta> {
    let attribute = writing.intern(&AttributeDescription::parse(name)?)?;
    let view = writing.view();
    let info = view.catalog().attribute(attribute).ok_or_else(|| OperationError::no_such_object(""))?;
    let (key, content) = crate::dit::value_of(&view, info, value)?;
    let value = if present { content } else { CellValue::Text(Vec::new()) };
    Ok(Delta::Cell { attribute, key, order: 0, present, value })
}

/// The delta that takes an attribute away, if the entry has it.
///
/// # Errors
/// Storage.
pub(in crate::operation) fn clear(writing: &Writing<'_>, id: EntryId, name: &str) -> Outcome<Option<Delta>> {
    let description = AttributeDescription::parse(name)?;
    let view = writing.view();
    let Some(attribute) = view.catalog().find(&description) else { return Ok(None) };
    let has = view.entry(id)?.is_some_and(|entry| entry.record.any_attribute(attribute).is_some());
    Ok(has.then_some(Delta::Clear(attribute)))
}
