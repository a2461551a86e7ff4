//! Parts of the tree that slapd's rules name: by a DN and a style, or by a regular expression of a known shape.
//!
//! Any regular expression may stand in slapd's rules, and most of those in use say one of a few things: this entry, what is
//! below it, what is directly below it under names of one type, what is at or below such an entry. Those are read, as
//! slapd means them: anchored at both ends (`^…$`), since without it they also fit names that nobody thought of.

use crate::model::Dn;

/// A part of the tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Region {
    pub(super) base: Dn,
    /// Whether the base is in it; what is directly below; what is further below.
    pub(super) depths: [bool; 3],
    /// What is in it is at or below an entry directly below the base that is named by this type alone; `None`: by any.
    pub(super) rdn_type: Option<String>,
    /// Which group of the expression (from 1) is the RDN directly below the base, or its value.
    pub(super) capture: Option<Capture>,
}

/// What a group of a regular expression holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Capture {
    pub(super) group: usize,
    /// The whole RDN, not only its value.
    pub(super) is_rdn: bool,
}

impl Region {
    pub(super) fn new(base: Dn, depths: [bool; 3]) -> Self {
        Self { base, depths, rdn_type: None, capture: None }
    }

    /// A style as its depths.
    pub(super) fn style(word: &str) -> Option<[bool; 3]> {
        match word {
            "" | "exact" | "base" | "baseobject" => Some([true, false, false]),
            "one" | "onelevel" => Some([false, true, false]),
            "sub" | "subtree" => Some([true, true, true]),
            "children" => Some([false, true, true]),
            _ => None,
        }
    }
}

/// Texts before the part that is looked at, with how many groups they have and what depth they leave.
const BEGINNINGS: [(&str, usize, Beginning); 9] = [
    ("(.+,)?", 1, Beginning::Perhaps),
    ("(.*,)?", 1, Beginning::Perhaps),
    ("(.+,)*", 1, Beginning::Perhaps),
    ("(.+,)", 1, Beginning::Something),
    ("(.*,)", 1, Beginning::Something),
    ("(.+),", 1, Beginning::Something),
    ("(.*),", 1, Beginning::Something),
    (".+,", 0, Beginning::Something),
    (".*,", 0, Beginning::Something),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Beginning {
    Nothing,
    Perhaps,
    Something,
}

/// An RDN of one expression: its type (`None`: any), and whether and how it is a group.
fn rdn(text: &str) -> Option<(Option<String>, Option<bool>, &str)> {
    for (word, group) in [("[^,]+,", None), ("[^,]*,", None), ("([^,]+),", Some(true)), ("([^,]*),", Some(true))] {
        if let Some(rest) = text.strip_prefix(word) {
            return Some((None, group, rest));
        }
    }
    let (name, rest) = text.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_name {
        return None;
    }
    for (word, group) in [("[^,]+,", None), ("[^,]*,", None), ("([^,]+),", Some(false)), ("([^,]*),", Some(false))] {
        if let Some(rest) = rest.strip_prefix(word) {
            return Some((Some(name.to_ascii_lowercase()), group, rest));
        }
    }
    None
}

/// Whether the text stands for itself in a regular expression.
fn is_literal(text: &str) -> bool {
    !text.contains(['.', '*', '+', '?', '[', ']', '(', ')', '{', '}', '|', '^', '$', '\\'])
}

/// Reads a regular expression that has one of the known shapes.
///
/// # Errors
/// What it would have to look like.
pub(super) fn parse(expression: &str) -> Result<Region, String> {
    let refused = || {
        format!(
            "the regular expression {expression} is none of those that are read: ^DN$, ^.+,DN$, ^(.+,)?DN$, ^[^,]+,DN$, \
             ^uid=[^,]+,DN$, ^(.+,)?uid=([^,]+),DN$ and their like, where DN stands for itself; write it as one, or with \
             dn.subtree, dn.children, dn.one or dn.exact"
        )
    };
    let without_end = expression.strip_suffix('$').ok_or_else(refused)?;
    let (is_anchored, text) = match without_end.strip_prefix('^') {
        Some(text) => (true, text),
        None => (false, without_end),
    };
    let found = BEGINNINGS
        .into_iter()
        .find_map(|(word, groups, beginning)| text.strip_prefix(word).map(|rest| (beginning, groups, rest)));
    let (beginning, groups, text) = found.unwrap_or((Beginning::Nothing, 0, text));
    if !is_anchored && beginning != Beginning::Something {
        return Err(refused());
    }
    let (name, text) = match rdn(text) {
        Some((rdn_type, group, rest)) => (Some((rdn_type, group)), rest),
        None => (None, text),
    };
    if !is_literal(text) {
        return Err(refused());
    }
    let base = Dn::parse(text).map_err(|_| refused())?;
    let depths = match (&name, beginning) {
        (None, Beginning::Nothing) => [true, false, false],
        (None, Beginning::Perhaps) => [true, true, true],
        (None, Beginning::Something) | (Some(_), Beginning::Perhaps) => [false, true, true],
        (Some(_), Beginning::Nothing) => [false, true, false],
        (Some(_), Beginning::Something) => [false, false, true],
    };
    let (rdn_type, group) = name.unwrap_or((None, None));
    let capture = group.map(|is_rdn| Capture { group: groups + 1, is_rdn });
    Ok(Region { base, depths, rdn_type, capture })
}

/// Reads who `by dn.exact,expand=TEXT` means, where `target` gave the groups: whoever is the entry directly below the
/// target's base that the target is at or below.
///
/// # Errors
/// What it would have to look like.
pub(super) fn is_owner(text: &str, target: &Region, same: impl Fn(&Dn, &Dn) -> bool) -> Result<(), String> {
    let refused = || {
        format!(
            "{text} is put together from parts of the target, and is read only where it is the entry right below the base of the \
             target's expression: to dn.regex=\"^(.+,)?uid=([^,]+),DN$\" by dn.exact,expand=\"uid=$2,DN\""
        )
    };
    let text = text.strip_prefix('^').unwrap_or(text);
    let text = text.strip_suffix('$').unwrap_or(text);
    let capture = target.capture.ok_or_else(refused)?;
    let (name, base) = text.split_once(',').ok_or_else(refused)?;
    let group = format!("${}", capture.group);
    let fits = match &target.rdn_type {
        Some(_) if capture.is_rdn => false,
        Some(rdn_type) => {
            name.split_once('=').is_some_and(|(own, value)| own.eq_ignore_ascii_case(rdn_type) && value == group)
        }
        None => capture.is_rdn && name == group,
    };
    if !fits || !is_literal(base) || !Dn::parse(base).is_ok_and(|base| same(&base, &target.base)) {
        return Err(refused());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_expressions_are_read() {
        let region = |text: &str| parse(text).map(|region| (region.base.to_string(), region.depths, region.rdn_type));
        let all = |depths, rdn_type: Option<&str>| Ok(("dc=x".to_owned(), depths, rdn_type.map(str::to_owned)));
        assert_eq!(region("^dc=x$"), all([true, false, false], None));
        assert_eq!(region("^(.+,)?dc=x$"), all([true, true, true], None));
        assert_eq!(region(".+,dc=x$"), all([false, true, true], None));
        assert_eq!(region("^[^,]+,dc=x$"), all([false, true, false], None));
        assert_eq!(region("^uid=[^,]+,dc=x$"), all([false, true, false], Some("uid")));
        assert_eq!(region("^(.*,)?uid=([^,]+),dc=x$"), all([false, true, true], Some("uid")));
        assert_eq!(region("^.*,uid=([^,]+),dc=x$"), all([false, false, true], Some("uid")));
        let capture = parse("^(.+,)?uid=([^,]+),dc=x$").unwrap().capture;
        assert_eq!(capture, Some(Capture { group: 2, is_rdn: false }));
    }

    #[test]
    fn expressions_that_fit_more_than_one_thinks_are_refused() {
        for text in
            ["dc=x$", "^dc=x", ".*", "^uid=.+,dc=x$", "^(uid|cn)=[^,]+,dc=x$", "^dc=example.com$", "^*,dc=x$", ""]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_owner_is_named_by_the_group_of_the_target() {
        let target = parse("^(.+,)?uid=([^,]+),dc=x$").unwrap();
        let is_owner = |text: &str| is_owner(text, &target, |one, other| one == other);
        assert!(is_owner("uid=$2,dc=x").is_ok() && is_owner("^uid=$2,dc=x$").is_ok());
        for text in ["uid=$1,dc=x", "cn=$2,dc=x", "uid=$2,dc=y", "$2,dc=x", "uid=$2", "uid=$2,$1"] {
            assert!(is_owner(text).is_err(), "{text}");
        }
    }
}
