//! Preparation of strings for matching (RFC 4518).
//!
//! Two spellings that a person takes for one name must give the same bytes: `Straße` and `STRASSE`, `é` typed as one
//! character or as two, `Ann  Lee` and `Ann Lee`, a soft hyphen pasted from a web page. The steps are those of
//! RFC 4518 2: transcode, map, normalise (NFKC), prohibit, insignificant character handling. (Its step 5, "check
//! bidi", is empty.)
//!
//! Two answers differ in form, not in verdict, from the letter of the RFC. Stored forms have no outer blanks and
//! single inner ones, where the RFC writes one outer and two inner blanks: shorter keys, same equality and order. And
//! mapping, folding and normalising are repeated until nothing changes, because one compatibility normalisation can
//! bring forth a capital letter or a blank (`™` gives `TM`): so preparing twice is preparing once.
//!
//! Invariants
//! - `prepare(prepare(x)) == prepare(x)` for every form here.
//! - Output is never empty: a value of blanks only, or of nothing, becomes one blank.
//! - Text of ASCII only is done in one pass without table look-ups and without allocation besides `out`.
//!
//! Not here: which rule uses which form (`schema::matching_rule`).

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;

/// How often mapping and normalising are repeated at most. Two passes settle every string known; the bound is for
/// safety.
const PASSES_MAX: usize = 6;

/// Whether capitals matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Capitals are kept.
    Exact,
    /// Full case folding (`ß` to `ss`), independent of language.
    Fold,
}

/// Where a part of a substring assertion stands (RFC 4511 4.5.1.7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubstringPart {
    /// Before the first asterisk.
    Initial,
    /// Between two asterisks.
    Any,
    /// After the last asterisk.
    Last,
}

/// Why a string cannot be prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The bytes are not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// RFC 4518 2.4.
    #[error("the text contains U+{0:04X}, which no rule can compare: remove it")]
    Prohibited(u32),
}

/// Prepares a whole value: no outer blanks, inner runs of blanks as one. Appends to `out`.
///
/// # Errors
/// Not UTF-8, or a prohibited character; `out` is then as before.
pub fn prepare(value: &[u8], case: Case, out: &mut Vec<u8>) -> Result<(), PrepareError> {
    prepare_edges(value, case, Edges::VALUE, out)
}

/// Appends what the prepared form of a value certainly begins with, told from the ASCII characters at its beginning
/// alone; nothing when they tell nothing. For saying cheaply of a text in another script that it is not the one meant.
pub fn prepare_beginning(value: &[u8], case: Case, out: &mut Vec<u8>) {
    // The last one may combine with what follows; control characters would let an earlier one do so.
    let plain = value.iter().take_while(|byte| matches!(byte, b' '..=b'~')).count();
    let Some(certain) = value.get(..plain.saturating_sub(1)) else { return };
    if certain.iter().any(|byte| *byte != b' ') {
        prepare_ascii(certain, case, Edges::VALUE, out);
    }
}

/// Prepares one part of a substring assertion for being looked for inside prepared values. Appends to `out`.
///
/// A blank at an edge that touches an asterisk is kept, as one: `*ann l*` and `*ann  l*` find `Ann Lee`, `*ann *`
/// does not find `Annemarie`. A blank at the beginning of an initial part or at the end of a final part means nothing,
/// as in whole values.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_part(value: &[u8], case: Case, part: SubstringPart, out: &mut Vec<u8>) -> Result<(), PrepareError> {
    prepare_edges(value, case, Edges::of(part), out)
}

/// Prepares a numeric string: no blanks at all (RFC 4518 2.6.2). Appends to `out`.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_numeric(value: &[u8], out: &mut Vec<u8>) -> Result<(), PrepareError> {
    prepare_without(value, is_blank, out)
}

/// Prepares a telephone number: no blanks and hyphens (RFC 4518 2.6.3), and no dots, slashes and parentheses
/// either, which people write for the same purpose. A plus sign stays. Appends to `out`.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_telephone(value: &[u8], out: &mut Vec<u8>) -> Result<(), PrepareError> {
    prepare_without(value, |c| is_blank(c) || is_telephone_punctuation(c), out)
}

fn is_blank(character: char) -> bool {
    character == ' '
}

fn is_telephone_punctuation(character: char) -> bool {
    matches!(character, '-' | '(' | ')' | '.' | '/' | '\u{58a}' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// Whether a blank at either edge says something.
#[derive(Clone, Copy)]
struct Edges {
    keep_first: bool,
    keep_last: bool,
}

impl Edges {
    const VALUE: Self = Self { keep_first: false, keep_last: false };

    const fn of(part: SubstringPart) -> Self {
        match part {
            SubstringPart::Initial => Self { keep_first: false, keep_last: true },
            SubstringPart::Any => Self { keep_first: true, keep_last: true },
            SubstringPart::Last => Self { keep_first: true, keep_last: false },
        }
    }
}

fn prepare_edges(value: &[u8], case: Case, edges: Edges, out: &mut Vec<u8>) -> Result<(), PrepareError> {
    if prepare_ascii(value, case, edges, out) {
        return Ok(());
    }
    let text = normalize(value, case)?;
    squeeze(&text, edges, out);
    Ok(())
}

/// The one pass for plain ASCII. `false` (and `out` as before) when some byte is not ASCII.
fn prepare_ascii(value: &[u8], case: Case, edges: Edges, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.reserve(value.len());
    let mut blank = false;
    for &byte in value {
        match byte {
            b'!'..=b'~' => {
                if blank {
                    if out.len() > start || edges.keep_first {
                        out.push(b' ');
                    }
                    blank = false;
                }
                out.push(if case == Case::Fold { byte.to_ascii_lowercase() } else { byte });
            }
            b' ' | 0x09..=0x0d => blank = true,
            0x80.. => {
                out.truncate(start);
                return false;
            }
            _ => {} // control characters are mapped to nothing
        }
    }
    if out.len() == start || (blank && edges.keep_last) {
        out.push(b' ');
    }
    true
}

/// Transcode, map, normalise, prohibit: RFC 4518 2.1 to 2.4.
fn normalize(value: &[u8], case: Case) -> Result<Cow<'_, str>, PrepareError> {
    let text = std::str::from_utf8(value).map_err(|_| PrepareError::NotUtf8)?;
    let text = settle(text, case);
    match text.chars().find(|&c| is_prohibited(c)) {
        Some(character) => Err(PrepareError::Prohibited(u32::from(character))),
        None => Ok(text),
    }
}

fn settle(text: &str, case: Case) -> Cow<'_, str> {
    let mut current = Cow::Borrowed(text);
    for _ in 0..PASSES_MAX {
        let next = pass(&current, case);
        if next == *current {
            break;
        }
        current = Cow::Owned(next);
    }
    current
}

fn pass(text: &str, case: Case) -> String {
    let mapped: String = text.chars().filter_map(map).collect();
    let folded = match case {
        Case::Exact => Cow::Borrowed(mapped.as_str()),
        Case::Fold => CaseMapper::new().fold_string(&mapped),
    };
    ComposingNormalizerBorrowed::new_nfkc().normalize(&folded).into_owned()
}

/// RFC 4518 2.2: what stands for nothing goes, separators become a blank.
fn map(character: char) -> Option<char> {
    match character {
        '\u{9}'..='\u{d}'
        | '\u{85}'
        | '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202f}'
        | '\u{205f}'
        | '\u{3000}' => Some(' '),
        '\u{0}'..='\u{8}'
        | '\u{e}'..='\u{1f}'
        | '\u{7f}'..='\u{84}'
        | '\u{86}'..='\u{9f}'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{1806}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffc}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0001}'
        | '\u{e0020}'..='\u{e007f}'
        | '\u{e0100}'..='\u{e01ef}' => None,
        other => Some(other),
    }
}

/// RFC 4518 2.4: private use, non-characters, and the replacement character (which says that text was lost).
/// Unassigned code points pass: what a newer Unicode assigns must not be refused by an older server.
fn is_prohibited(character: char) -> bool {
    let code = u32::from(character);
    matches!(code, 0xe000..=0xf8ff | 0xfdd0..=0xfdef | 0xfffd | 0xf_0000..=0xf_fffd | 0x10_0000..=0x10_fffd)
        || code & 0xfffe == 0xfffe
}

/// RFC 4518 2.6.1: a blank is significant when a combining mark sits on it.
fn squeeze(text: &str, edges: Edges, out: &mut Vec<u8>) {
    let marks = CanonicalCombiningClassMapBorrowed::new();
    let start = out.len();
    let mut blank = false;
    let mut buffer = [0_u8; 4];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let carries_mark = characters.peek().is_some_and(|&next| marks.get32_u8(u32::from(next)) != 0);
        if character == ' ' && !carries_mark {
            blank = true;
            continue;
        }
        if blank && (out.len() > start || edges.keep_first) {
            out.push(b' ');
        }
        blank = false;
        out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
    }
    if out.len() == start || (blank && edges.keep_last) {
        out.push(b' ');
    }
}

fn prepare_without(value: &[u8], dropped: fn(char) -> bool, out: &mut Vec<u8>) -> Result<(), PrepareError> {
    let start = out.len();
    if value.is_ascii() {
        out.extend(
            value
                .iter()
                .filter(|byte| matches!(byte, b'!'..=b'~') && !dropped(char::from(**byte)))
                .map(u8::to_ascii_lowercase),
        );
    } else {
        let mut current = normalize(value, Case::Fold)?.into_owned();
        for _ in 0..PASSES_MAX {
            // What stood apart may combine once the punctuation between is gone.
            let kept: String = current.chars().filter(|&c| !dropped(c)).collect();
            let next = settle(&kept, Case::Fold).into_owned();
            if next == current {
                break;
            }
            current = next;
        }
        out.extend_from_slice(current.as_bytes());
    }
    if out.len() == start {
        out.push(b' ');
    }
    Ok(())
}

#[cfg(test)]
mod tests;
