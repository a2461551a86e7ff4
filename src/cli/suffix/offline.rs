//! A change by the administrator on data that nobody serves: the same request, through the same door as a client's.

use crate::cli::client;
use crate::cli::data::DataArgs;
use crate::cli::import::vouch_for;
use crate::cli::output::CliError;
use crate::clock::Clock;
use crate::dit::{Dit, Writer};
use crate::metrics::Metrics;
use crate::operation::{ConnectionFacts, Directory, Options, Session, UpdateStep};
use crate::policy::requester::{Authentication, Requester, RequesterKind};
use crate::replication::{Member, membership};
use crate::storage::LockUse;
use crate::wire::Message;
use ldap3_proto::proto::{LdapOp, LdapResult};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// Changes that may wait; there is one.
const QUEUE_MAX: usize = 16;

/// Makes the change and gives its result; on disk when this returns.
///
/// # Errors
/// The data cannot be opened or is being used, or this member takes no changes.
pub(super) fn change(data: &DataArgs, operation: LdapOp, control: Option<&str>) -> Result<LdapResult, CliError> {
    let (config, _lock) = data.lock(LockUse::Offline("suffix"))?;
    let dit = Arc::new(Dit::open_as_recorded(config.dit_options(), config.load_schema()?, Clock::system())?);
    let outcome = change_in(dit, operation, control)?;
    vouch_for(&config.server.data_dir);
    Ok(outcome)
}

fn change_in(dit: Arc<Dit>, operation: LdapOp, control: Option<&str>) -> Result<LdapResult, CliError> {
    let administrator = {
        let snapshot = dit.read()?;
        let own = membership::node_id(snapshot.view())?;
        let is_reader = |member: &Member| member.node == own && !member.role.may_originate();
        if membership::members(snapshot.view())?.iter().any(is_reader) {
            return Err(CliError::new("this member takes no changes of its own; run the command on one that does"));
        }
        snapshot.view().administrator()?.map(|(dn, _)| dn)
    };
    let dn = administrator.ok_or_else(|| CliError::new("the data has no administrator; make it with: entente init"))?;
    let (writer, thread) = Writer::start(Arc::clone(&dit), QUEUE_MAX)?;
    let directory = Directory::new(dit, writer.clone(), Options::default(), Arc::new(Metrics::default()));
    let requester = Requester::anonymous(None, 0, true)
        .with_identity(RequesterKind::Administrator { dn }, Authentication::Sasl("EXTERNAL".to_owned()));
    let connection = ConnectionFacts { id: 0, address: None, is_local: true, unix: None, tls: None };
    let session = Session::new(requester, connection);
    let bytes = client::encode(1, operation, control)?;
    let message = Message::decode(&bytes).map_err(|error| CliError::new(error.to_string()))?;
    let (told, answer) = sync_channel(1);
    let reply = Box::new(move |pdu: Vec<u8>| {
        // Whoever asked waits for it.
        let _ = told.send(pdu);
    });
    if let UpdateStep::Hash(step) = directory.update(&session, message.id, &message.request, &message.controls, reply) {
        step();
    }
    let answer = answer.recv();
    writer.stop();
    if thread.join().is_err() {
        return Err(CliError::new("the writer ended by a defect; run: entente check"));
    }
    client::decode_result(&answer.map_err(|_| CliError::new("the change got no answer; run: entente check"))?)
}
