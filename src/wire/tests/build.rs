//! Builds PDUs by hand, right and wrong ones, without the writer under test.

/// One element.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        length @ 0..=127 => bytes.push(length as u8),
        length => bytes.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    assert!(content.len() < 65_536);
    bytes.extend(content);
    bytes
}

/// One element of several parts.
pub(super) fn parts(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &parts.concat())
}

/// A SEQUENCE.
pub(super) fn sequence(items: &[Vec<u8>]) -> Vec<u8> {
    parts(0x30, items)
}

/// An OCTET STRING.
pub(super) fn string(content: impl AsRef<[u8]>) -> Vec<u8> {
    element(4, content.as_ref())
}

/// A small INTEGER.
pub(super) fn integer(value: i8) -> Vec<u8> {
    element(2, &value.to_be_bytes())
}

/// A small ENUMERATED.
pub(super) fn enumerated(value: i8) -> Vec<u8> {
    element(10, &value.to_be_bytes())
}

/// A BOOLEAN.
pub(super) fn boolean(value: bool) -> Vec<u8> {
    element(1, &[if value { 0xff } else { 0 }])
}

/// Message 7 with this operation.
pub(super) fn message(operation: Vec<u8>) -> Vec<u8> {
    sequence(&[integer(7), operation])
}

/// Message 7 with an unimportant delete and these controls.
pub(super) fn with_controls(controls: &[Vec<u8>]) -> Vec<u8> {
    sequence(&[integer(7), element(0x4a, b"uid=ann"), parts(0xa0, controls)])
}

/// The parts of a plain SearchRequest with this filter.
pub(super) fn search_parts(filter: Vec<u8>) -> Vec<Vec<u8>> {
    vec![
        string("dc=example"),
        enumerated(2),
        enumerated(0),
        integer(0),
        integer(0),
        boolean(false),
        filter,
        sequence(&[string("cn")]),
    ]
}

/// Message 7 with a search by this filter.
pub(super) fn search(filter: Vec<u8>) -> Vec<u8> {
    message(parts(0x63, &search_parts(filter)))
}

/// `(uid=ann)` and the like: tag a3 equality, a5 greater or equal, a6 less or equal, a8 approx.
pub(super) fn assertion(tag: u8, attribute: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    parts(tag, &[string(attribute), string(value)])
}

/// `(tag=present)`: the presence filter.
pub(super) fn present(attribute: &str) -> Vec<u8> {
    element(0x87, attribute.as_bytes())
}

/// A corpus of valid requests with its names: every operation, every filter, controls.
pub(super) fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let paged = string([0x30, 5, 2, 1, 20, 4, 0]);
    let filter = parts(
        0xa0,
        &[
            assertion(0xa3, "objectClass", "person"),
            parts(
                0xa1,
                &[
                    parts(
                        0xa4,
                        &[string("cn"), sequence(&[element(0x80, b"an"), element(0x81, b"n"), element(0x82, b"e")])],
                    ),
                    assertion(0xa5, "uidNumber", "1000"),
                    assertion(0xa6, "uidNumber", "2000"),
                    assertion(0xa8, "sn", "meyer"),
                    parts(0xa2, &[present("mail")]),
                    parts(
                        0xa9,
                        &[
                            element(0x81, b"caseIgnoreMatch"),
                            element(0x82, b"ou"),
                            element(0x83, b"sales"),
                            element(0x84, &[0xff]),
                        ],
                    ),
                ],
            ),
        ],
    );
    let modification =
        |kind, values: &[Vec<u8>]| sequence(&[enumerated(kind), sequence(&[string("mail"), parts(0x31, values)])]);
    vec![
        ("simple bind", message(parts(0x60, &[integer(3), string("uid=ann,dc=example"), element(0x80, b"secret")]))),
        ("sasl bind", message(parts(0x60, &[integer(3), string(""), parts(0xa3, &[string("EXTERNAL"), string("u")])]))),
        ("unbind", message(element(0x42, b""))),
        ("search", search(assertion(0xa3, "uid", "ann"))),
        ("search by every filter", search(filter)),
        (
            "search with controls",
            sequence(&[
                integer(7),
                parts(0x63, &search_parts(present("objectClass"))),
                parts(
                    0xa0,
                    &[
                        sequence(&[string("1.2.840.113556.1.4.319"), boolean(true), paged]),
                        sequence(&[string("2.16.840.1.113730.3.4.2"), boolean(false)]),
                        sequence(&[string("1.3.6.1.1.99"), string("x")]),
                    ],
                ),
            ]),
        ),
        (
            "modify",
            message(parts(
                0x66,
                &[
                    string("uid=ann,dc=example"),
                    sequence(&[
                        modification(0, &[string("a@x"), string("b@x")]),
                        modification(1, &[]),
                        modification(2, &[string("c@x")]),
                        modification(3, &[string("1")]),
                    ]),
                ],
            )),
        ),
        (
            "add",
            message(parts(
                0x68,
                &[
                    string("uid=ann,dc=example"),
                    sequence(&[
                        sequence(&[string("objectClass"), parts(0x31, &[string("top"), string("person")])]),
                        sequence(&[string("jpegPhoto"), parts(0x31, &[string([0xff, 0xd8, 0xff])])]),
                    ]),
                ],
            )),
        ),
        ("delete", message(element(0x4a, b"uid=ann,dc=example"))),
        (
            "modifyDN",
            message(parts(
                0x6c,
                &[
                    string("uid=ann,dc=example"),
                    string("uid=anne"),
                    boolean(true),
                    element(0x80, b"ou=people,dc=example"),
                ],
            )),
        ),
        ("compare", message(parts(0x6e, &[string("uid=ann,dc=example"), sequence(&[string("mail"), string("a@x")])]))),
        ("abandon", message(element(0x50, &[6]))),
        ("extended", message(parts(0x77, &[element(0x80, b"1.3.6.1.1.8"), element(0x81, &[0x30, 3, 2, 1, 6])]))),
    ]
}
