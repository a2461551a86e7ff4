//! How messages lie in TLS records. No RFC says it; clients that wait for the socket, though their TLS library has read on,
//! depend on it (curl with ldaps waited for ever for the second of two messages in one record).

use std::io::{Read, Write};
use std::net::TcpStream;

use rustls::StreamOwned;

use crate::PEOPLE;
use crate::support::ber::Element;
use crate::support::client::Client;
use crate::support::request::{self, Search};
use crate::support::server::{Server, Setup};
use crate::support::{code, oid};

/// A socket that gives one TLS record at a time.
struct ByRecord {
    socket: TcpStream,
    record: Vec<u8>,
    given: usize,
}

impl Read for ByRecord {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.given == self.record.len() {
            let mut header = [0; 5];
            self.socket.read_exact(&mut header)?;
            let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
            self.record = header.to_vec();
            self.record.resize(header.len() + length, 0);
            self.socket.read_exact(&mut self.record[header.len()..])?;
            self.given = 0;
        }
        let count = buffer.len().min(self.record.len() - self.given);
        buffer[..count].copy_from_slice(&self.record[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

impl Write for ByRecord {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.socket.flush()
    }
}

#[test]
fn no_tls_record_holds_parts_of_two_messages() {
    let server = Server::start(Setup::default().with_tls());
    let socket = Client::socket(server.address());
    let mut clear = Client::over(socket.try_clone().unwrap());
    clear.perform(&request::extended(oid::START_TLS, None)).expect(code::SUCCESS);
    let (session, socket) = server.certificate.as_ref().unwrap().connect(socket).into_parts();
    let mut stream = StreamOwned::new(session, ByRecord { socket, record: Vec::new(), given: 0 });
    // Two requests at once, so that all their answers may come at once.
    let ask = |id| request::message(id, &Search::subtree(PEOPLE, "(uid=*)").encode(), &[]);
    stream.write_all(&[ask(1), ask(2)].concat()).unwrap();
    stream.flush().unwrap();
    let (mut entries, mut results) = (0, 0);
    while results < 2 {
        let mut buffer = vec![0; 20_000];
        let count = stream.read(&mut buffer).unwrap();
        let message = Element::whole(&buffer[..count]).expect("one message in a record");
        match message.children().unwrap()[1].tag {
            0x64 => entries += 1,
            0x65 => results += 1,
            tag => panic!("answer with tag {tag:02x}"),
        }
    }
    assert_eq!((entries, results), (12, 2));
}
