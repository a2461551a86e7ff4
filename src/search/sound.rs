//! How words sound: the small code behind `~=`.
//!
//! RFC 4511 leaves the meaning of approxMatch to the server. Here a value matches when it is equal, or when every word
//! of the assertion sounds like a word of the value. The code is in the manner of Soundex, without its length limit
//! and without a fixed first letter: letters that are confused in European names become one (`d` and `t`, `c`, `k`
//! and `q`), vowels count only at the beginning, doubled sounds are one. Letters outside ASCII stay as they are.

/// The codes of the words of a prepared (folded) text, in order.
pub(super) fn sounds_of(prepared: &[u8]) -> Vec<Vec<u8>> {
    prepared
        .split(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(sound_of)
        .collect()
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
    fn words_are_coded_one_by_one() {
        assert_eq!(sounds_of(b"ann lee-smith").len(), 3);
        assert!(sounds_of(b" ").is_empty());
        assert_eq!(sounds_of("李".as_bytes()), ["李".as_bytes()]);
    }
}
