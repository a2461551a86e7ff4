//! `entente migrate`: a new node filled from a live OpenLDAP or 389 server, kept in step with it, and put in its place.
//!
//! The first pass is a bulk load, as `import` does it. What follows is written change by change, by entryUUID. The data
//! directory belongs to this command until the old server is given up; then `entente serve` serves it, and not before: what
//! it took from clients would be lost when the last pass makes the copy equal to the old server. What the copy is
//! as of (the old server's cookie) stands in `migration.json` in the data directory, written after what it stands for,
//! so that an interrupted pass is done again and nothing is skipped.

mod apply;
mod consumer;
mod cookie;
mod fetched;
mod follow;
mod pass;
mod spool;

use super::client::{ConnectArgs, Target, run_async};
use super::export::parse_dn;
use super::import::{ImportError, ImportOptions, groups_advice, import, unserved_advice, vouch_for};
use super::output::{CliError, Output};
use super::progress::Progress;
use crate::clock::Clock;
use crate::config::Config;
use crate::dit::Dit;
use crate::model::{Dn, ResultCode};
use crate::schema::Schema;
use crate::storage::LockUse;
use crate::wire::sync::SyncMode;
use apply::Store;
use consumer::{Consumer, Event};
use cookie::{from_hexadecimal, hexadecimal, is_of_389};
use fetched::{Fetched, counted};
use pass::Pass;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// What the copy is as of.
const STATE_FILE: &str = "migration.json";
/// Orders in one transaction.
const BATCH_MAX: usize = 512;
/// Exit status when some entries were refused.
const SOME_REFUSED: u8 = 2;

/// Move from a live OpenLDAP or 389 server: fill a new node from it, stay in step, take over.
///
/// Reads the old server by content synchronisation (RFC 4533), which OpenLDAP offers with the syncprov overlay and 389
/// with its Content Synchronization plugin. entryUUIDs (389: nsUniqueIds where there are none), timestamps, authors and
/// password hashes are kept; what a server keeps for itself is not (389: password policy state, nsds attributes). Run it first
/// without more options: it loads everything. Then with --follow it stays in step and tells how far behind it is, for
/// hours or weeks. When clients have been told to come here, stop the follower, run it once with --take-over, which
/// catches up and compares every entry, and start: entente serve.
///
/// Exit status: 0 done, 2 done but some entries were refused, 1 it could not be done; the text says what to do.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente init --data ./data --suffix dc=example,dc=com --admin-password-file pw\n  \
    entente migrate --from ldap://old -D cn=admin,dc=example,dc=com -y oldpw --base dc=example,dc=com --data ./data\n  \
    entente migrate --from ldap://old -D cn=admin,dc=example,dc=com -y oldpw --base dc=example,dc=com --data ./data --follow\n  \
    entente migrate --from ldap://old -D cn=admin,dc=example,dc=com -y oldpw --base dc=example,dc=com --data ./data --take-over")]
pub struct MigrateArgs {
    /// The old server: ldap://HOST, ldaps://HOST or ldapi:///PATH
    #[arg(long, value_name = "URL")]
    from: String,
    /// Bind there as this DN, which must be allowed to read everything, userPassword too
    #[arg(long, short = 'D', value_name = "DN")]
    bind_dn: Option<String>,
    /// A file with its password, or - for standard input
    #[arg(long, short = 'y', value_name = "FILE", requires = "bind_dn")]
    password_file: Option<PathBuf>,
    /// Ask for TLS on an ldap:// connection
    #[arg(long = "starttls", short = 'Z')]
    start_tls: bool,
    /// A PEM file with the authorities to believe, or with the old server's own certificate
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Believe the one certificate with this SHA-256 fingerprint
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "ca")]
    insecure_pin: Option<String>,
    /// The suffix to move
    #[arg(long, short, value_name = "DN")]
    base: String,
    /// Where the new data is, made by: entente init
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Stay in step until stopped (Ctrl-C or SIGTERM), telling how far behind it is
    #[arg(long, conflicts_with = "take_over")]
    follow: bool,
    /// Catch up for the last time and compare every entry; the data can be served then
    #[arg(long)]
    take_over: bool,
    /// Leave out attributes and object classes that the schema does not know, instead of stopping
    #[arg(long)]
    skip_unknown: bool,
    /// Go on though no entry comes with a password
    #[arg(long)]
    without_passwords: bool,
}

/// What stands in [`STATE_FILE`].
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Progressed {
    from: String,
    base: String,
    /// Of the old server, as hexadecimal digits.
    cookie: String,
    taken_over: bool,
}

/// Refuses data that is still the copy of another server.
///
/// # Errors
/// The text says how to end the migration, or to give it up.
pub(super) fn demand_taken_over(data: &Path) -> Result<(), CliError> {
    let Some(state) = Progressed::of(&data.join(STATE_FILE))?.filter(|state| !state.taken_over) else { return Ok(()) };
    Err(CliError::new(format!(
        "{folder} is still filled from {from}: what clients wrote here would be lost; end that first: entente migrate --from \
         {from} --base {base} --data {folder} --take-over (with the bind DN and password as before); or, to stay with what is here \
         now, remove {file}",
        folder = data.display(),
        from = state.from,
        base = state.base,
        file = data.join(STATE_FILE).display(),
    )))
}

/// Runs the command.
///
/// # Errors
/// The text says what to do.
pub fn run(args: &MigrateArgs, output: &Output) -> Result<ExitCode, CliError> {
    let lent = super::data::DataArgs { data: Some(args.data.clone()), ..super::data::DataArgs::default() };
    let (config, _lock) = lent.lock(LockUse::Replacing("migrate"))?;
    let connect = ConnectArgs::at(&args.from, args.bind_dn.clone(), args.password_file.clone());
    let target = connect.secured(args.start_tls, args.ca.clone(), args.insecure_pin.clone()).target()?;
    let schema = config.load_schema()?;
    let base = parse_dn(&args.base)?;
    let migration = Migration { args, output, config, schema, target, base };
    run_async(migration.run())
}

impl Progressed {
    /// What stands in the file; `None` if there is none.
    fn of(file: &Path) -> Result<Option<Self>, CliError> {
        match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|_| CliError::new(format!("{}: remove it to begin anew", file.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CliError::file(file, &error)),
        }
    }
}

struct Migration<'a> {
    args: &'a MigrateArgs,
    output: &'a Output,
    config: Config,
    schema: Arc<Schema>,
    target: Target,
    base: Dn,
}

impl Migration<'_> {
    async fn run(self) -> Result<ExitCode, CliError> {
        let mut state = self.state()?;
        let mut is_whole = true;
        if state.cookie.is_empty() {
            is_whole = self.load(&mut state).await?;
            if !self.args.follow && !self.args.take_over {
                return Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(SOME_REFUSED) });
            }
        }
        let dit = Dit::open(self.config.dit_options(), Arc::clone(&self.schema), Clock::system())
            .map_err(|error| CliError::new(error.to_string()))?;
        let mut store = Store::open(dit)?;
        if self.args.follow {
            self.follow(&mut store, &mut state).await?;
        } else {
            let was_whole = Self::usable(&state).is_none();
            self.pass(&mut store, &mut state, false).await?;
            if self.args.take_over {
                if !was_whole {
                    self.pass(&mut store, &mut state, true).await?;
                }
                state.taken_over = true;
                self.keep(&state)?;
            }
        }
        let tally = store.tally.clone();
        drop(store);
        vouch_for(&self.config.server.data_dir);
        let report = serde_json::to_value(&tally).map_err(|error| CliError::new(error.to_string()))?;
        self.output.report(&report, || self.tell(&tally))?;
        is_whole &= tally.refused.is_empty();
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(SOME_REFUSED) })
    }

    fn tell(&self, tally: &apply::Tally) -> String {
        let mut text = format!("{} entries changed", tally.changed);
        for (dn, reason) in &tally.refused {
            text.push_str(&format!("\nrefused: {dn}: {reason}"));
        }
        if !tally.unknown.is_empty() {
            text.push_str(&format!("\nleft out, not in the schema: {}", counted(&tally.unknown)));
        }
        for (scheme, count) in &tally.unserved_passwords {
            text.push_str(&unserved_advice(scheme, *count, None));
        }
        if self.args.take_over {
            text.push_str(&format!("\ntaken over: start it with: entente serve --data {}", self.args.data.display()));
        }
        text
    }

    fn file(&self) -> PathBuf {
        self.args.data.join(STATE_FILE)
    }

    fn state(&self) -> Result<Progressed, CliError> {
        let fresh = Progressed { from: self.args.from.clone(), base: self.args.base.clone(), ..Progressed::default() };
        let Some(state) = Progressed::of(&self.file())? else { return Ok(fresh) };
        if state.taken_over {
            return Err(CliError::new(format!(
                "{} was taken over from {} already; to begin anew remove {}",
                self.args.data.display(),
                state.from,
                self.file().display()
            )));
        }
        if state.base != self.args.base {
            return Err(CliError::new(format!("{} is of {}; use that --base", self.file().display(), state.base)));
        }
        // A cookie of OpenLDAP is good at its other suppliers too.
        Ok(Progressed { from: self.args.from.clone(), ..state })
    }

    /// Writes down what the copy is as of; the copy itself is on disk already.
    fn keep(&self, state: &Progressed) -> Result<(), CliError> {
        let (file, fresh) = (self.file(), self.args.data.join("migration.json.new"));
        let write = || -> std::io::Result<()> {
            let mut out = std::fs::File::create(&fresh)?;
            serde_json::to_writer(&mut out, state)?;
            out.sync_all()?;
            std::fs::rename(&fresh, &file)
        };
        write().map_err(|error| CliError::file(&file, &error))
    }

    /// The first pass: everything into a file, superiors first, and that as `import` does it.
    async fn load(&self, state: &mut Progressed) -> Result<bool, CliError> {
        let spool = self.args.data.join("migration.spool");
        let mut consumer = Consumer::open(&self.target, &self.args.base, SyncMode::RefreshOnly, None).await?;
        let mut fetched = Fetched::new(&spool, &self.schema, &self.base, self.args.skip_unknown)?;
        let mut progress = Progress::new(None, false);
        let cookie = 'all: loop {
            for event in consumer.next().await?.into_iter().flatten() {
                match event {
                    Event::Put(incoming) => {
                        fetched.add(incoming)?;
                        progress.advance(fetched.entries);
                    }
                    Event::End { code: ResultCode::SUCCESS, cookie, .. } => break 'all cookie,
                    Event::End { code, text, .. } => return Err(self.ended(code, &text)),
                    _ => {}
                }
            }
        };
        progress.finish();
        let (input, size) = fetched.finish(self.args)?;
        let cookie = cookie.ok_or_else(|| CliError::new("the server gave no cookie: it keeps no record of changes"))?;
        let mut progress = Progress::new(Some(size), true);
        let how = ImportOptions {
            replace: true,
            rejects: Some(self.args.data.join("migration.rejected.ldif")),
            ..ImportOptions::default()
        };
        let report = import(&self.config.dit_options(), &self.schema, input, &spool, &how, &mut progress)
            .map_err(|error: ImportError| CliError::new(error.to_string()))?;
        state.cookie = hexadecimal(&cookie);
        self.keep(state)?;
        let text = || {
            let mut text = format!("{} entries loaded in {:.1} s", report.entries, report.seconds);
            if report.rejected > 0 {
                let file = report.rejects.as_deref().unwrap_or_else(|| Path::new("")).display();
                text.push_str(&format!("; {} refused, with the reasons in {file}", report.rejected));
            }
            for (scheme, unserved) in &report.unserved_passwords {
                text.push_str(&unserved_advice(scheme, unserved.count, None));
            }
            text.push_str(&groups_advice(report.rules_without_groups));
            text
        };
        let value = serde_json::to_value(&report).map_err(|error| CliError::new(error.to_string()))?;
        self.output.report(&value, text)?;
        Ok(report.rejected == 0)
    }

    /// The cookie to go on with. 389 answers one without operational attributes, and as if nothing else were left
    /// (refreshDeletes is not set, and who stayed is not named): from 389 everything is read again.
    fn usable(state: &Progressed) -> Option<Vec<u8>> {
        from_hexadecimal(&state.cookie).filter(|cookie| !is_of_389(cookie))
    }

    /// Catches up once. `whole`: looks at every entry.
    async fn pass(&self, store: &mut Store, state: &mut Progressed, whole: bool) -> Result<(), CliError> {
        let cookie = if whole { None } else { Self::usable(state) };
        let whole = cookie.is_none();
        let mut consumer =
            Consumer::open(&self.target, &self.args.base, SyncMode::RefreshOnly, cookie.as_deref()).await?;
        let mut pass = Pass::default();
        loop {
            for event in consumer.next().await?.into_iter().flatten() {
                match event {
                    Event::End { code: ResultCode::SUCCESS, cookie, deletes, .. } => {
                        pass.refreshed(store, &self.base, deletes && !whole)?;
                        return self.reached(store, state, cookie);
                    }
                    Event::End { code: ResultCode::E_SYNC_REFRESH_REQUIRED, .. } if !whole => {
                        return Box::pin(self.pass(store, state, true)).await;
                    }
                    Event::End { code, text, .. } => return Err(self.ended(code, &text)),
                    event => pass.take(event),
                }
            }
            if pass.orders.len() >= BATCH_MAX {
                pass.apply(store)?;
            }
        }
    }

    /// Notes a cookie once nothing waits any more.
    fn reached(&self, store: &Store, state: &mut Progressed, cookie: Option<Vec<u8>>) -> Result<(), CliError> {
        match cookie {
            Some(cookie) if store.waiting() == 0 => {
                state.cookie = hexadecimal(&cookie);
                self.keep(state)
            }
            _ => Ok(()),
        }
    }

    /// Why the old server ended the search, and what to do.
    fn ended(&self, code: ResultCode, text: &str) -> CliError {
        let advice = match code {
            ResultCode::UNAVAILABLE_CRITICAL_EXTENSION => {
                "it does not offer content synchronisation: in OpenLDAP add the overlay syncprov to the database, in 389 \
                 enable the Content Synchronization plugin"
            }
            ResultCode::NO_SUCH_OBJECT => {
                "there is no such base, or the bind DN may not read it: check --base and --bind-dn"
            }
            ResultCode::INSUFFICIENT_ACCESS_RIGHTS => "the bind DN may not read all of it: bind as one who may",
            ResultCode::SIZE_LIMIT_EXCEEDED | ResultCode::ADMIN_LIMIT_EXCEEDED | ResultCode::TIME_LIMIT_EXCEEDED => {
                "its limits stop the bind DN: bind as its administrator, or lift them (OpenLDAP: limits dn.exact=… size=unlimited)"
            }
            _ => "see its log",
        };
        let text = if text.is_empty() { String::new() } else { format!(" ({})", crate::model::escape_for_log(text)) };
        CliError::new(format!("{}: {}{text}: {advice}", self.args.from, code.name()))
    }
}
