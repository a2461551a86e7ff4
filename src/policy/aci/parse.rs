//! The grammar of ACI 3.0. A cursor over the text; every error knows its byte and what could stand there.

use super::{
    ACI_BYTES_MAX, Aci, AciError, AttributePattern, BIND_RULE_DEPTH_MAX, BIND_RULE_TESTS_MAX, BindRule, BindTest,
    Effect, NamePattern, OidList, Permission, Target, TargetAttributes, TargetFilter, UserPattern, ValueFilters,
    targets, values,
};
use crate::model::Scope;
use crate::model::attribute::is_attribute_type;
use crate::policy::rights::{Right, Rights};

/// A place in the text.
struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

/// A value out of the text, with the place where it began.
pub(super) struct Value {
    pub(super) text: String,
    pub(super) offset: usize,
}

impl Value {
    pub(super) fn error(&self, detail: impl Into<String>) -> AciError {
        AciError { offset: self.offset, detail: detail.into() }
    }
}

/// Removes blanks around a value, but not the blank that a backslash protects.
pub(super) fn trim(text: &str) -> &str {
    let text = text.trim_start();
    let trimmed = text.trim_end();
    let backslashes = trimmed.bytes().rev().take_while(|&byte| byte == b'\\').count();
    match text.get(trimmed.len()..).and_then(|blanks| blanks.chars().next()) {
        Some(blank) if backslashes % 2 == 1 => text.get(..trimmed.len() + blank.len_utf8()).unwrap_or(text),
        _ => trimmed,
    }
}

/// The sign between a keyword and its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// What stands here, shortened, for messages.
    fn found(&self) -> String {
        let rest = self.rest();
        if rest.is_empty() {
            return "the end of the text".into();
        }
        let shown: String = rest.chars().take(16).flat_map(char::escape_debug).collect();
        let dots = if rest.chars().nth(16).is_some() { "…" } else { "" };
        format!("'{shown}{dots}'")
    }

    fn expected(&self, what: &str) -> AciError {
        AciError { offset: self.at, detail: format!("expected {what}, found {}", self.found()) }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    fn expect(&mut self, token: &str, what: &str) -> Result<(), AciError> {
        if self.eat(token) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// The run of ASCII letters, digits, `-`, `_` and `.` that stands here, in lower case, and its place.
    /// Empty when there is none.
    fn word(&mut self) -> (String, usize) {
        self.skip_blanks();
        let rest = self.rest();
        let is_end = |character: char| !(character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.'));
        let word = rest.get(..rest.find(is_end).unwrap_or(rest.len())).unwrap_or_default();
        let offset = self.at;
        self.at += word.len();
        (word.to_ascii_lowercase(), offset)
    }

    fn peek_word(&mut self) -> String {
        let at = self.at;
        let (word, _) = self.word();
        self.at = at;
        word
    }

    fn sign(&mut self) -> Result<(Sign, usize), AciError> {
        self.skip_blanks();
        let offset = self.at;
        let signs = [
            ("!=", Sign::NotEqual),
            ("<=", Sign::LessOrEqual),
            (">=", Sign::GreaterOrEqual),
            ("=", Sign::Equal),
            ("<", Sign::Less),
            (">", Sign::Greater),
        ];
        match signs.into_iter().find(|(text, _)| self.eat(text)) {
            Some((_, sign)) => Ok((sign, offset)),
            None => Err(self.expected("= or !=")),
        }
    }

    /// `=` or `!=`; true for the latter.
    fn equality(&mut self) -> Result<bool, AciError> {
        match self.sign()? {
            (Sign::Equal, _) => Ok(false),
            (Sign::NotEqual, _) => Ok(true),
            (_, offset) => Err(AciError { offset, detail: "expected = or != here".into() }),
        }
    }

    /// A value in quotation marks; `\"` is a quotation mark, every other backslash stands for itself and takes the
    /// next character along.
    fn quoted(&mut self) -> Result<Value, AciError> {
        self.expect("\"", "a value in quotation marks")?;
        let offset = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = offset + index + 1;
                    return Ok(Value { text, offset });
                }
                '\\' => match characters.next() {
                    Some((_, '"')) => text.push('"'),
                    Some((_, next)) => text.extend(['\\', next]),
                    None => break,
                },
                _ => text.push(character),
            }
        }
        Err(AciError { offset: offset - 1, detail: "this quotation mark is never closed".into() })
    }

    /// A target's value: quoted, or bare text up to the parenthesis that closes the target.
    fn target_value(&mut self) -> Result<Value, AciError> {
        self.skip_blanks();
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let offset = self.at;
        let mut depth = 0usize;
        for (index, character) in self.rest().char_indices() {
            match character {
                '(' => depth += 1,
                ')' if depth == 0 => {
                    let text = self.rest().get(..index).unwrap_or_default().to_owned();
                    self.at += index;
                    return Ok(Value { text, offset });
                }
                ')' => depth -= 1,
                '"' => break,
                _ => {}
            }
        }
        Err(self.expected("a value in quotation marks"))
    }
}

const TARGETS: &str = "one of target, targetattr, targetfilter, targetscope, targattrfilters, targetcontrol, extop, target_from, \
     target_to, version";

pub(super) fn aci(text: &str) -> Result<Aci, AciError> {
    if text.len() > ACI_BYTES_MAX {
        let detail = format!("the rule has {} bytes, at most {ACI_BYTES_MAX} are read", text.len());
        return Err(AciError { offset: ACI_BYTES_MAX, detail });
    }
    let mut cursor = Cursor { text, at: 0 };
    let mut aci = Aci {
        name: String::new(),
        target: None,
        move_from: None,
        move_to: None,
        target_scope: None,
        target_filter: None,
        target_attributes: None,
        value_filters: None,
        controls: None,
        extended_operations: None,
        permissions: Vec::new(),
    };
    loop {
        cursor.expect("(", &format!("( and {TARGETS}"))?;
        let (word, offset) = cursor.word();
        let is_repeated = match word.as_str() {
            "version" => break,
            "target" => aci.target.replace(target(&mut cursor)?).is_some(),
            "targetscope" => aci.target_scope.replace(target_scope(&mut cursor)?).is_some(),
            "targetfilter" => aci.target_filter.replace(target_filter(&mut cursor)?).is_some(),
            "targetattr" => aci.target_attributes.replace(target_attributes(&mut cursor)?).is_some(),
            "targattrfilters" | "targetattrfilters" => {
                aci.value_filters.replace(value_filters(&mut cursor, &word)?).is_some()
            }
            "targetcontrol" => aci.controls.replace(oids(&mut cursor)?).is_some(),
            "extop" => aci.extended_operations.replace(oids(&mut cursor)?).is_some(),
            "target_from" => aci.move_from.replace(move_target(&mut cursor)?).is_some(),
            "target_to" => aci.move_to.replace(move_target(&mut cursor)?).is_some(),
            _ => {
                cursor.at = offset;
                return Err(cursor.expected(TARGETS));
            }
        };
        if is_repeated {
            return Err(AciError { offset, detail: format!("{word} stands in the rule twice") });
        }
        cursor.expect(")", ") to close the target")?;
    }
    let (version, offset) = cursor.word();
    if version != "3.0" {
        cursor.at = offset;
        return Err(cursor.expected("3.0, the only version of rules"));
    }
    cursor.expect(";", "; after the version")?;
    let (word, offset) = cursor.word();
    if word != "acl" {
        cursor.at = offset;
        return Err(cursor.expected("acl and the rule's name in quotation marks"));
    }
    aci.name = cursor.quoted()?.text;
    cursor.expect(";", "; after the name")?;
    aci.permissions.push(permission(&mut cursor)?);
    while !cursor.eat(")") {
        aci.permissions.push(permission(&mut cursor)?);
    }
    cursor.skip_blanks();
    if !cursor.rest().is_empty() {
        return Err(cursor.expected("nothing after the rule"));
    }
    check_macros(&aci)?;
    Ok(aci)
}

/// What macros stand for comes from the target, so there must be one that says it.
fn check_macros(aci: &Aci) -> Result<(), AciError> {
    let error = |detail: &str| Err(AciError { offset: 0, detail: detail.to_owned() });
    let target = match &aci.target {
        Some(Target { negated, name: NamePattern::Macro(_) }) => Some(*negated),
        _ => None,
    };
    if target == Some(true) {
        return error("a target with ($dn) takes = only");
    }
    if target.is_some() && aci.target_scope.is_some() {
        return error("a target with ($dn) cannot be narrowed by targetscope");
    }
    let mut asks = aci.target_filter.as_ref().is_some_and(|target| values::has_dn_macro(&target.filter));
    for permission in &aci.permissions {
        permission.bind_rule.visit(&mut |test| {
            let uses = |name: &NamePattern| matches!(name, NamePattern::Macro(template) if template.uses_dn());
            asks |= match test {
                BindTest::UserDn { users, .. } => {
                    users.iter().any(|user| matches!(user, UserPattern::Name(name) if uses(name)))
                }
                BindTest::GroupDn { groups: names, .. } | BindTest::RoleDn { roles: names, .. } => {
                    names.iter().any(uses)
                }
                _ => false,
            };
        });
    }
    if asks && target.is_none() {
        return error(
            "($dn) and [$dn] need a target with ($dn), such as (target=\"ldap:///ou=groups,($dn),dc=example\")",
        );
    }
    Ok(())
}

fn value_filters(cursor: &mut Cursor<'_>, word: &str) -> Result<ValueFilters, AciError> {
    let (sign, offset) = cursor.sign()?;
    if sign != Sign::Equal {
        return Err(AciError { offset, detail: format!("{word} takes = only") });
    }
    targets::value_filters(&cursor.quoted()?)
}

fn oids(cursor: &mut Cursor<'_>) -> Result<OidList, AciError> {
    let negated = cursor.equality()?;
    targets::oids(negated, &cursor.target_value()?)
}

fn target(cursor: &mut Cursor<'_>) -> Result<Target, AciError> {
    let negated = cursor.equality()?;
    let value = cursor.target_value()?;
    let url = values::Url::parse(trim(&value.text), value.offset)?;
    Ok(Target { negated, name: url.into_target()? })
}

/// Where entries are moved from or to.
fn move_target(cursor: &mut Cursor<'_>) -> Result<Target, AciError> {
    let offset = cursor.at;
    let target = target(cursor)?;
    match target.name {
        NamePattern::Macro(_) => {
            Err(AciError { offset, detail: "target_from and target_to take no macro; write the names out".into() })
        }
        _ => Ok(target),
    }
}

fn target_scope(cursor: &mut Cursor<'_>) -> Result<Scope, AciError> {
    let (sign, offset) = cursor.sign()?;
    if sign != Sign::Equal {
        return Err(AciError { offset, detail: "targetscope takes = only".into() });
    }
    let value = cursor.target_value()?;
    Scope::from_word(value.text.trim())
        .ok_or_else(|| value.error("expected one of base, onelevel, subtree, subordinate"))
}

fn target_filter(cursor: &mut Cursor<'_>) -> Result<TargetFilter, AciError> {
    let negated = cursor.equality()?;
    let value = cursor.target_value()?;
    let filter = values::target_filter(trim(&value.text), value.offset)?;
    Ok(TargetFilter { negated, filter })
}

fn target_attributes(cursor: &mut Cursor<'_>) -> Result<TargetAttributes, AciError> {
    let negated = cursor.equality()?;
    let value = cursor.target_value()?;
    let names = value.text.split("||").map(|name| attribute_pattern(name.trim(), &value)).collect::<Result<_, _>>()?;
    Ok(TargetAttributes { negated, names })
}

fn attribute_pattern(name: &str, value: &Value) -> Result<AttributePattern, AciError> {
    if name.contains(';') {
        let detail = format!("'{name}': a rule covers an attribute with all its options; leave the ; part out");
        return Err(value.error(detail));
    }
    let starless = name.replace('*', "x");
    match name {
        "*" => Ok(AttributePattern::AllUser),
        "+" => Ok(AttributePattern::AllOperational),
        _ if is_attribute_type(name.as_bytes()) => Ok(AttributePattern::Name(name.to_owned())),
        _ if name.contains('*') && is_attribute_type(starless.as_bytes()) => {
            Ok(AttributePattern::Wildcard(name.to_owned()))
        }
        _ => Err(value.error(format!("'{name}' is not an attribute name, * or +; names are joined by ||"))),
    }
}

fn permission(cursor: &mut Cursor<'_>) -> Result<Permission, AciError> {
    let (word, offset) = cursor.word();
    let effect = match word.as_str() {
        "allow" => Effect::Allow,
        "deny" => Effect::Deny,
        _ => {
            cursor.at = offset;
            return Err(cursor.expected("allow or deny"));
        }
    };
    cursor.expect("(", "( and the rights")?;
    let mut rights = Rights::NONE;
    loop {
        let (word, offset) = cursor.word();
        rights = match word.as_str() {
            "all" => rights.union(Rights::ALL_WORD),
            "import" | "export" => rights.with(Right::ModDn),
            word => match Right::ALL.into_iter().find(|right| right.word() == word) {
                Some(right) => rights.with(right),
                None => {
                    cursor.at = offset;
                    let words = Right::ALL.map(Right::word).join(", ");
                    return Err(cursor.expected(&format!("a right: one of all, {words}")));
                }
            },
        };
        if !cursor.eat(",") {
            break;
        }
    }
    cursor.expect(")", ") or , after a right")?;
    let mut tests_left = BIND_RULE_TESTS_MAX;
    let bind_rule = bind_rule(cursor, 0, &mut tests_left)?;
    cursor.expect(";", "; after the bind rule, or and / or")?;
    Ok(Permission { effect, rights, bind_rule })
}

/// Terms joined by `and` and `or`, which have equal rank and group to the left.
fn bind_rule(cursor: &mut Cursor<'_>, depth: usize, tests_left: &mut usize) -> Result<BindRule, AciError> {
    let mut left = bind_term(cursor, depth, tests_left)?;
    // The word of the chain that `left` is; empty when it came out of parentheses and must not grow.
    let mut chain = String::new();
    loop {
        let word = cursor.peek_word();
        if word != "and" && word != "or" {
            return Ok(left);
        }
        let _ = cursor.word();
        let right = bind_term(cursor, depth, tests_left)?;
        left = match left {
            BindRule::And(mut parts) if word == "and" && chain == "and" => {
                parts.push(right);
                BindRule::And(parts)
            }
            BindRule::Or(mut parts) if word == "or" && chain == "or" => {
                parts.push(right);
                BindRule::Or(parts)
            }
            left if word == "and" => BindRule::And(vec![left, right]),
            left => BindRule::Or(vec![left, right]),
        };
        chain = word;
    }
}

fn bind_term(cursor: &mut Cursor<'_>, depth: usize, tests_left: &mut usize) -> Result<BindRule, AciError> {
    cursor.skip_blanks();
    if depth > BIND_RULE_DEPTH_MAX {
        let detail = format!("the bind rule is nested deeper than {BIND_RULE_DEPTH_MAX}");
        return Err(AciError { offset: cursor.at, detail });
    }
    if cursor.eat("(") {
        let rule = bind_rule(cursor, depth + 1, tests_left)?;
        cursor.expect(")", ") to close the parenthesis, or and / or")?;
        return Ok(rule);
    }
    let (word, offset) = cursor.word();
    if word == "not" {
        return Ok(BindRule::Not(Box::new(bind_term(cursor, depth + 1, tests_left)?)));
    }
    if !values::TEST_WORDS.contains(&word.as_str()) {
        cursor.at = offset;
        return Err(cursor.expected(&format!("(, not, or one of {}", values::TEST_WORDS.join(", "))));
    }
    *tests_left = tests_left.checked_sub(1).ok_or_else(|| AciError {
        offset,
        detail: format!("the bind rule has more than {BIND_RULE_TESTS_MAX} tests"),
    })?;
    let (sign, sign_offset) = cursor.sign()?;
    let value = cursor.quoted()?;
    values::test(&word, sign, sign_offset, &value).map(BindRule::Test)
}
