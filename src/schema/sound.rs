//! When two values are nearly equal: the keys behind `~=`, and numbers that a telephone means alike.
//!
//! RFC 4511 leaves the meaning of approxMatch to the server. Here a text matches when it is equal, or when every word
//! of the assertion has a key in common with a word of the value. The keys of a word:
//!
//! - how it sounds, in the manner of Soundex, without its length limit and without a fixed first letter: letters that
//!   are confused in European names become one (`d` and `t`, `c`, `k` and `q`), vowels count only at the beginning,
//!   doubled sounds are one. A word of another script is first written in Latin letters, so that `Mueller`, `Müller` and
//!   `Мюллер` are one name; of scripts that write a syllable a character each syllable is a word.
//! - of words of other scripts, which this says little about: the word itself and what it is without any one of its
//!   characters. Two words with such a key in common are one slip of the pen apart.
//! - of words with an apostrophe inside (`O'Connor`) those of the word without it, and those of its parts. Who asks for such
//!   a word means the whole or the longest part, so that `O'Connor` finds `Oconnor` and `O Connor`, and not `O'Brien`.
//!
//! Telephone numbers are compared by their last digits: what stands before (plus sign, country, trunk zero) depends on
//! where one calls from. An international number is the same with the trunk zero of its country and without, so that
//! `+4930…` and `+49 (0)30 …` mean one; not in countries where the zero belongs to the number, or none is dialled.
//!
//! Invariant: keys are a pure function of the prepared value; the index holds them (`dit::index_keys`).

use super::MatchingRule;

/// Digits by which telephone numbers are found: a subscriber's number is hardly longer, and no shorter one is a number
/// that people mean worldwide.
pub const TELEPHONE_TAIL_DIGITS: usize = 7;
/// Words of a value that have keys.
const WORDS_MAX: usize = 32;
/// Characters of a word from which one may be missing.
const CLOSE_CHARACTERS_MAX: usize = 12;
/// Shorter words than this have nothing to leave out.
const CLOSE_CHARACTERS_MIN: usize = 4;
/// Begins a key of spelling, which no sound begins with.
const SPELLED: u8 = 1;
/// A key of sound ends here.
const SOUND_BYTES_MAX: usize = 48;
/// Parts of a word with apostrophes that have keys of their own.
const PARTS_MAX: usize = 4;
/// Country codes of two digits (ITU-T E.164, list of assigned codes); those of one are 1 and 7, all others have three.
const COUNTRIES_OF_TWO: [&[u8; 2]; 44] = [
    b"20", b"27", b"30", b"31", b"32", b"33", b"34", b"36", b"39", b"40", b"41", b"43", b"44", b"45", b"46", b"47",
    b"48", b"49", b"51", b"52", b"53", b"54", b"55", b"56", b"57", b"58", b"60", b"61", b"62", b"63", b"64", b"65",
    b"66", b"81", b"82", b"84", b"86", b"90", b"91", b"92", b"93", b"94", b"95", b"98",
];
/// Where a zero behind the country code belongs to the number: Italy, Côte d'Ivoire, Gabon, Congo, San Marino.
const ZERO_BELONGS: [&[u8]; 5] = [b"39", b"225", b"241", b"242", b"378"];

/// The keys of one word.
pub type WordKeys = Vec<Vec<u8>>;

/// Whether values under this rule are texts that `~=` compares word by word.
pub fn is_spoken(rule: MatchingRule) -> bool {
    matches!(rule, MatchingRule::CaseIgnoreMatch | MatchingRule::CaseIgnoreIa5Match | MatchingRule::CaseIgnoreListMatch)
}

/// The keys of nearness of a prepared value, word by word; of a telephone number its last digits.
pub fn near_keys(rule: MatchingRule, prepared: &[u8]) -> Vec<WordKeys> {
    if rule == MatchingRule::TelephoneNumberMatch {
        let other = other_form(prepared);
        let forms = std::iter::once(prepared).chain(other.as_deref());
        let mut tails: WordKeys = forms.filter_map(telephone_tail).map(<[u8]>::to_vec).collect();
        tails.dedup();
        return vec![tails];
    }
    if is_spoken(rule) { words_of(prepared, PARTS_MAX) } else { Vec::new() }
}

/// The keys of a prepared text that is asked for, word by word, for [`is_near`].
pub fn asked_keys(rule: MatchingRule, prepared: &[u8]) -> Vec<WordKeys> {
    if is_spoken(rule) { words_of(prepared, 1) } else { Vec::new() }
}

/// Whether every word of the assertion is near a word of the value. No words are near nothing.
pub fn is_near(assertion: &[WordKeys], value: &[WordKeys]) -> bool {
    let near = |wanted: &WordKeys| value.iter().any(|word| word.iter().any(|key| wanted.contains(key)));
    !assertion.is_empty() && assertion.iter().all(near)
}

/// The last digits of a prepared telephone number; `None` when it has fewer.
pub fn telephone_tail(prepared: &[u8]) -> Option<&[u8]> {
    let digits = prepared.strip_prefix(b"+").unwrap_or(prepared);
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.len().checked_sub(TELEPHONE_TAIL_DIGITS).and_then(|at| digits.get(at..))
}

/// Whether a number as somebody dials it means the international number `number`, which begins with a plus sign: the
/// digits are its last ones, a trunk zero or an exit code (`00`) before them left out. Both are prepared.
pub fn dials(dialled: &[u8], number: &[u8]) -> bool {
    let Some(whole) = number.strip_prefix(b"+") else { return false };
    if telephone_tail(dialled).is_none() || dialled.starts_with(b"+") {
        return false;
    }
    let zeros = dialled.iter().take_while(|digit| **digit == b'0').count().min(2);
    // In some countries the zero belongs to the number.
    let ends_so = |whole: &[u8]| {
        let mut rests = (0..=zeros).filter_map(|cut| dialled.get(cut..));
        rests.any(|rest| rest.len() >= TELEPHONE_TAIL_DIGITS && whole.ends_with(rest))
    };
    ends_so(whole) || other_form(number).is_some_and(|other| ends_so(other.get(1..).unwrap_or_default()))
}

/// An international number, or the beginning of one, without the trunk zero behind its country code, or else with it: as
/// other people write the same (`+49 (0)30`). Prepared. `None`: there is one form alone.
pub fn other_form(number: &[u8]) -> Option<Vec<u8>> {
    let digits = number.strip_prefix(b"+")?;
    let code = match digits {
        // No zero is dialled there.
        [b'1' | b'7', ..] => return None,
        [first, second, ..] if COUNTRIES_OF_TWO.contains(&&[*first, *second]) => 2,
        _ => 3,
    };
    let (country, rest) = digits.split_at_checked(code)?;
    if ZERO_BELONGS.contains(&country) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (zero, rest): (&[u8], _) = match rest {
        [] | [b'0'] => return None,
        [b'0', rest @ ..] => (b"", rest),
        _ => (b"0", rest),
    };
    Some([b"+", country, zero, rest].concat())
}

/// The keys of each word. Of one with apostrophes so many parts have keys of their own, the longest first.
fn words_of(prepared: &[u8], parts_max: usize) -> Vec<WordKeys> {
    let text = String::from_utf8_lossy(prepared);
    let mut words = Vec::new();
    for word in text.split(is_separator) {
        if words.len() >= WORDS_MAX {
            break;
        }
        if word.chars().all(is_apostrophe) {
            continue;
        }
        let mut parts: Vec<&str> = word.split(is_apostrophe).filter(|part| !part.is_empty()).collect();
        let mut keys = keys_of(&parts.concat());
        if let ([whole], true) = (keys.as_mut_slice(), parts.len() > 1) {
            parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
            whole.extend(parts.iter().take(parts_max).flat_map(|part| keys_of(part)).flatten());
        }
        words.extend(keys);
    }
    words.truncate(WORDS_MAX);
    words.retain_mut(|keys| {
        keys.retain(|key| !key.is_empty());
        !keys.is_empty()
    });
    words
}

/// The keys of a word without apostrophes; of a script that writes syllables, of each.
fn keys_of(word: &str) -> Vec<WordKeys> {
    if word.is_ascii() {
        return vec![vec![sound_of(word.as_bytes())]];
    }
    let latin = any_ascii::any_ascii(word);
    if word.chars().all(is_latin) {
        return vec![vec![sound_of(latin.to_ascii_lowercase().as_bytes())]];
    }
    let syllables = syllables_of(&latin);
    match syllables.as_slice() {
        [] => vec![close_keys(word)],
        [one] => {
            let mut keys = close_keys(word);
            keys.push(sound_of(one.as_bytes()));
            vec![keys]
        }
        many => many.iter().map(|syllable| vec![sound_of(syllable.as_bytes())]).collect(),
    }
}

/// What stands between words: ASCII punctuation, blanks, and the punctuation of other scripts.
fn is_separator(character: char) -> bool {
    if is_apostrophe(character) {
        return false;
    }
    (character.is_ascii() && !character.is_ascii_alphanumeric())
        || character.is_whitespace()
        || matches!(character, '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}')
}

/// What people write as an apostrophe.
fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '`' | '\u{2018}' | '\u{2019}' | '\u{2bb}' | '\u{2bc}')
}

fn is_latin(character: char) -> bool {
    matches!(character, '\0'..='\u{24f}' | '\u{300}'..='\u{36f}' | '\u{1e00}'..='\u{1eff}')
}

/// The transliteration of a folded word; it has a capital at each syllable where a character is one.
fn syllables_of(latin: &str) -> Vec<String> {
    let mut syllables: Vec<String> = Vec::new();
    for character in latin.chars().filter(char::is_ascii_alphanumeric) {
        match syllables.last_mut() {
            Some(syllable) if !character.is_ascii_uppercase() => syllable.push(character),
            _ => syllables.push(character.to_ascii_lowercase().to_string()),
        }
    }
    syllables
}

/// The word, and the word without any one of its characters.
fn close_keys(word: &str) -> WordKeys {
    let characters: Vec<char> = word.chars().take(CLOSE_CHARACTERS_MAX).collect();
    let spelled = |text: String| [&[SPELLED], text.as_bytes()].concat();
    let mut keys = vec![spelled(characters.iter().collect())];
    if characters.len() >= CLOSE_CHARACTERS_MIN {
        for gap in 0..characters.len() {
            let rest = characters.iter().enumerate().filter(|(at, _)| *at != gap).map(|(_, character)| *character);
            keys.push(spelled(rest.collect()));
        }
    }
    keys
}

fn sound_of(word: &[u8]) -> Vec<u8> {
    let mut code: Vec<u8> = Vec::with_capacity(word.len());
    let mut rest = word;
    let mut last = 0;
    while let Some((&byte, after)) = rest.split_first() {
        let (sound, used) = match rest {
            [b'p', b'h', ..] => (b'f', 2),
            [b's', b'c', b'h', ..] => (b's', 3),
            [b'c', b'k', ..] | [b'c', b'h', ..] => (b'k', 2),
            _ => (sound(byte), 1),
        };
        let silent = sound == b'a' || sound == b'h';
        if (code.is_empty() || !silent) && (sound != last || !byte.is_ascii_alphabetic()) {
            code.push(sound);
        }
        last = sound;
        rest = rest.get(used..).unwrap_or(after);
    }
    code.truncate(SOUND_BYTES_MAX);
    code
}

fn sound(letter: u8) -> u8 {
    match letter {
        b'a' | b'e' | b'i' | b'o' | b'u' | b'y' | b'j' => b'a',
        b'b' | b'p' => b'p',
        b'd' | b't' => b't',
        b'c' | b'g' | b'k' | b'q' | b'x' => b'k',
        b'f' | b'v' | b'w' => b'f',
        b'm' | b'n' => b'n',
        b's' | b'z' => b's',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(assertion: &str, value: &str) -> bool {
        let rule = MatchingRule::CaseIgnoreMatch;
        is_near(&asked_keys(rule, assertion.as_bytes()), &near_keys(rule, value.as_bytes()))
    }

    #[test]
    fn names_that_are_confused_sound_alike() {
        for (one, other) in [
            ("meyer", "maier"),
            ("schmidt", "schmitt"),
            ("stephan", "stefan"),
            ("catherine", "kathrin"),
            ("filip", "phillip"),
        ] {
            assert_eq!(sound_of(one.as_bytes()), sound_of(other.as_bytes()), "{one} {other}");
        }
        assert_ne!(sound_of(b"miller"), sound_of(b"meyer"));
    }

    #[test]
    fn every_word_of_the_assertion_is_near_one_of_the_value() {
        assert!(near("meyer", "anna maier"));
        assert!(near("smyth anne", "ann lee-smith"));
        assert!(!near("meyer bob", "anna maier"));
        assert!(!near("", "anna"));
        assert!(!near("- '", "anna"));
    }

    #[test]
    fn an_apostrophe_inside_a_word_belongs_to_it() {
        for value in ["pat o'connor", "pat o’connor", "pat oʼconnor", "pat o`connor"] {
            for found in ["oconnor", "o'connor", "o’connor", "connor", "o connor", "pat 'oconnor'"] {
                assert!(near(found, value), "{found} {value}");
            }
            assert!(!near("o'brien", value) && !near("brien", value), "{value}");
        }
        assert!(near("o'connor", "pat oconnor") && near("o'connor", "o connor") && near("d'angelo", "angelo"));
        assert!(near("smith", "smith's") && near("rocknroll", "rock'n'roll") && near("лукяненко", "лук'яненко"));
        assert!(near("лук’яненко", "лукяненко") && near("яненко", "лук'яненко"));
        assert!(!near("o'connor", "o'brien"), "the letter that both have says nothing");
        let long = "a'".repeat(4_096);
        assert!(words_of(long.as_bytes(), PARTS_MAX).iter().flatten().count() <= 1 + PARTS_MAX);
    }

    #[test]
    fn scripts_are_crossed() {
        for (one, other) in [("mueller", "müller"), ("müller", "мюллер"), ("petrov", "петров"), ("özil", "oezil")]
        {
            assert!(near(one, other), "{one} {other}");
            assert!(near(other, one), "{other} {one}");
        }
        assert!(near("li", "李小龙") && near("小龙", "李小龙") && near("xiao long", "李小龙"));
        assert!(!near("wang", "李小龙"));
    }

    #[test]
    fn other_scripts_forgive_one_slip() {
        // Two letters changed places, one is missing, one is another.
        for slip in ["петорв", "перов", "бетров"] {
            assert!(near(slip, "петров"), "{slip}");
        }
        assert!(!near("иванов", "петров"));
    }

    #[test]
    fn a_number_dialled_means_the_international_one_that_ends_so() {
        let whole = b"+155501099";
        assert!(dials(b"5501099", whole) && dials(b"155501099", whole));
        assert!(!dials(b"501099", whole), "too short to mean one number");
        assert!(!dials(b"+55501099", whole), "another country");
        assert!(!dials(b"5501098", whole));
        assert!(dials(b"030123456", b"+4930123456") && dials(b"004930123456", b"+4930123456"));
        assert!(!dials(b"5501099", b"5501099"), "equality says this");
        assert!(dials(b"004930123456", b"+49030123456") && dials(b"0301234", b"+49301234"));
        assert_eq!(telephone_tail(b"+4930123456"), Some(&b"0123456"[..]));
        assert_eq!(telephone_tail(b"555-hello"), None);
    }

    #[test]
    fn an_international_number_has_a_form_with_the_trunk_zero_and_one_without() {
        for (one, other) in [("+4930123", "+49030123"), ("+353861", "+3530861"), ("+493", "+4903")] {
            assert_eq!(other_form(one.as_bytes()).as_deref(), Some(other.as_bytes()), "{one}");
            assert_eq!(other_form(other.as_bytes()).as_deref(), Some(one.as_bytes()), "{other}");
        }
        for alone in ["+15550100", "+79161234567", "+39061234", "+390612", "4930123", "+49", "+490", "+49abc", "+", ""]
        {
            assert_eq!(other_form(alone.as_bytes()), None, "{alone}");
        }
        // A number of the town alone is found by its last digits in either form.
        let tails = near_keys(MatchingRule::TelephoneNumberMatch, b"+490301234");
        assert_eq!(tails, [[b"0301234".to_vec(), b"9301234".to_vec()]]);
        assert_eq!(near_keys(MatchingRule::TelephoneNumberMatch, b"+4930123456"), [[b"0123456".to_vec()]]);
    }
}
