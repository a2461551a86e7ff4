use super::*;

fn version_2_of(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, content].concat()
}

/// Reads as the server does: never more than is needed.
fn read(bytes: &[u8]) -> (Result<ProxyHeader, &'static str>, usize) {
    let mut held = 0;
    loop {
        match proxy_header(&bytes[..held]) {
            Ok(ProxyHeader::Needs(needed)) if needed <= bytes.len() => {
                assert!(needed > held && needed <= HEADER_BYTES_MAX);
                held = needed;
            }
            outcome => return (outcome, held),
        }
    }
}

fn client_of(address: &str) -> Result<ProxyHeader, &'static str> {
    Ok(ProxyHeader::Client(address.parse().unwrap()))
}

#[test]
fn a_header_names_the_client_and_nothing_behind_it_is_read() {
    let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 1, 133];
    let mut six = Vec::new();
    six.extend_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
    six.extend_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    six.extend_from_slice(&[0x30, 0x39, 1, 133]);
    let mapped = [&"::ffff:192.0.2.7".parse::<Ipv6Addr>().unwrap().octets()[..], &six[16..]].concat();
    let with_more = [&four[..], &[0x04, 0, 3, 1, 2, 3]].concat();
    let cases: [(Vec<u8>, &str); 6] = [
        (version_2_of(0x21, 0x11, &four), "192.0.2.7:12345"),
        (version_2_of(0x21, 0x11, &with_more), "192.0.2.7:12345"),
        (version_2_of(0x21, 0x21, &six), "[2001:db8::7]:12345"),
        (version_2_of(0x21, 0x21, &mapped), "192.0.2.7:12345"),
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 389\r\n".to_vec(), "192.0.2.7:12345"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 389\r\n".to_vec(), "[2001:db8::7]:12345"),
    ];
    for (header, address) in cases {
        let followed = [&header[..], b"0\x0c\x02\x01\x01"].concat();
        assert_eq!(read(&followed), (client_of(address), header.len()), "{address}");
        for length in 0..header.len() {
            assert!(matches!(read(&header[..length]).0, Ok(ProxyHeader::Needs(_))), "{address} cut to {length}");
        }
    }
}

#[test]
fn a_balancer_that_speaks_for_itself_keeps_its_address() {
    let cases = [
        version_2_of(0x20, 0x00, &[]),
        version_2_of(0x20, 0x11, &[0; 30]),
        version_2_of(0x21, 0x00, &[9; 5]),
        version_2_of(0x21, 0x31, &[0; 216]),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
    ];
    for header in cases {
        assert_eq!(read(&header), (Ok(ProxyHeader::Own), header.len()), "{header:02x?}");
    }
}

#[test]
fn what_is_no_header_is_refused() {
    let mut long = version_2_of(0x21, 0x11, &[0; 12]);
    long[14] = 0xFF;
    let cases = [
        version_2_of(0x11, 0x11, &[0; 12]),
        version_2_of(0x22, 0x11, &[0; 12]),
        version_2_of(0x21, 0x11, &[0; 11]),
        version_2_of(0x21, 0x21, &[0; 35]),
        version_2_of(0x21, 0x12, &[0; 12]),
        long,
        b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 389 7\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::7 2001:db8::1 12345 389\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 123456 389\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 389\n".to_vec(),
        [b"PROXY UNKNOWN ", &[b'x'; 100][..], b"\r\n"].concat(),
    ];
    for header in cases {
        assert!(read(&header).0.is_err(), "{header:02x?}");
    }
}

#[test]
fn only_what_begins_like_a_header_is_taken_for_one() {
    assert!(begins_proxy_header(SIGNATURE) && begins_proxy_header(&SIGNATURE[..8]));
    assert!(begins_proxy_header(b"PROXY TCP4 192.0.2.7"));
    for other in [&b""[..], b"PROX", b"\r\n", b"\x30\x0c\x02\x01\x01\x60", b"PROXIES", b"GET / HTTP/1.1"] {
        assert!(!begins_proxy_header(other), "{other:?}");
    }
}
