use proptest::prelude::*;

use super::*;

fn folded(value: &str) -> String {
    let mut out = Vec::new();
    prepare(value.as_bytes(), Case::Fold, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn exact(value: &str) -> String {
    let mut out = Vec::new();
    prepare(value.as_bytes(), Case::Exact, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn part(value: &str, part: SubstringPart) -> String {
    let mut out = Vec::new();
    prepare_part(value.as_bytes(), Case::Fold, part, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn capitals_and_blanks_do_not_matter() {
    assert_eq!(folded("  Ann \t  LEE\r\n"), "ann lee");
    assert_eq!(exact("  Ann \t  LEE\r\n"), "Ann LEE");
    assert_eq!(folded(""), " ");
    assert_eq!(folded(" \u{3000} \u{a0}"), " ");
}

#[test]
fn folding_is_full_and_independent_of_language() {
    assert_eq!(folded("Straße"), folded("STRASSE"));
    assert_eq!(folded("İstanbul"), "i\u{307}stanbul");
    assert_eq!(folded("ΣΊΣΥΦΟΣ"), folded("σίσυφος"));
    assert_eq!(folded("ŁÓDŹ"), "łódź");
    assert_eq!(folded("ᏣᎳᎩ"), folded("ꮳꮃꭹ"));
    assert_ne!(exact("Straße"), exact("STRASSE"));
}

#[test]
fn compatibility_forms_are_one() {
    assert_eq!(folded("e\u{301}"), "é");
    assert_eq!(folded("ﬁx"), "fix");
    assert_eq!(folded("ＡＢＣ １２"), "abc 12");
    assert_eq!(folded("Acme™"), "acmetm");
    assert_eq!(exact("℡"), "TEL");
    assert_eq!(folded("한글"), folded("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"));
}

/// RFC 4518 2.2.
#[test]
fn characters_mapped_to_nothing_vanish() {
    for nothing in [
        "\u{0}",
        "\u{7f}",
        "\u{ad}",
        "\u{34f}",
        "\u{180b}",
        "\u{200b}",
        "\u{200d}",
        "\u{2060}",
        "\u{fe0f}",
        "\u{feff}",
        "\u{fffc}",
        "\u{e0001}",
        "\u{e0100}",
    ] {
        assert_eq!(folded(&format!("co{nothing}op")), "coop", "{nothing:?}");
    }
    for blank in ["\u{a}", "\u{85}", "\u{a0}", "\u{1680}", "\u{2003}", "\u{2028}", "\u{202f}", "\u{3000}"] {
        assert_eq!(folded(&format!("co{blank}op")), "co op", "{blank:?}");
    }
}

/// RFC 4518 2.4.
#[test]
fn prohibited_characters_are_named() {
    let mut out = b"before".to_vec();
    for (text, code) in
        [("a\u{e000}", 0xe000), ("\u{fffd}", 0xfffd), ("x\u{1fffe}", 0x1_fffe), ("\u{10fffd}", 0x10_fffd)]
    {
        let error = prepare(text.as_bytes(), Case::Fold, &mut out).unwrap_err();
        assert_eq!(error, PrepareError::Prohibited(code));
    }
    assert_eq!(prepare(b"ab\xff", Case::Exact, &mut out), Err(PrepareError::NotUtf8));
    assert_eq!(out, b"before");
}

/// RFC 4518 2.6.1.
#[test]
fn a_blank_under_a_combining_mark_is_significant() {
    assert_eq!(folded("a  \u{301}b"), "a  \u{301}b");
    assert_eq!(folded(" \u{301}"), " \u{301}");
}

#[test]
fn blanks_at_the_edges_of_parts_count_once() {
    assert_eq!(part("a  b", SubstringPart::Any), "a b");
    assert_eq!(part("  ann  ", SubstringPart::Initial), "ann ");
    assert_eq!(part("  ann  ", SubstringPart::Any), " ann ");
    assert_eq!(part("  ann  ", SubstringPart::Last), " ann");
    assert_eq!(part("  jörg  ", SubstringPart::Any), " jörg ");
    assert_eq!(part("   ", SubstringPart::Any), " ");
}

#[test]
fn numbers_lose_what_people_put_between_digits() {
    let telephone = |value: &str| {
        let mut out = Vec::new();
        prepare_telephone(value.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(telephone("+1 (555) 123-45.67"), "+15551234567");
    assert_eq!(telephone("+49 30/12 34–5‑6"), "+4930123456");
    assert_eq!(telephone("１２ ３４ X"), "1234x");
    assert_eq!(telephone("-"), " ");
    let mut out = Vec::new();
    prepare_numeric(b" 15 079 672 281 ", &mut out).unwrap();
    assert_eq!(out, b"15079672281");
}

/// Text in which the interesting characters are frequent.
fn interesting() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => proptest::char::range(' ', '~'),
        2 => Just(' '),
        1 => proptest::char::range('\u{0}', '\u{2ff}'),
        1 => proptest::char::range('\u{300}', '\u{36f}'),
        1 => proptest::char::range('\u{1e00}', '\u{214f}'),
        1 => proptest::char::range('\u{fb00}', '\u{ffff}'),
        2 => any::<char>(),
    ];
    proptest::collection::vec(character, 0..24).prop_map(|characters| characters.into_iter().collect())
}

type Form = fn(&[u8], &mut Vec<u8>) -> Result<(), PrepareError>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn preparing_twice_is_preparing_once(text in interesting()) {
        for case in [Case::Fold, Case::Exact] {
            let mut once = Vec::new();
            if prepare(text.as_bytes(), case, &mut once).is_ok() {
                let mut twice = Vec::new();
                prop_assert!(prepare(&once, case, &mut twice).is_ok());
                prop_assert_eq!(&once, &twice);
                prop_assert!(!once.is_empty());
            }
        }
        for form in [prepare_numeric, prepare_telephone] as [Form; 2] {
            let mut once = Vec::new();
            if form(text.as_bytes(), &mut once).is_ok() {
                let mut twice = Vec::new();
                prop_assert!(form(&once, &mut twice).is_ok());
                prop_assert_eq!(&once, &twice);
            }
        }
    }

    #[test]
    fn the_quick_pass_over_ascii_agrees_with_the_whole_way(text in "[\\x00-\\x7f]{0,24}") {
        for case in [Case::Fold, Case::Exact] {
            for edges in [Edges::VALUE, Edges::of(SubstringPart::Initial), Edges::of(SubstringPart::Any), Edges::of(SubstringPart::Last)] {
                let mut quick = Vec::new();
                prop_assert!(prepare_ascii(text.as_bytes(), case, edges, &mut quick));
                let mut whole = Vec::new();
                squeeze(&normalize(text.as_bytes(), case).unwrap(), edges, &mut whole);
                prop_assert_eq!(quick, whole);
            }
        }
    }

    #[test]
    fn what_a_value_begins_with_is_said_rightly(text in "[a-cA-C \\x01\u{301}\u{ad}\u{20d0}éß\u{fb01}]{0,10}") {
        for case in [Case::Fold, Case::Exact] {
            let (mut whole, mut beginning) = (Vec::new(), Vec::new());
            prepare_beginning(text.as_bytes(), case, &mut beginning);
            if prepare(text.as_bytes(), case, &mut whole).is_ok() {
                prop_assert!(whole.starts_with(&beginning), "{:?} {:?}", whole, beginning);
            }
        }
    }

    #[test]
    fn a_piece_of_a_value_is_found_in_it(text in "[a-cA-C][ a-cA-C]{0,12}[a-cA-C]", from in 0_usize..14, to in 0_usize..14) {
        let (from, to) = (from.min(text.len()), to.min(text.len()));
        if from < to {
            let key = folded(&text);
            prop_assert!(key.contains(&part(&text[from..to], SubstringPart::Any)));
            prop_assert!(key.starts_with(&part(&text[..to], SubstringPart::Initial)));
            prop_assert!(key.ends_with(&part(&text[from..], SubstringPart::Last)));
        }
    }

    #[test]
    fn bytes_of_any_kind_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
        let mut out = Vec::new();
        let _ = prepare(&bytes, Case::Fold, &mut out);
        let _ = prepare_telephone(&bytes, &mut out);
    }
}
