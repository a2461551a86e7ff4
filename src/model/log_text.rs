//! What a stranger sent, made fit to stand in a log line.
//!
//! DNs, filters and attribute names come from the network and end in log lines. A line break in one of them would forge
//! a line of its own, an escape sequence would act on the terminal of who reads it, a direction override would make it
//! read as something else, and a long one would fill the disk. So: one value, one piece of one line, of bounded length.

use std::fmt;

/// Longest piece of a value that is shown, in characters.
pub const LOG_CHARS_MAX: usize = 256;

/// A value as a log line may show it; writes at most about six times [`LOG_CHARS_MAX`] characters.
#[derive(Clone, Copy, Debug)]
pub struct LogText<'a>(&'a [u8]);

/// The value as a log line may show it: control characters, line separators and direction overrides become `\u....`,
/// bytes that are no UTF-8 become U+FFFD, and what is beyond [`LOG_CHARS_MAX`] characters is left out and counted.
///
/// Costs nothing until it is written.
pub fn escape_for_log<Text: AsRef<[u8]> + ?Sized>(text: &Text) -> LogText<'_> {
    LogText(text.as_ref())
}

/// True for characters that may not stand in a log line as they are.
///
/// Controls of ASCII and Latin-1, line and paragraph separators, marks and overrides of direction, and the
/// invisible characters beside them.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl fmt::Display for LogText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = 0;
        let mut bytes = 0;
        for chunk in self.0.utf8_chunks() {
            let broken = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
            let whole = chunk.valid().chars().map(|c| (c, c.len_utf8()));
            for (c, length) in whole.chain(broken.map(|c| (c, chunk.invalid().len()))) {
                if shown == LOG_CHARS_MAX {
                    return write!(f, "… ({} bytes more)", self.0.len() - bytes);
                }
                if is_unprintable(c) {
                    write!(f, "\\u{:04x}", u32::from(c))?;
                } else {
                    fmt::Write::write_char(f, c)?;
                }
                shown += 1;
                bytes += length;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_of_any_script_stays() {
        for text in ["", "uid=ann,dc=example,dc=com", "cn=渡辺 健二", "שפירא", "a\\b \"c\""] {
            assert_eq!(escape_for_log(text).to_string(), text);
        }
    }

    #[test]
    fn nothing_that_breaks_a_line_or_misleads_gets_through() {
        let hostile = "a\r\nb\0c\u{1b}[31md\u{202e}e\u{2028}f\u{85}g\u{feff}";
        let shown = escape_for_log(hostile).to_string();
        assert_eq!(shown, "a\\u000d\\u000ab\\u0000c\\u001b[31md\\u202ee\\u2028f\\u0085g\\ufeff");
        assert!(!shown.chars().any(is_unprintable));
        assert_eq!(escape_for_log(b"a\xffb\xe2\x82").to_string(), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn a_long_value_is_cut_and_counted() {
        let shown = escape_for_log(&"ä".repeat(1 << 20)).to_string();
        assert_eq!(shown, format!("{}… (2096640 bytes more)", "ä".repeat(LOG_CHARS_MAX)));
        assert_eq!(escape_for_log(&vec![0xff; LOG_CHARS_MAX]).to_string().chars().count(), LOG_CHARS_MAX);
    }
}
