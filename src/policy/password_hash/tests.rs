//! The stored values below were written by the programs that people move from: `slappasswd` of OpenLDAP 2.5 with
//! its sha2, pbkdf2 and argon2 modules, `pwdhash` of 389-DS 2.3, `htpasswd` of Apache, crypt(3) of libxcrypt. Those of OpenDJ
//! were computed from its description: iterations, then hash and salt in one.

use super::*;
use proptest::prelude::*;

const PASSWORD: &[u8] = "Grüße, 42".as_bytes();

/// One value of each scheme and program, all of [`PASSWORD`]; the cheap ones first.
const REAL: &[&str] = &[
    "{SSHA}RVrYKa6nAv9eazYhtJfw4AgxI+eT06Ch",
    "{SHA}knaDm2UsLtvnTVtH/oKCFsv/on4=",
    "{SMD5}NRR1Nr18nBkJD41H/Zlsj7xU7dM=",
    "{MD5}uA+8ovutISXKPBOKr2nFSg==",
    "{SSHA256}yDEVFf/Nj8NuKBQT0nF4H04il2ckBxLnl11RAT7zVNyemNDQH0mB0g==",
    "{SSHA384}jYejxhGvl6dDQF43hA7X5k/Z10IycazCRevbcSKzt/5YUv2GSghVBDg5a3XXkW+H5S03Me358a4=",
    "{SSHA512}3SY3GvTjTMldr/5hTeAL2Hjv9vrM44Ifyl22uyKgqwSzBkj/8LvXiVVtaGSPIsKVCa8Rcc1e9YhWhCSvaHtQleu2wtM0KJ3H",
    "{SHA256}K6PH540SGMeYppF5nbo4CL3V5TMljF2xdFgB3CZm6Cc=",
    "{SHA384}qDO6oN3kPtZ16+3n/qG+6XqGY9Qp4aikCOyp2golwF+9Kp82DFKOQU/QEOFlDd9L",
    "{SHA512}ToB7sbvfYwg0Etx1x1Kvl39zJclCn+uVpsg8A39h+luWb8y9a/maXeHqicvzxOn6Uwd2eNUTrdgGCVbDKZ64nA==",
    "{SSHA512}9ptPKWlJIPvVhUbC1klY7leWxaduPO7TFD4ntewg+G4iZEeJNxevtDkSNCM2fLzwbcjB36XM9VVQ2P18L8GYPbP3Yr0ayqJA",
    "{SMD5}8RuAzVF5HB9fU1XV5gMgDV7JDwE=",
    "{PBKDF2}10000$ZxZzgGSSgX6TxgBKTR0gLw$Ft5G0rZwGbnSILYx/7LzobJO1eQ",
    "{PBKDF2-SHA1}10000$UNp9K0I6VhjqQSW3AFgQbw$.1Em7h3.zftWgT6M8espcSMM0Eg",
    "{PBKDF2-SHA256}10000$7F6VOCVVJqZeAxuGv2WuvQ$Lv5OkhJkinJwnQ2BjmbxqI0R1YOPuze9Rh/uKaaX/LA",
    "{PBKDF2-SHA512}10000$wr00ONTr8.bBKLeQaRPIpg$Hef2R1OeqLOeTD2CcDm6u6tYJtE3f7QrqbDzG292tJYrV0QleNiMfmc.JRaGpRm62umODobjelgEco3HyfBv3A",
    "{PBKDF2-SHA1}10000$/wVjQ4yupDJLzquTlrdvS5ZpEUhMZlUo$Bf1hVE159IE0NpjtOAs6/9JarLw=",
    "{PBKDF2-SHA256}10000$SkQ1uzPfOgJdeHhl2Gqzbr0oRgXYiUJl$cFRN4ng5qVuRwHZUs4aceJAnXNwitNOg83n8vAnPFjE=",
    "{PBKDF2-SHA512}10000$oJV5GIuejnorNu5URwAFBwidSBogJy4x$z4cMKSZbS8iAsPBG2hJ4cLZFzNDVR0zQ2k39OwCMNvWeYcArKtEVvyxdWls0PmrwVF/zlfJUPq/JEJhLl67EOA==",
    "{PBKDF2_SHA256}AAAgAEJtisTApY2bixi25vKeH1vHiYNUByzymdG+z/8AETMLw+icJvdvOXjBSu9jSpXH0QBxHblTdwxZQjxyiF1o7z/cYPc6JMqdRatZHWp2jI8ALn09O/jh3xmvifZPnWm1quFA33p6KaKrXBey70BrVA4kFadWUNSVPSmzoRTDVSGZBRpJ0xE9+9kQcE5DTXUo7kTrNgl2bVs16fZo6K+m8zkP/dujE3mJ+AtLFwgssTPd/7apc0lqiW181DpsKC+agVkor+DldpZ+iabjIJwzV9kiXooooEEKccijPS38WLwpK7CUr0E4xXlkDKkeWnBOR2Un3BcRPkKTIVmnzARtzLdHPnuEpObQuPkp2H6kMy3RY80IqQrO7QP8M3+6B47eWl8/swcBikPw3xt2HbE8erW7Gl/Z2SNIuY0QbA/FyS6U",
    "{ARGON2}$argon2i$v=19$m=4096,t=3,p=1$05YgtzQTcI72NZJ1PgNRbw$79LFZqJK6W6wQmhVCAkCp6ruSxpl8LZ+gXg55+8eI5k",
    "{ARGON2}$argon2i$v=19$m=64,t=3,p=2$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik",
    "{CRYPT}$5$47O4R2Ckuhnfir2X$hSW6Zj.2u/NVgPzi0bqzBA/avec/6QEAyfUBceSSOK1",
    "{CRYPT}$6$p3EQrD/wvcHh0QXg$FGCn.5ylgWupDQywWrusA.hHoBZfBmRRuesFZbKRtPUsc2sp6wpSLfhGd/8A/f2hfZXJ8PK65suWLQXPXokoN1",
    "{CRYPT}$6$rounds=10000$I/xb7Zl9UvJs$WuHEkWSvj56kNdoAcd8xDUjGen12s51oYYmQigxQ5mCVw4QmWJZPPIsDsEHnZrOS9gZ7OQW6kT8yIc5zgdtmo.",
    "{CRYPT}$2b$05$aayEWpWAXYVrIo.nhbMuUOBciJXaawbFrpsRorI95NrNhPt14vIZa",
    "{CRYPT}$2a$05$nodZxnmdERm1Z0fNiM.ofOTDzVAEkewLqi4rXMr0S.JOpRQp4hEeK",
    "{CRYPT}$2y$05$VaZRcnyTXaHlvjTyZ0SyQ.vnT8uyBkUdFA6jpiJUqkBSiIFSG8myW",
    "{crypt}$6$qo$p0q6hfOjiHziR6SNifycCKytVCNDU/AGNcubEUqANiFc9UAMiha469r2wawPyJzsEU7LnPQoA0OHo.4..Lm15/",
    "{crypt}$5$BU$gIBidxYQILf6M9EA48gITYwhsIzIUTE4hDtJEVJh5d7",
    "{BCRYPT}$2y$05$NUe/t5VUOPCVsHhVrqaYfelXP/3dSb4RRtsCTCX5TY.QU2y6c9vYG",
];

#[test]
fn real_values_of_every_scheme_fit_their_password_and_no_other() {
    for stored in REAL {
        assert_eq!(verify(stored.as_bytes(), PASSWORD), Verdict::Match, "{stored}");
        assert_eq!(verify(stored.as_bytes(), b"Gruesse, 42"), Verdict::Mismatch, "{stored}");
        assert_eq!(verify(stored.as_bytes(), b""), Verdict::Mismatch, "{stored}");
        assert!(is_hashed(stored.as_bytes()), "{stored}");
        assert!(needs_rehash(stored.as_bytes()), "{stored}");
    }
}

#[test]
fn scheme_names_are_read_in_any_case() {
    for stored in REAL.iter().take(14) {
        let end = stored.find('}').unwrap();
        let swapped = format!("{}{}", stored[..end].to_ascii_lowercase(), &stored[end..]);
        assert_eq!(verify(swapped.as_bytes(), PASSWORD), Verdict::Match, "{swapped}");
    }
}

/// 389-DS CVE-2024-5953 and CVE-2021-3652: malformed and truncated hashes must not let anybody in.
#[test]
fn truncated_values_never_match() {
    for stored in REAL {
        let stored = stored.trim_end_matches('=');
        let scheme_end = stored.find('}').unwrap() + 1;
        let kept = [scheme_end, scheme_end + 1, stored.len() / 2, stored.len() - 8, stored.len() - 4, stored.len() - 2];
        for end in kept {
            let cut = &stored[..end.clamp(scheme_end, stored.len() - 2)];
            assert_ne!(verify(cut.as_bytes(), PASSWORD), Verdict::Match, "{cut}");
            assert_ne!(verify(cut.as_bytes(), b""), Verdict::Match, "{cut}");
        }
    }
}

/// T-28.
#[test]
fn malformed_and_unknown_values_are_unusable() {
    let cases: &[&str] = &[
        "{CRYPT}*",
        "{CRYPT}",
        "{CRYPT}!",
        "{CRYPT}iWGzS2uP/4kxU",
        "{CRYPT}$1$abcdefgh$0123456789abcdefghijkl",
        "{CRYPT}$6$",
        "{CRYPT}$y$",
        "{CRYPT}$y$j9T$abcdefghijklmnop$",
        "{CRYPT}$y$j9T$$vj93jlfoZpeSB5S.hxXSQfutrRqkv97kmrbbWuDZ6N9",
        "{CRYPT}$y$j9T$abcdefghijklmnop$vj93jlfoZpeSB5S.hxXSQfutrRqkv97kmrbbWuDZ6N",
        "{CRYPT}$y$j9TZ$abcdefghijklmnop$vj93jlfoZpeSB5S.hxXSQfutrRqkv97kmrbbWuDZ6N9",
        "{CRYPT}$y$.9T$abcdefghijklmnop$vj93jlfoZpeSB5S.hxXSQfutrRqkv97kmrbbWuDZ6N9",
        "{CRYPT}$gy$j9T$abcdefghijklmnop$XkIrLwGjlI6IVzyxYj2IPv2mXGNCBgifrfivXExSji1",
        "{CRYPT}$7$CU..../....",
        "{CRYPT}$7$CU........./....abcdefghijkl$d62CzYjYxDgOZgeJPtCkJwetQx1cbkxLONNlSqXh/k4",
        "{PBKDF2}10000:",
        "{PBKDF2}10000:AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "{PBKDF2}0:rSiM5fnO8bjJ5kTYBnbbQuuiZ7kAAQIDBAUGBw==",
        "{PBKDF2}:rSiM5fnO8bjJ5kTYBnbbQuuiZ7kAAQIDBAUGBw==",
        "{CRYPT}$6$salt$",
        "{CRYPT}$6$rounds=abc$salt$FGCn",
        "{CRYPT}$2x$05$VaZRcnyTXaHlvjTyZ0SyQ.vnT8uyBkUdFA6jpiJUqkBSiIFSG8myW",
        "{BCRYPT}$2b$05$tooshort",
        "{SSHA}",
        "{SSHA}====",
        "{SSHA}knaDm2UsLtvnTVtH/oKCFsv/on4=",
        "{SHA}not base64 at all",
        "{SHA}RVrYKa6nAv9eazYhtJfw4AgxI+eT06Ch",
        "{MD5}",
        "{PBKDF2-SHA256}",
        "{PBKDF2-SHA256}10000$$",
        "{PBKDF2-SHA256}0$7F6VOCVVJqZeAxuGv2WuvQ$Lv5OkhJkinJwnQ2BjmbxqI0R1YOPuze9Rh/uKaaX/LA",
        "{PBKDF2-SHA256}-1$7F6VOCVVJqZeAxuGv2WuvQ$Lv5OkhJkinJwnQ2BjmbxqI0R1YOPuze9Rh/uKaaX/LA",
        "{ARGON2}",
        "{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$$",
        "{ARGON2}$argon2id$v=18$m=64,t=3,p=2$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik",
        "{ARGON2}$argon2id$v=19$m=64,t=0,p=0$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik",
        "{SASL}ann@EXAMPLE.COM",
        "{X-NEW-SCHEME}Grüße, 42",
    ];
    for stored in cases {
        assert_eq!(verify(stored.as_bytes(), PASSWORD), Verdict::Unusable, "{stored}");
        assert_eq!(verify(stored.as_bytes(), b""), Verdict::Unusable, "{stored}");
    }
    assert_eq!(verify(b"{SSHA}\xff\xfe", PASSWORD), Verdict::Unusable);
    assert_eq!(verify(&[b'a'; STORED_BYTES_MAX + 1], &[b'a'; STORED_BYTES_MAX + 1]), Verdict::Unusable);
}

/// T-29: 389-DS CVE-2026-11790: the cost inside a stored value is a number that somebody wrote.
#[test]
fn costs_above_the_caps_are_refused_before_any_work() {
    let cases = [
        "{PBKDF2-SHA256}4294967295$7F6VOCVVJqZeAxuGv2WuvQ$Lv5OkhJkinJwnQ2BjmbxqI0R1YOPuze9Rh/uKaaX/LA",
        "{CRYPT}$5$rounds=999999999$47O4R2Ckuhnfir2X$hSW6Zj.2u/NVgPzi0bqzBA/avec/6QEAyfUBceSSOK1",
        "{CRYPT}$y$jNT$abcdefghijklmnop$vj93jlfoZpeSB5S.hxXSQfutrRqkv97kmrbbWuDZ6N9",
        "{CRYPT}$y$jzz$abcdefghijklmnop$vj93jlfoZpeSB5S.hxXSQfutrRqkv97kmrbbWuDZ6N9",
        "{CRYPT}$7$zzzzzzzzzzzabcdefghijkl$d62CzYjYxDgOZgeJPtCkJwetQx1cbkxLONNlSqXh/k4",
        "{PBKDF2}4294967295:rSiM5fnO8bjJ5kTYBnbbQuuiZ7kAAQIDBAUGBw==",
        "{CRYPT}$2b$31$aayEWpWAXYVrIo.nhbMuUOBciJXaawbFrpsRorI95NrNhPt14vIZa",
        "{ARGON2}$argon2i$v=19$m=4294967295,t=3,p=2$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik",
        "{ARGON2}$argon2i$v=19$m=64,t=4294967295,p=2$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik",
        "{ARGON2}$argon2i$v=19$m=262144,t=16,p=1$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik",
        "{ARGON2}$argon2i$v=19$m=1024,t=1,p=100$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik",
    ];
    for stored in cases {
        assert_eq!(verify(stored.as_bytes(), PASSWORD), Verdict::Unusable, "{stored}");
    }
    let mut binary = vec![0xff; 4 + 64 + 256];
    binary[0] = 0x7f;
    let stored = format!("{{PBKDF2_SHA256}}{}", BASE64.encode(binary));
    assert_eq!(verify(stored.as_bytes(), PASSWORD), Verdict::Unusable);
}

#[test]
fn long_passwords_do_not_make_sha_crypt_slow() {
    let stored = REAL.iter().find(|stored| stored.starts_with("{CRYPT}$6$")).unwrap();
    assert_eq!(verify(stored.as_bytes(), &vec![b'a'; 1 << 20]), Verdict::Mismatch);
}

/// T-27.
#[test]
fn clear_values_are_compared_whole() {
    assert_eq!(verify(b"secret", b"secret"), Verdict::Match);
    assert_eq!(verify(b"{CLEARTEXT}secret", b"secret"), Verdict::Match);
    assert_eq!(verify(b"{cleartext}secret", b"secret"), Verdict::Match);
    assert_eq!(verify(b"secret", b"secre"), Verdict::Mismatch);
    assert_eq!(verify(b"secret", b"secret1"), Verdict::Mismatch);
    assert_eq!(verify(b"", b""), Verdict::Mismatch);
    assert_eq!(verify(b"{CLEARTEXT}", b""), Verdict::Mismatch);
    assert_eq!(verify(b"{not a scheme}x", b"{not a scheme}x"), Verdict::Match);
    assert!(!is_hashed(b"{CLEARTEXT}secret"));
    assert!(!is_hashed(b"secret"));
    assert!(!is_hashed(b"{X-NEW}secret"));
    assert!(has_scheme(b"{X-NEW}secret"));
    assert!(!has_scheme(b"{CLEARTEXT}secret"));
    assert!(!has_scheme(b"{open"));
}

#[test]
fn what_will_never_fit_is_known_by_its_kind() {
    let cases = [
        ("{CRYPT}$1$abcdefgh$0123456789abcdefghijkl", Some("{CRYPT}$1$")),
        ("{crypt}iWGzS2uP/4kxU", Some("{CRYPT} DES")),
        ("{CRYPT}$gy$j9T$abc$def", Some("{CRYPT}$gy$")),
        ("{CRYPT}*", Some("{CRYPT} without a password")),
        ("{CRYPT}!$6$abc$def", Some("{CRYPT} without a password")),
        ("{sasl}ann@EXAMPLE.COM", Some("{SASL}")),
        ("{SCRAM-SHA-256}4096,c2FsdA==,eA==,eQ==", None),
        ("{CRYPT}$6$broken", None),
        ("secret", None),
        ("{CLEARTEXT}secret", None),
    ];
    for (stored, kind) in cases {
        assert_eq!(unserved_scheme(stored.as_bytes()).as_deref(), kind, "{stored}");
    }
    for stored in REAL {
        assert_eq!(unserved_scheme(stored.as_bytes()), None, "{stored}");
    }
    assert_eq!(unserved_scheme(b"{SSHA}\xff\xfe"), None);
    assert_eq!(clear_text(b"{Clear}secret"), Some(&b"secret"[..]));
    assert_eq!(clear_text(b"{open"), Some(&b"{open"[..]));
    assert_eq!(clear_text(b"{SSHA}x"), None);
}

#[test]
fn new_hashes_fit_are_current_and_differ_each_time() {
    let first = hash(PASSWORD);
    let second = hash(PASSWORD);
    assert!(first.starts_with(b"{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_ne!(first, second);
    assert_eq!(verify(&first, PASSWORD), Verdict::Match);
    assert_eq!(verify(&first, b"other"), Verdict::Mismatch);
    assert!(!needs_rehash(&first));
    assert!(is_costly(&first) && is_hashed(&first));
    assert!(needs_rehash(
        b"{ARGON2}$argon2id$v=19$m=4096,t=2,p=1$05YgtzQTcI72NZJ1PgNRbw$79LFZqJK6W6wQmhVCAkCp6ruSxpl8LZ+gXg55+8eI5k"
    ));
}

#[test]
fn the_dummy_is_sound_and_as_dear_as_a_real_hash() {
    assert_eq!(verify(argon::DUMMY, b"anything"), Verdict::Mismatch);
    assert!(!needs_rehash(argon::DUMMY));
    dummy_verify(b"anything");
}

#[test]
fn only_slow_schemes_are_costly() {
    for stored in REAL {
        let is_digest = ["{SSHA", "{SHA", "{SMD5}", "{MD5}"].iter().any(|prefix| stored.starts_with(prefix));
        assert_eq!(is_costly(stored.as_bytes()), !is_digest, "{stored}");
    }
    assert!(!is_costly(b"clear"));
    assert!(!is_costly(b"{UNKNOWN}x"));
}

#[test]
fn generated_passwords_have_their_length_and_differ() {
    let (first, second) = (generate(), generate());
    assert_eq!(first.len(), GENERATED_CHARACTERS);
    assert!(first.bytes().all(|byte| GENERATED_ALPHABET.contains(&byte)));
    assert_ne!(*first, *second);
}

proptest! {
    #[test]
    fn no_stored_bytes_panic(scheme in "(\\{[A-Za-z0-9_-]{0,12}\\}?)?", rest in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut stored = scheme.into_bytes();
        stored.extend_from_slice(&rest);
        let _ = (verify(&stored, b"x"), is_costly(&stored), is_hashed(&stored), needs_rehash(&stored));
    }

    #[test]
    fn flipping_a_byte_of_a_digest_value_never_makes_another_password_fit(index in 0usize..12, at in 0usize..200, to in any::<u8>()) {
        let mut stored = REAL[index].as_bytes().to_vec();
        let at = at % stored.len();
        stored[at] = to;
        if stored.starts_with(b"{") {
            prop_assert_ne!(verify(&stored, b"another"), Verdict::Match);
        }
    }
}
