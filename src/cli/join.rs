//! `entente join`: this machine becomes a member of a cluster, and gets its content.
//!
//! Interrupted, the same command goes on: the identity is on disk before the invitation is taken, and what came of the
//! content stays. The folder is not served before the content is whole.

use super::data::{SETTINGS_FILE, demand_own, settings_file};
use super::import::{forget_cached, vouch_for};
use super::invite::with_service;
use super::output::{CliError, Output};
use super::progress::Progress;
use crate::clock::Clock;
use crate::config::Config;
use crate::dit::Dit;
use crate::node::host_name;
use crate::replication::identity::Identity;
use crate::replication::invite::Token;
use crate::replication::joining::{self, encode_members};
use crate::replication::membership;
use crate::replication::service::{Report, Service};
use crate::replication::{MemberVerdict, NodeId};
use crate::storage::{DataLock, LockUse, MetaName, Table};
use crate::transport::ListenUrl;
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Between looks at how far it is.
const PAUSE: Duration = Duration::from_millis(100);
/// Without any progress for so long it fails, seconds.
const STALLED_S: u64 = 60;
/// So long the index may take once all entries are here, seconds: hundreds of millions of keys.
const INDEX_S: u64 = 3600;
/// So long it waits for a moment in which both hold the same, seconds; others may be writing all the time.
const EQUAL_S: u64 = 30;

/// Become a member of a cluster by a token, and get its content.
///
/// The other members go on serving meanwhile. If it is interrupted, run the same command again: it goes on where it was.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example, with the line that `entente invite` printed on another member:\n  \
    entente join TOKEN --data /var/lib/entente --listen ldap://*:389\n  \
    entente serve --data /var/lib/entente")]
pub struct JoinArgs {
    /// The line that `entente invite` printed last
    #[arg(value_name = "TOKEN")]
    token: String,
    /// Folder of the data; made if it is not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Address on which `entente serve --data DIR` answers clients, as often as wanted; remembered
    #[arg(long, value_name = "URL")]
    listen: Vec<ListenUrl>,
    /// Name of the new member for people [default: the machine's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Settings of the node (entente.toml)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting; wins over the file
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// It is no member yet, or has not the whole content; the text says what to do.
pub fn run(args: &JoinArgs, output: &Output) -> Result<ExitCode, CliError> {
    let token = Token::decode(&args.token).map_err(|error| CliError::new(error.to_string()))?;
    let file = settings_file(args.config.as_deref(), Some(args.data.as_path()));
    let mut config = Config::load(file.as_deref(), &args.sets)?;
    config.server.data_dir.clone_from(&args.data);
    if !args.listen.is_empty() {
        config.server.listen.clone_from(&args.listen);
    }
    if let Some(name) = &args.name {
        config.replication.name.clone_from(name);
    }
    let directory = &config.server.data_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| CliError::file(directory, &error))?;
    demand_own(&config, &[])?;
    let _lock = DataLock::acquire(directory, LockUse::Replacing("join"))?;
    let data = directory.display();
    if become_member(&token, &config)? == Standing::Member {
        let text =
            format!("{data} is a member of that cluster already.\n\nServe it with:\n  entente serve --data {data}");
        output.report(&json!({ "data": data.to_string(), "member": true }), || text)?;
        return Ok(ExitCode::SUCCESS);
    }
    write_settings(args, &config)?;
    let mut progress = Progress::new(None, false);
    progress.stage("waiting for the member that invited");
    let done = with_service(&config, async |service| follow(service, &mut progress).await)?;
    progress.finish();
    let entries = finish(&config)?;
    output.report(
        &json!({
            "data": data.to_string(),
            "entries": entries,
            "received": done.received,
            "digest": format!("{:032x}", done.status.digest.sum),
            "node": done.status.node.to_string(),
            "verified": done.equal,
            "seconds": done.seconds,
        }),
        || {
            let verdict = if done.equal {
                "count and digest are those of the other members"
            } else {
                "others are writing, so that count and digest could not be compared yet: entente replica verify does"
            };
            format!(
                "{data} holds {entries} entries after {:.1} s; {verdict}.\n\nServe it with:\n  entente serve --data {data}",
                done.seconds
            )
        },
    )?;
    Ok(ExitCode::SUCCESS)
}

/// How far the folder is after the invitation was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The content is to come, or the rest of it.
    Joining,
    /// It was a member of the cluster before, with all of its content.
    Member,
}

/// Takes the invitation, unless that was done before.
fn become_member(token: &Token, config: &Config) -> Result<Standing, CliError> {
    let directory = &config.server.data_dir;
    let is_new = !directory.join("data.mdb").exists();
    if is_new && Clock::system().wall_ms() / 1000 >= token.expires_s {
        return Err(CliError::new("the invitation has expired; make another with: entente invite"));
    }
    let dit = Dit::open(config.dit_options(), config.load_schema()?, Clock::system())?;
    let (node, stored, joining, entries) = {
        let snapshot = dit.read()?;
        let view = snapshot.view();
        let stored = view.reader().meta(MetaName::Member)?.map(<[u8]>::to_vec);
        let joining = view.reader().meta(MetaName::Join)?.map(<[u8]>::to_vec);
        (membership::node_id(view)?, stored, joining, view.reader().count(Table::Id2Entry)?)
    };
    let identity = stored.as_deref().map(Identity::decode).transpose().map_err(failed)?;
    let is_of = |identity: &Identity| {
        identity.is_certified() && membership::authority_fingerprint(identity.authority()) == token.authority
    };
    match (&identity, joining) {
        (Some(identity), Some(members)) if !members.is_empty() && members != PREPARED => {
            if !is_of(identity) {
                return Err(CliError::new(format!(
                    "{} is about to join another cluster; choose another folder",
                    directory.display()
                )));
            }
            tell(&format!("going on with the join that was begun before: {entries} entries are here"));
            return Ok(Standing::Joining);
        }
        (Some(identity), None) if is_of(identity) => return Ok(Standing::Member),
        (Some(identity), Some(members)) if members.is_empty() && is_of(identity) => return Ok(Standing::Member),
        // Refused or interrupted before: asked again.
        (Some(_), Some(members)) if members == PREPARED => {}
        // Interrupted before it had a name.
        (None, None) if entries == 0 => {}
        _ => {
            return Err(CliError::new(format!(
                "{} holds a directory already; choose another folder, or remove this one if it may go",
                directory.display()
            )));
        }
    }
    // On disk before anybody is asked, so that an answer that is lost can be asked for again.
    let identity = match identity {
        Some(identity) => identity,
        None => Identity::create().map_err(failed)?,
    };
    let origin = dit.read()?.view().reader().meta_u64(MetaName::Origin)?;
    dit.change_offline(|writing| {
        writing.put_meta(MetaName::Member, &identity.encode())?;
        writing.put_meta(MetaName::Join, PREPARED)
    })?;
    let mut accepted = ask(token, node, origin, &identity, config)?;
    // What led there once leads there again, whatever its entry says.
    if let Some(inviter) = accepted.members.iter_mut().find(|member| member.node == token.node) {
        let known = inviter.addresses.clone();
        inviter.addresses.extend(token.addresses.iter().filter(|address| !known.contains(address)).cloned());
    }
    let identity = identity.certified(accepted.certificate, accepted.authority);
    let members = encode_members(&accepted.members);
    dit.change_offline(|writing| {
        writing.put_meta(MetaName::Cluster, &accepted.cluster)?;
        writing.put_meta(MetaName::Member, &identity.encode())?;
        writing.put_meta(MetaName::Join, &members)
    })?;
    Ok(Standing::Joining)
}

/// Stands for the members before they are known.
const PREPARED: &[u8] = b"prepared";

fn ask(
    token: &Token,
    node: NodeId,
    origin: u64,
    identity: &Identity,
    config: &Config,
) -> Result<joining::Accepted, CliError> {
    let name = if config.replication.name.is_empty() { host_name() } else { config.replication.name.clone() };
    tell(&format!("asking {} to take this machine in", token.addresses.join(" or ")));
    super::client::run_async(async {
        joining::join(token, node, origin, identity, &name).await.map_err(|error| CliError::new(error.to_string()))
    })
}

/// What is so at the end.
struct Done {
    status: crate::replication::Status,
    equal: bool,
    /// Entries that came now, and were not here from before.
    received: u64,
    seconds: f64,
}

/// Follows the content as it comes, until it is whole and was compared.
async fn follow(service: &Service, progress: &mut Progress) -> Result<Done, CliError> {
    let clock = Clock::system();
    let (mut moved_at, mut moved, mut received) = (Duration::ZERO, (0, 0, None), 0);
    let mut whole_at = None;
    let (mut is_staged, mut is_indexed) = (false, false);
    loop {
        let report = service.report().await.map_err(failed)?;
        let now = clock.monotonic();
        if let Some(exchange) = &report.status.exchange {
            if !is_staged {
                is_staged = true;
                progress.stage("entries");
            }
            if let Some(total) = exchange.entries_total {
                progress.total(total);
            }
            progress.advance(exchange.entries);
            received = received.max(exchange.entries);
        }
        let taken = report.status.exchange.as_ref().map(|exchange| exchange.entries);
        let is_all_there =
            report.status.exchange.as_ref().is_some_and(|exchange| {
                exchange.entries_total.is_some_and(|total| total > 0 && exchange.entries >= total)
            });
        if is_all_there && !is_indexed {
            is_indexed = true;
            progress.stage("index");
        }
        let stalled_s = if is_all_there { INDEX_S } else { STALLED_S };
        let state = (report.status.digest.count, report.status.applied_total, taken);
        if state != moved {
            (moved, moved_at) = (state, now);
        }
        match judge(&report) {
            Judged::Equal => return Ok(done(report, true, received, now)),
            Judged::Different => {
                return Err(CliError::new(
                    "the content came over, but its digest is not that of the other members: this must not happen. Remove \
                     the folder and join again; if it happens again, please report it",
                ));
            }
            Judged::Whole => {
                let since = *whole_at.get_or_insert(now);
                if now.saturating_sub(since).as_secs() >= EQUAL_S {
                    return Ok(done(report, false, received, now));
                }
            }
            Judged::Coming if now.saturating_sub(moved_at).as_secs() >= stalled_s => {
                let why: Vec<_> = report.unreachable.iter().map(|(_, error)| error.as_str()).collect();
                return Err(CliError::new(format!(
                    "nothing came for {stalled_s} s{}{}; run the same command again to go on",
                    if why.is_empty() { "" } else { ": " },
                    why.join("; ")
                )));
            }
            Judged::Coming => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn done(report: Report, equal: bool, received: u64, now: Duration) -> Done {
    Done { status: report.status, equal, received, seconds: now.as_secs_f64() }
}

enum Judged {
    Coming,
    Whole,
    Equal,
    Different,
}

fn judge(report: &Report) -> Judged {
    let status = &report.status;
    // The vector is taken over when the content is complete, and not before.
    let is_whole = status.exchange.is_none()
        && report.own.is_some()
        && status.vector.iter().any(|(origin, position)| origin != status.origin && position.sequence > 0);
    let connected = || status.members.iter().filter(|member| member.peer.is_some());
    // Where nobody's entry says yet where it is, this node would find nobody when it is served.
    let is_told_where = connected().any(|member| !member.member.addresses.is_empty());
    if !is_whole || !is_told_where {
        return Judged::Coming;
    }
    if connected().any(|member| member.verdict == MemberVerdict::Different) {
        return Judged::Different;
    }
    if connected().any(|member| member.verdict == MemberVerdict::Equal) { Judged::Equal } else { Judged::Whole }
}

/// The join is over: from now on the folder can be served.
fn finish(config: &Config) -> Result<u64, CliError> {
    let dit = Dit::open(config.dit_options(), config.load_schema()?, Clock::system())?;
    dit.change_offline(|writing| writing.put_meta(MetaName::Join, b""))?;
    let entries = dit.read()?.view().reader().count(Table::Id2Entry)?;
    let file = dit.environment().data_file();
    drop(dit);
    forget_cached(&file).map_err(|error| CliError::file(&file, &error))?;
    vouch_for(&config.server.data_dir);
    Ok(entries)
}

/// Writes the settings that `serve --data` finds in the folder, unless there are some.
fn write_settings(args: &JoinArgs, config: &Config) -> Result<(), CliError> {
    let path = config.server.data_dir.join(SETTINGS_FILE);
    let defaults = Config::default();
    let values: Vec<_> = config
        .values()
        .into_iter()
        .zip(defaults.values())
        .filter(|((setting, value), (_, default))| value != default && setting.to_string() != "server.data_dir")
        .map(|(value, _)| value)
        .collect();
    if path.exists() || values.is_empty() || args.config.is_some() {
        return Ok(());
    }
    let mut text =
        "# Written by `entente join`; `entente serve --data` reads it. deploy/entente.toml says what there is.\n"
            .to_owned();
    let mut section = "";
    for (setting, value) in values {
        if setting.section != section {
            section = setting.section;
            text.push_str(&format!("\n[{section}]\n"));
        }
        text.push_str(&format!("{} = {value}\n", setting.key));
    }
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| CliError::file(&path, &error))
}

fn tell(text: &str) {
    eprintln!("{text}");
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::new(error.to_string())
}
