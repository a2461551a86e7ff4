//! A door with a directory of a few thousand entries behind it, and clients on real sockets.

use std::sync::Arc;

use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapDerefAliases, LdapExtendedRequest, LdapFilter, LdapMsg, LdapOp, LdapResultCode,
    LdapSearchRequest, LdapSearchScope,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::codec::{Decoder, Encoder};

use super::connection::Connection;
use super::*;
use crate::dit::{BulkLoad, Dit, Writer, birth_deltas};
use crate::model::{AttributeDescription, Dn, EntryUuid};
use crate::schema::Schema;
use crate::storage::EntryId;
use crate::transport::{AdmissionLimits, ListenOptions};
use crate::wire::extended::{CANCEL, WHO_AM_I};

/// So many that a search through all of them takes several steps.
const ENTRIES: u16 = 3_000;
const ADMINISTRATOR: &str = "cn=admin,dc=x";
/// Slower than any machine under load, shorter than patience.
const PATIENCE: Duration = Duration::from_secs(60);

struct House {
    server: Server,
    url: String,
    writer: Writer,
    thread: Option<std::thread::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Drop for House {
    fn drop(&mut self) {
        self.writer.stop();
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let dit = Dit::open(crate::dit::Options::new(folder.path()), Arc::new(Schema::builtin()), clock.clone()).unwrap();
    fill(&dit);
    dit.set_administrator(ADMINISTRATOR, b"secret").unwrap();
    let dit = Arc::new(dit);
    let (writer, thread) = Writer::start(Arc::clone(&dit), 16).unwrap();
    let metrics = Arc::new(Metrics::default());
    let server = Server::new(Parts {
        directory: Directory::new(dit, writer.clone(), crate::operation::Options::default(), Arc::clone(&metrics)),
        options: Options::default(),
        tls: None,
        admission: Admission::new(AdmissionLimits { connections: 10, connections_per_address: 10 }),
        shutdown: Shutdown::new(),
        metrics,
        clock,
        hashing: HashingPool::start(1, 1).unwrap(),
    });
    let listeners = Listener::bind(&"ldap://127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
    let url = listeners[0].local_address().unwrap().to_string();
    listeners.into_iter().for_each(|listener| server.listen(listener));
    House { server, url, writer, thread: Some(thread), _folder: folder }
}

fn fill(dit: &Dit) {
    let mut load = BulkLoad::begin(dit).unwrap();
    let mut add = |uuid: u16, dn: String, attributes: &[(&str, &str)]| {
        let writing = load.writing();
        let dn = Dn::parse(&dn).unwrap();
        let number = |(name, value): &(&str, &str)| {
            let description = AttributeDescription::parse(name).unwrap();
            (writing.intern(&description).unwrap(), vec![value.as_bytes().to_vec()])
        };
        let attributes: Vec<_> = attributes.iter().map(number).collect();
        let parent = writing.view().resolve(&dn).unwrap().matched.unwrap_or(EntryId::NONE);
        let deltas = birth_deltas(writing, &dn, parent, &attributes).unwrap();
        let mut bytes = [1; 16];
        bytes[..2].copy_from_slice(&uuid.to_be_bytes());
        load.add(EntryUuid(bytes), "test", deltas).unwrap();
    };
    add(0, "dc=x".to_owned(), &[("objectClass", "domain"), ("dc", "x")]);
    for n in 1..=ENTRIES {
        let name = format!("p{n}");
        add(n, format!("cn={name},dc=x"), &[("objectClass", "person"), ("cn", &name), ("sn", "p")]);
    }
    load.finish().unwrap();
}

struct Client {
    socket: TcpStream,
    codec: LdapCodec,
    buffer: BytesMut,
}

impl Client {
    async fn connect(house: &House) -> Self {
        let socket = TcpStream::connect(&house.url).await.unwrap();
        Self { socket, codec: LdapCodec::default(), buffer: BytesMut::new() }
    }

    /// All in one write, so that the server finds them together.
    async fn send(&mut self, requests: impl IntoIterator<Item = (i32, LdapOp)>) {
        let mut bytes = BytesMut::new();
        for (msgid, op) in requests {
            self.codec.encode(LdapMsg { msgid, op, ctrl: Vec::new() }, &mut bytes).unwrap();
        }
        self.socket.write_all(&bytes).await.unwrap();
    }

    /// The next answer; `None` at the end of the stream.
    async fn receive(&mut self) -> Option<LdapMsg> {
        loop {
            if let Some(message) = self.codec.decode(&mut self.buffer).unwrap() {
                return Some(message);
            }
            if tokio::time::timeout(PATIENCE, self.socket.read_buf(&mut self.buffer)).await.unwrap().unwrap() == 0 {
                return None;
            }
        }
    }

    /// Ids and codes of the next final answers.
    async fn outcomes<const N: usize>(&mut self) -> [(i32, LdapResultCode); N] {
        let mut outcomes = Vec::new();
        while outcomes.len() < N {
            let message = self.receive().await.unwrap();
            outcomes.extend(match message.op {
                LdapOp::BindResponse(bind) => Some((message.msgid, bind.res.code)),
                LdapOp::ExtendedResponse(extended) => Some((message.msgid, extended.res.code)),
                LdapOp::SearchResultDone(done) => Some((message.msgid, done.code)),
                _ => None,
            });
        }
        outcomes.try_into().unwrap()
    }

    async fn administrator(house: &House) -> Self {
        let mut client = Self::connect(house).await;
        client.send([(100, bind(ADMINISTRATOR, "secret"))]).await;
        assert_eq!(client.outcomes().await, [(100, LdapResultCode::Success)]);
        client
    }
}

fn bind(dn: &str, password: &str) -> LdapOp {
    let cred = LdapBindCred::Simple(password.to_owned());
    LdapOp::BindRequest(LdapBindRequest { version: 3, dn: dn.to_owned(), cred })
}

fn who_am_i() -> LdapOp {
    LdapOp::ExtendedRequest(LdapExtendedRequest { name: WHO_AM_I.to_owned(), value: None })
}

/// Cancel of a message id below 128.
fn cancel(id: u8) -> LdapOp {
    let value = Some(vec![0x30, 3, 2, 1, id]);
    LdapOp::ExtendedRequest(LdapExtendedRequest { name: CANCEL.to_owned(), value })
}

fn search(scope: LdapSearchScope, filter: LdapFilter) -> LdapOp {
    LdapOp::SearchRequest(LdapSearchRequest {
        base: "dc=x".to_owned(),
        scope,
        aliases: LdapDerefAliases::Never,
        sizelimit: 0,
        timelimit: 0,
        typesonly: false,
        filter,
        attrs: Vec::new(),
    })
}

/// Looks at every entry and finds none: `description` has no index for pieces.
fn long_search() -> LdapOp {
    let piece = ldap3_proto::proto::LdapSubstringFilter { any: vec!["zz".to_owned()], ..Default::default() };
    search(LdapSearchScope::Subtree, LdapFilter::Substring("description".to_owned(), piece))
}

fn dump() -> LdapOp {
    search(LdapSearchScope::Subtree, LdapFilter::Present("objectClass".to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_long_search_is_overtaken() {
    let house = house().await;
    let mut client = Client::administrator(&house).await;
    client.send([(1, long_search()), (2, who_am_i())]).await;
    assert_eq!(client.outcomes().await, [(2, LdapResultCode::Success), (1, LdapResultCode::Success)]);
}

/// Fair: the dump's entries and the other search's result come mixed, not one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn long_searches_of_one_connection_share_its_turns() {
    let house = house().await;
    let mut client = Client::administrator(&house).await;
    client.send([(1, dump()), (2, dump())]).await;
    let mut entries = [0_u16; 2];
    let mut at_first_end = None;
    for _ in 0..2 * (ENTRIES + 2) {
        let message = client.receive().await.unwrap();
        let which = usize::try_from(message.msgid - 1).unwrap();
        match message.op {
            LdapOp::SearchResultEntry(_) => entries[which] += 1,
            _ => at_first_end = at_first_end.or(Some(entries)),
        }
    }
    assert_eq!(entries, [ENTRIES + 1; 2]);
    assert!(at_first_end.unwrap().iter().all(|count| *count > 500), "{at_first_end:?}");
}

/// RFC 3909.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_canceled_search_and_its_cancel_are_both_answered() {
    let house = house().await;
    let mut client = Client::administrator(&house).await;
    client.send([(1, long_search()), (2, cancel(1)), (3, cancel(1))]).await;
    let [search, cancel, again] = client.outcomes().await;
    assert_eq!((search.0, search.1 as i32), (1, 118));
    assert_eq!(cancel, (2, LdapResultCode::Success));
    assert_eq!((again.0, again.1 as i32), (3, 119));
}

/// RFC 4511 4.11.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_abandoned_search_is_not_answered_and_unknown_ids_are_ignored() {
    let house = house().await;
    let mut client = Client::administrator(&house).await;
    client.send([(1, long_search()), (2, LdapOp::AbandonRequest(1)), (3, LdapOp::AbandonRequest(77))]).await;
    client.send([(4, who_am_i()), (1, long_search())]).await;
    assert_eq!(client.outcomes().await, [(4, LdapResultCode::Success), (1, LdapResultCode::Success)]);
}

/// RFC 4511 4.1.1.1.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_id_in_use_is_refused() {
    let house = house().await;
    let mut client = Client::administrator(&house).await;
    client.send([(1, long_search()), (1, who_am_i())]).await;
    assert_eq!(client.outcomes().await, [(1, LdapResultCode::ProtocolError), (1, LdapResultCode::Success)]);
}

/// RFC 4511 4.2.1: a bind waits for what is at work, and what is behind it waits for the bind.
/// RFC 4511 4.2.1: a client that tries to become somebody else must not go on as who it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_bind_that_cannot_be_read_leaves_nobody() {
    let house = house().await;
    let mut client = Client::administrator(&house).await;
    // Message 2: bind, version 3, the name one byte that is not UTF-8.
    let bind = b"\x30\x0d\x02\x01\x02\x60\x08\x02\x01\x03\x04\x01\xff\x80\x00";
    client.socket.write_all(bind).await.unwrap();
    assert_eq!(client.outcomes().await, [(2, LdapResultCode::InvalidDNSyntax)]);
    client.send([(3, who_am_i())]).await;
    let LdapOp::ExtendedResponse(answer) = client.receive().await.unwrap().op else { panic!("no answer") };
    assert_eq!(answer.value.unwrap_or_default(), b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_bind_waits_for_what_is_at_work() {
    let house = house().await;
    let mut client = Client::administrator(&house).await;
    client.send([(1, long_search()), (2, bind("cn=p1,dc=x", "wrong")), (3, who_am_i())]).await;
    let outcomes = client.outcomes::<3>().await.map(|(id, code)| (id, code as i32));
    assert_eq!(outcomes, [(1, 0), (2, 49), (3, 0)]);
}

/// A client that ends its side still gets what it asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_half_closed_connection_is_answered_and_closed() {
    let house = house().await;
    let mut client = Client::administrator(&house).await;
    client.send([(1, long_search()), (2, who_am_i())]).await;
    client.socket.shutdown().await.unwrap();
    assert_eq!(client.outcomes().await, [(2, LdapResultCode::Success), (1, LdapResultCode::Success)]);
    assert!(client.receive().await.is_none());
}

/// RFC 4511 4.4.1; what runs is finished first.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn at_shutdown_what_runs_is_finished_and_everybody_told() {
    let house = house().await;
    let mut idle = Client::administrator(&house).await;
    let mut busy = Client::administrator(&house).await;
    busy.send([(1, long_search()), (2, who_am_i())]).await;
    assert_eq!(busy.outcomes().await, [(2, LdapResultCode::Success)]);
    assert_eq!(house.server.stop(PATIENCE).await, 0);
    assert_eq!(idle.outcomes().await, [(0, LdapResultCode::Unavailable)]);
    assert!(idle.receive().await.is_none());
    assert_eq!(busy.outcomes().await, [(1, LdapResultCode::Success), (0, LdapResultCode::Unavailable)]);
    assert_eq!(house.server.connections(), 0);
}

/// T-09: a defect of ours ends the connection that met it, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_connection_and_no_other() {
    let house = house().await;
    house.server.0.directory.add_monitor(Box::new(|| panic!("on purpose")));
    let mut other = Client::administrator(&house).await;
    for _ in 0..3 {
        let mut unlucky = Client::administrator(&house).await;
        let LdapOp::SearchRequest(mut request) = dump() else { panic!("a dump is a search") };
        request.base = "cn=monitor".to_owned();
        unlucky.send([(1, LdapOp::SearchRequest(request))]).await;
        assert!(unlucky.receive().await.is_none());
        other.send([(7, who_am_i())]).await;
        assert_eq!(other.outcomes().await, [(7, LdapResultCode::Success)]);
    }
    while house.server.connections() > 1 {
        tokio::task::yield_now().await;
    }
}

/// What thousands of idle clients cost: this, their sockets, and nothing else.
#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 512, "{}", size_of::<Connection>());
    assert!(size_of::<registry::Mailbox>() <= 128, "{}", size_of::<registry::Mailbox>());
    fn future<F: Future>(_: impl Fn(Arc<Door>, Accepted, ShutdownGuard) -> F) -> usize {
        size_of::<F>()
    }
    assert!(future(run) <= 1536, "{}", future(run));
}
