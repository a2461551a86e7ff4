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
//!
//! Telephone numbers are compared by their last digits: what stands before (plus sign, country, trunk zero) depends on
//! where one calls from.
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

/// The keys of one word.
pub type WordKeys = Vec<Vec<u8>>;

/// Whether values under this rule are texts that `~=` compares word by word.
pub fn is_spoken(rule: MatchingRule) -> bool {
    matches!(rule, MatchingRule::CaseIgnoreMatch | MatchingRule::CaseIgnoreIa5Match | MatchingRule::CaseIgnoreListMatch)
}

/// The keys of nearness of a prepared value, word by word; of a telephone number its last digits.
pub fn near_keys(rule: MatchingRule, prepared: &[u8]) -> Vec<WordKeys> {
    if rule == MatchingRule::TelephoneNumberMatch {
        return telephone_tail(prepared).map(|tail| vec![tail.to_vec()]).into_iter().collect();
    }
    if is_spoken(rule) { words_of(prepared) } else { Vec::new() }
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

/// Whether a number as somebody dials it means the international number `whole`, which begins with a plus sign: the
/// digits are its last ones, a trunk zero or an exit code (`00`) before them left out. Both are prepared.
pub fn dials(dialled: &[u8], whole: &[u8]) -> bool {
    let Some(whole) = whole.strip_prefix(b"+") else { return false };
    if telephone_tail(dialled).is_none() || dialled.starts_with(b"+") {
        return false;
    }
    let zeros = dialled.iter().take_while(|digit| **digit == b'0').count().min(2);
    // In some countries the zero belongs to the number.
    (0..=zeros)
        .any(|cut| dialled.get(cut..).is_some_and(|rest| rest.len() >= TELEPHONE_TAIL_DIGITS && whole.ends_with(rest)))
}

fn words_of(prepared: &[u8]) -> Vec<WordKeys> {
    let text = String::from_utf8_lossy(prepared);
    let mut words = Vec::new();
    for word in text.split(is_separator).filter(|word| !word.is_empty()) {
        if words.len() >= WORDS_MAX {
            break;
        }
        if word.is_ascii() {
            words.push(vec![sound_of(word.as_bytes())]);
            continue;
        }
        let latin = any_ascii::any_ascii(word);
        if word.chars().all(is_latin) {
            words.push(vec![sound_of(latin.to_ascii_lowercase().as_bytes())]);
            continue;
        }
        let syllables = syllables_of(&latin);
        match syllables.as_slice() {
            [] => words.push(close_keys(word)),
            [one] => {
                let mut keys = close_keys(word);
                keys.push(sound_of(one.as_bytes()));
                words.push(keys);
            }
            many => words.extend(many.iter().map(|syllable| vec![sound_of(syllable.as_bytes())])),
        }
    }
    words.truncate(WORDS_MAX);
    words.retain_mut(|keys| {
        keys.retain(|key| !key.is_empty());
        !keys.is_empty()
    });
    words
}

/// What stands between words: ASCII punctuation, blanks, and the punctuation of other scripts.
fn is_separator(character: char) -> bool {
    (character.is_ascii() && !character.is_ascii_alphanumeric())
        || character.is_whitespace()
        || matches!(character, '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}')
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
        is_near(&words_of(assertion.as_bytes()), &words_of(value.as_bytes()))
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
        assert_eq!(telephone_tail(b"+4930123456"), Some(&b"0123456"[..]));
        assert_eq!(telephone_tail(b"555-hello"), None);
    }
}
