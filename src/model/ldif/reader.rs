//! The unfolded lines of a record to the record (RFC 2849).

use std::io::BufRead;
use std::iter::Peekable;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::lines::{Ended, Line, RecordLines};
use super::{LdifBody, LdifChange, LdifControl, LdifError, LdifRecord, UrlPolicy, file_url, shorten};
use crate::model::attribute::{Attribute, AttributeDescription};
use crate::model::change::{Modification, ModificationKind};

/// Base64 as servers write it: the padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Room made at once for the attributes of an entry; few have more.
const ATTRIBUTES_USUAL: usize = 24;

/// Reads LDIF record by record.
///
/// An iterator over records: a malformed one is an error, after which the reader goes on with the next. It ends at
/// the end of the file, or after an error of the file itself. Reads in one pass, holds one record in memory.
#[derive(Debug)]
pub struct LdifReader<R: BufRead> {
    reader: R,
    url_policy: UrlPolicy,
    lines: RecordLines,
    has_ended: bool,
}

impl<R: BufRead> LdifReader<R> {
    /// Reads from `reader`, which should buffer some 64 KiB or more.
    pub fn new(reader: R, url_policy: UrlPolicy) -> Self {
        Self { reader, url_policy, lines: RecordLines::default(), has_ended: false }
    }

    /// The record read last as text, well-formed or not: unfolded, without comments, a newline after each line. Of a
    /// record that passed a limit, the beginning. For files of refused records.
    pub fn record_text(&self) -> &[u8] {
        self.lines.text()
    }

    /// Lines read so far, as in the file.
    pub const fn line_number(&self) -> u64 {
        self.lines.line_number()
    }

    /// Bytes read so far.
    pub const fn bytes_read(&self) -> u64 {
        self.lines.bytes_read()
    }
}

impl<R: BufRead> Iterator for LdifReader<R> {
    type Item = Result<LdifRecord, LdifError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.has_ended {
            match self.lines.read(&mut self.reader) {
                Ok(ended) => self.has_ended = ended == Ended::File,
                Err(error) => {
                    self.has_ended = true;
                    return Some(Err(error));
                }
            }
            if let Some(error) = self.lines.take_refused() {
                return Some(Err(error));
            }
            if self.lines.is_empty() {
                continue;
            }
            if let Some(result) = parse_record(&self.lines, &self.url_policy).transpose() {
                return Some(result);
            }
        }
        None
    }
}

/// What decoding a value depends on.
#[derive(Clone, Copy, Debug)]
struct Context<'r> {
    url_policy: &'r UrlPolicy,
    /// The whole record is UTF-8, so its values need no second look.
    is_utf8: bool,
}

/// What stands after the colon of a line.
#[derive(Clone, Copy, Debug)]
enum Raw<'b> {
    Plain(&'b [u8]),
    Base64(&'b [u8]),
    Url(&'b [u8]),
}

/// `name: value`, the value not yet decoded.
#[derive(Clone, Copy, Debug)]
struct Pair<'b> {
    line: u64,
    name: &'b [u8],
    raw: Raw<'b>,
}

/// `None` for a version line alone.
fn parse_record(lines: &RecordLines, url_policy: &UrlPolicy) -> Result<Option<LdifRecord>, LdifError> {
    let context = Context { url_policy, is_utf8: std::str::from_utf8(lines.text()).is_ok() };
    let mut lines = lines.iter().peekable();
    let Some(mut first) = next_pair(&mut lines)? else { return Ok(None) };
    if first.name.eq_ignore_ascii_case(b"version") {
        if !matches!(first.raw, Raw::Plain(b"1")) {
            return Err(LdifError::new(first.line, "the only version of LDIF there is, is 1; write 'version: 1'"));
        }
        match next_pair(&mut lines)? {
            Some(pair) => first = pair,
            None => return Ok(None),
        }
    }
    if !first.name.eq_ignore_ascii_case(b"dn") {
        return Err(LdifError::new(first.line, no_dn_advice(first.name)));
    }
    let dn = first.text(context)?;
    let mut controls = Vec::new();
    let mut record = LdifRecord { line: first.line, dn, controls: Vec::new(), body: LdifBody::Entry(Vec::new()) };
    while let Some(pair) = next_pair_named(&mut lines, b"control")? {
        controls.push(control(pair, context)?);
    }
    record.controls = controls;
    record.body = match next_pair_named(&mut lines, b"changetype")? {
        Some(pair) => LdifBody::Change(change(pair, &mut lines, context)?),
        None => LdifBody::Entry(attributes(lines, context)?),
    };
    Ok(Some(record))
}

fn no_dn_advice(name: &[u8]) -> String {
    match name {
        b"search" | b"result" => {
            "this is ldapsearch's own report, not a record; run it with -LLL to leave that out".to_owned()
        }
        _ => format!(
            "a record begins with 'dn:', this one with '{}'; a blank line stands only between records",
            shorten(&String::from_utf8_lossy(name))
        ),
    }
}

/// Splits a line at its colon.
fn split(line: Line<'_>) -> Result<Pair<'_>, LdifError> {
    let Some(colon) = memchr::memchr(b':', line.text) else {
        return Err(LdifError::new(
            line.number,
            format!(
                "'{}' is neither 'name: value' nor the continuation of a line, which would begin with a blank",
                shorten(&String::from_utf8_lossy(line.text))
            ),
        ));
    };
    let (name, rest) = line.text.split_at_checked(colon).unwrap_or_default();
    Ok(Pair { line: line.number, name: name.trim_ascii_end(), raw: raw_value(rest) })
}

/// What a colon and the rest of the line say.
fn raw_value(from_colon: &[u8]) -> Raw<'_> {
    match from_colon {
        [_, b':', rest @ ..] => Raw::Base64(rest.trim_ascii()),
        [_, b'<', rest @ ..] => Raw::Url(rest.trim_ascii()),
        [_, b' ', rest @ ..] if !matches!(rest.first(), Some(b' ' | b'\t')) => Raw::Plain(rest),
        [_, rest @ ..] => {
            let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            Raw::Plain(rest.get(blanks..).unwrap_or_default())
        }
        [] => Raw::Plain(&[]),
    }
}

impl Pair<'_> {
    fn error(&self, detail: impl std::fmt::Display) -> LdifError {
        LdifError::new(self.line, format!("{}: {detail}", shorten(&String::from_utf8_lossy(self.name))))
    }

    fn value(&self, context: Context<'_>) -> Result<Vec<u8>, LdifError> {
        match self.raw {
            Raw::Plain(bytes) if context.is_utf8 || std::str::from_utf8(bytes).is_ok() => Ok(bytes.to_vec()),
            Raw::Plain(_) => Err(self.error(
                "the value is not UTF-8; convert the file (iconv -f LATIN1 -t UTF-8), or write the value in base64 after '::'",
            )),
            Raw::Base64(text) => BASE64.decode(text).map_err(|error| {
                self.error(format_args!("what follows '::' is not base64 ({error}); plain text follows one ':'"))
            }),
            Raw::Url(url) => std::str::from_utf8(url)
                .map_err(|_| "the URL is not UTF-8".to_owned())
                .and_then(|url| file_url::read(context.url_policy, url))
                .map_err(|detail| self.error(detail)),
        }
    }

    fn text(&self, context: Context<'_>) -> Result<String, LdifError> {
        if matches!(self.raw, Raw::Url(_)) {
            return Err(self.error("a URL (':<') cannot stand here; write the text itself"));
        }
        String::from_utf8(self.value(context)?).map_err(|_| self.error("the value is not UTF-8"))
    }

    fn description(&self) -> Result<AttributeDescription, LdifError> {
        AttributeDescription::parse_bytes(self.name).map_err(|error| LdifError::new(self.line, error.to_string()))
    }
}

fn next_pair<'b>(lines: &mut impl Iterator<Item = Line<'b>>) -> Result<Option<Pair<'b>>, LdifError> {
    lines.next().map(split).transpose()
}

fn next_pair_named<'b>(
    lines: &mut Peekable<impl Iterator<Item = Line<'b>>>,
    name: &[u8],
) -> Result<Option<Pair<'b>>, LdifError> {
    let is_it = |line: &Line<'_>| {
        line.text.split_at_checked(name.len()).is_some_and(|(begin, rest)| {
            begin.eq_ignore_ascii_case(name) && rest.trim_ascii_start().first() == Some(&b':')
        })
    };
    lines.next_if(is_it).map(split).transpose()
}

/// The attributes of an entry: all lines that are left.
fn attributes<'b>(lines: impl Iterator<Item = Line<'b>>, context: Context<'_>) -> Result<Vec<Attribute>, LdifError> {
    let mut attributes: Vec<Attribute> = Vec::with_capacity(ATTRIBUTES_USUAL);
    let mut previous_name: &[u8] = &[];
    for line in lines {
        let pair = split(line)?;
        let value = pair.value(context)?;
        if pair.name.eq_ignore_ascii_case(previous_name)
            && let Some(last) = attributes.last_mut()
        {
            last.values.push(value);
            continue;
        }
        let description = pair.description()?;
        if description.options().is_empty() {
            refuse_structure(&pair)?;
        }
        previous_name = pair.name;
        match attributes.last_mut() {
            Some(last) if last.description.is_same(&description) => last.values.push(value),
            _ => attributes.push(Attribute { description, values: vec![value] }),
        }
    }
    Ok(attributes)
}

/// Lines that look like attributes but belong elsewhere.
fn refuse_structure(pair: &Pair<'_>) -> Result<(), LdifError> {
    let is = |name: &[u8]| pair.name.eq_ignore_ascii_case(name);
    if is(b"dn") {
        return Err(pair.error("a second 'dn:' in one record; a blank line is missing before it"));
    }
    if is(b"changetype") || is(b"control") {
        return Err(pair.error("this stands directly after 'dn:' ('control:' before 'changetype:')"));
    }
    Ok(())
}

/// `control: OID [true|false] [: value]`
fn control(pair: Pair<'_>, context: Context<'_>) -> Result<LdifControl, LdifError> {
    const FORM: &str = "the form is 'control: OID [true|false][: value]'";
    let Raw::Plain(text) = pair.raw else { return Err(pair.error(FORM)) };
    let head_bytes = memchr::memchr(b':', text).unwrap_or(text.len());
    let (head, from_colon) = text.split_at_checked(head_bytes).unwrap_or_default();
    let mut words = head.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let oid = words.next().filter(|oid| oid.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.'));
    let critical = match words.next() {
        None => Some(false),
        Some(word) if word.eq_ignore_ascii_case(b"true") => Some(true),
        Some(word) if word.eq_ignore_ascii_case(b"false") => Some(false),
        Some(_) => None,
    };
    let (Some(oid), Some(critical), None) = (oid, critical, words.next()) else { return Err(pair.error(FORM)) };
    let value = match from_colon {
        [] => None,
        _ => Some(Pair { raw: raw_value(from_colon), ..pair }.value(context)?),
    };
    Ok(LdifControl { oid: String::from_utf8_lossy(oid).into_owned(), critical, value })
}

/// All after `changetype:`.
fn change<'b>(
    changetype: Pair<'b>,
    lines: &mut Peekable<impl Iterator<Item = Line<'b>>>,
    context: Context<'_>,
) -> Result<LdifChange, LdifError> {
    let word = changetype.text(context)?.trim_ascii().to_ascii_lowercase();
    match word.as_str() {
        "add" => Ok(LdifChange::Add(attributes(lines, context)?)),
        "delete" => {
            match next_pair(lines)? {
                None => Ok(LdifChange::Delete),
                Some(pair) => Err(pair
                    .error("nothing follows 'changetype: delete'; to delete an attribute write 'changetype: modify'")),
            }
        }
        "modify" => Ok(LdifChange::Modify(modifications(lines, context)?)),
        "modrdn" | "moddn" => modify_dn(changetype.line, lines, context),
        _ => Err(changetype.error("this is one of add, delete, modify, modrdn, moddn")),
    }
}

fn modifications<'b>(
    lines: &mut Peekable<impl Iterator<Item = Line<'b>>>,
    context: Context<'_>,
) -> Result<Vec<Modification>, LdifError> {
    let mut modifications = Vec::new();
    while let Some(pair) = next_pair(lines)? {
        let Some(kind) = std::str::from_utf8(pair.name).ok().and_then(ModificationKind::from_word) else {
            return Err(pair
                .error("a modification begins with 'add:', 'delete:', 'replace:' or 'increment:' and the attribute"));
        };
        let text = pair.text(context)?;
        let description = AttributeDescription::parse(text.trim_ascii())
            .map_err(|error| LdifError::new(pair.line, error.to_string()))?;
        let mut values = Vec::new();
        while let Some(line) = lines.next_if(|line| !is_dash(line)) {
            let pair = split(line)?;
            let same = pair.name.eq_ignore_ascii_case(text.trim_ascii().as_bytes())
                || pair.description()?.is_same(&description);
            if !same {
                return Err(pair.error(format_args!(
                    "values of '{description}' are wanted here, or a line with '-' alone to end this modification"
                )));
            }
            values.push(pair.value(context)?);
        }
        lines.next_if(is_dash);
        modifications.push(Modification { kind, attribute: Attribute { description, values } });
    }
    Ok(modifications)
}

fn is_dash(line: &Line<'_>) -> bool {
    line.text.trim_ascii_end() == b"-"
}

fn modify_dn<'b>(
    changetype_line: u64,
    lines: &mut impl Iterator<Item = Line<'b>>,
    context: Context<'_>,
) -> Result<LdifChange, LdifError> {
    let (mut new_rdn, mut delete_old_rdn, mut new_superior) = (None, None, None);
    while let Some(pair) = next_pair(lines)? {
        let text = pair.text(context)?;
        let is = |name: &[u8]| pair.name.eq_ignore_ascii_case(name);
        let is_repeated = if is(b"newrdn") {
            new_rdn.replace(text).is_some()
        } else if is(b"deleteoldrdn") {
            let flag = match text.trim_ascii() {
                "0" => false,
                "1" => true,
                _ => return Err(pair.error("this is 0 (keep the old value) or 1 (delete it)")),
            };
            delete_old_rdn.replace(flag).is_some()
        } else if is(b"newsuperior") {
            new_superior.replace(text).is_some()
        } else {
            return Err(pair.error("only newrdn, deleteoldrdn and newsuperior belong to a change of name"));
        };
        if is_repeated {
            return Err(pair.error("given twice"));
        }
    }
    match (new_rdn, delete_old_rdn) {
        (Some(new_rdn), Some(delete_old_rdn)) => Ok(LdifChange::ModifyDn { new_rdn, delete_old_rdn, new_superior }),
        (None, _) => Err(LdifError::new(changetype_line, "'newrdn:' is missing")),
        (_, None) => Err(LdifError::new(changetype_line, "'deleteoldrdn:' is missing; write 0 or 1")),
    }
}
