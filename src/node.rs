//! Wires storage, tree, policy and doors together: start, reload, order of shutdown.
//!
//! The one place that knows more than one door. Starting goes from what can fail cheaply to what is dear (settings,
//! lock, certificates, sockets, then the data), so that a busy port is told before a large file is opened. Stopping goes
//! the other way: no new connections, what runs is finished, clients are told, then the writer commits what it has,
//! and the lock goes last.
//!
//! Invariants
//! - One process serves one data folder ([`DataLock`]).
//! - A reload takes all of the new settings that can be taken, or, when one of them is wrong, none.

mod anew;
mod background;
mod orders;
mod replication;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Clock;
use crate::config::{Config, ConfigError, SchemaLoadError, Severity};
use crate::dit::{Dit, DitError, Writer};
use crate::metrics::Metrics;
use crate::operation::sasl::Fetch;
use crate::operation::{Directory, MonitorEntry, MonitorProvider};
use crate::replication::service::{self, Service, ServiceError};
use crate::schema::time::format_generalized_time;
use crate::server::{HashingPool, Parts, Server};
use crate::storage::{DataLock, LockError, LockUse, MetaName};
use crate::telemetry::{Telemetry, count_panics};
use crate::transport::{Admission, ListenOptions, ListenUrl, Listener, Shutdown, Tls, TransportError, fetch};

pub use replication::{INVITE_VALID_S, INVITE_VALID_S_MAX, host_name, service_options};
pub use settings::{SettingsSource, own_socket};

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The settings are wrong, or fit nothing that is there.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tree cannot be opened.
    #[error(transparent)]
    Dit(#[from] DitError),
    /// Another process has the data, or the folder cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// This node's part in its cluster.
    #[error(transparent)]
    Replication(#[from] ServiceError),
    /// There is nothing to serve.
    #[error("{} holds no directory yet; make one with: entente init --data {} --suffix dc=example,dc=com", path.display(), path.display())]
    NotInitialised {
        /// The folder.
        path: PathBuf,
    },
    /// A join was begun and is not finished.
    #[error("the content of {} is not whole yet; run `entente join` with the same token again", path.display())]
    NotJoined {
        /// The folder.
        path: PathBuf,
    },
    /// A schema file cannot be read, or a definition in it is wrong.
    #[error(transparent)]
    Schema(#[from] SchemaLoadError),
    /// Settings that will not work, each in a line.
    #[error("{0}")]
    Settings(String),
    /// A thread or a signal that the operating system does not give.
    #[error("{what}: {source}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Sockets and certificates.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// A running node.
pub struct Node {
    config: Config,
    source: SettingsSource,
    telemetry: Telemetry,
    urls: Vec<ListenUrl>,
    server: Server,
    admission: Admission,
    tls: Option<Tls>,
    directory: Arc<Directory>,
    service: Service,
    replicating: tokio::task::JoinHandle<()>,
    writer: Writer,
    writer_thread: std::thread::JoinHandle<()>,
    dit: Arc<Dit>,
    background: tokio::task::JoinHandle<()>,
    signals: Signals,
    filled: Arc<tokio::sync::Notify>,
    _lock: DataLock,
}

/// What a node leaves that stopped in order to start again, with a data file that takes the place of the one before.
pub struct Left {
    source: SettingsSource,
    telemetry: Telemetry,
    signals: Signals,
    urls: Vec<ListenUrl>,
}

/// What the operating system tells a running node.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on they no longer end the process by themselves.
    fn take() -> Result<Self, NodeError> {
        let of = |kind| signal(kind).map_err(|source| NodeError::System { what: "signals", source });
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hangup: of(SignalKind::hangup())?,
        })
    }

    /// Told to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Node {
    /// Starts a node; when this returns, it answers. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`NodeError`]; nothing is left behind.
    pub async fn start(config: Config, source: SettingsSource, telemetry: Telemetry) -> Result<Self, NodeError> {
        refuse_what_will_not_work(&config)?;
        // Before anybody can know that this runs: a signal that comes now is taken once it serves.
        let signals = Signals::take()?;
        Self::start_with(config, source, telemetry, signals).await
    }

    /// Starts a node again that left for that, on the same addresses.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn start_again(left: Left) -> Result<Self, NodeError> {
        let mut config = left.source.load()?;
        refuse_what_will_not_work(&config)?;
        if config.server.listen.iter().any(|url| matches!(url, ListenUrl::Tcp { port: 0, .. })) {
            // The system chose them.
            config.server.listen = left.urls.into_iter().filter(|url| matches!(url, ListenUrl::Tcp { .. })).collect();
        }
        Self::start_with(config, left.source, left.telemetry, left.signals).await
    }

    async fn start_with(
        config: Config,
        source: SettingsSource,
        telemetry: Telemetry,
        signals: Signals,
    ) -> Result<Self, NodeError> {
        let data_dir = &config.server.data_dir;
        if !data_dir.join("data.mdb").exists() {
            return Err(NodeError::NotInitialised { path: data_dir.clone() });
        }
        let has_to_wait = anew::put_in_place(data_dir).await?;
        let lock = DataLock::acquire(data_dir, LockUse::Serving)?;
        let schema = config.load_schema()?;
        let tls = settings::tls_options(&config).map(|options| Tls::load(&options)).transpose()?;
        let listeners = listen(&config).await?;
        let urls: Vec<ListenUrl> = listeners.iter().map(|listener| listener.url().clone()).collect();

        let clock = Clock::system();
        let metrics = Arc::new(Metrics::default());
        count_panics(Arc::clone(&metrics));
        let tree = crate::dit::Options { must_exist: true, ..config.dit_options() };
        let dit = Arc::new(Dit::open(tree, schema, clock.clone())?);
        if dit
            .read()?
            .view()
            .reader()
            .meta(MetaName::Join)
            .map_err(DitError::from)?
            .is_some_and(|join| !join.is_empty())
        {
            return Err(NodeError::NotJoined { path: data_dir.clone() });
        }
        if dit.administrator().map_err(DitError::from)?.is_none() {
            return Err(NodeError::NotInitialised { path: data_dir.clone() });
        }
        let (writer, writer_thread) = Writer::start(Arc::clone(&dit), config.limits.writer_queue)?;
        let directory = Directory::new(
            Arc::clone(&dit),
            writer.clone(),
            settings::directory_options(&config, tls.is_some()),
            Arc::clone(&metrics),
        );
        directory.set_key_fetch(key_fetch(config.sasl.token_keys_ca.clone()));
        directory.add_monitor(monitor(&urls, tls.clone()));
        let filled = Arc::new(tokio::sync::Notify::new());
        let told = Arc::clone(&filled);
        let (service, replicating) = Service::start(service::Parts {
            dit: Arc::clone(&dit),
            writer: writer.clone(),
            options: service_options(&config, &urls),
            gate: replication::gate(&directory),
            filled: (!has_to_wait).then(|| -> service::Filled { Box::new(move || told.notify_one()) }),
        })
        .await?;
        if has_to_wait {
            let later = Arc::clone(&filled);
            tokio::spawn(async move {
                tokio::time::sleep(anew::RETRY).await;
                later.notify_one();
            });
        }
        replication::attach(&directory, &service);
        let hashing = HashingPool::start(settings::hashing_threads(&config), config.password.hashing_queue)
            .map_err(|source| NodeError::System { what: "the hashing threads", source })?;
        let admission = Admission::new(settings::admission_limits(&config.limits));
        admission.set_balancers(config.server.proxy_protocol_from.clone());
        let shutdown = Shutdown::new();
        let server = Server::new(Parts {
            directory: Arc::clone(&directory),
            options: settings::server_options(&config),
            tls: tls.clone(),
            admission: admission.clone(),
            shutdown: shutdown.clone(),
            metrics: Arc::clone(&metrics),
            clock,
            hashing,
        });
        for listener in listeners {
            server.listen(listener);
        }
        let background = tokio::spawn(background::run(background::Parts {
            dit: Arc::clone(&dit),
            writer: writer.clone(),
            admission: admission.clone(),
            metrics,
            tls: tls.clone(),
            shutdown,
        }));
        Ok(Self {
            config,
            source,
            telemetry,
            urls,
            server,
            admission,
            tls,
            directory,
            service,
            replicating,
            writer,
            writer_thread,
            dit,
            background,
            signals,
            filled,
            _lock: lock,
        })
    }

    /// The addresses that it answers on, with the ports that the system chose.
    pub fn urls(&self) -> &[ListenUrl] {
        &self.urls
    }

    /// Serves until SIGTERM or SIGINT, taking new settings on SIGHUP, and stops in order. If another data file is to take the
    /// place of the one that is served, it returns what the start after that needs.
    pub async fn run(mut self) -> Option<Left> {
        notify(&[NotifyState::Ready]);
        tracing::info!(urls = %self.urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), "ready");
        let is_filled = loop {
            tokio::select! {
                _ = self.signals.terminate.recv() => break false,
                _ = self.signals.interrupt.recv() => break false,
                _ = self.signals.hangup.recv() => self.reload(),
                () = self.filled.notified() => break true,
            }
        };
        if is_filled {
            // A service manager that heard of stopping would make it last.
            notify_of_reloading();
        } else {
            notify(&[NotifyState::Stopping]);
        }
        let left = self.stop().await;
        is_filled.then_some(left)
    }

    /// Takes the reloadable settings and reads certificates again; what is wrong changes nothing and is logged.
    fn reload(&mut self) {
        notify_of_reloading();
        if let Err(error) = self.try_reload() {
            tracing::error!(%error, "settings were not reloaded; the old ones stay");
        }
        notify(&[NotifyState::Ready]);
    }

    fn try_reload(&mut self) -> Result<(), NodeError> {
        let (config, kept) = self.config.reloaded(&self.source.load()?);
        refuse_what_will_not_work(&config)?;
        match (&self.tls, settings::tls_options(&config)) {
            (Some(tls), Some(options)) => tls.reload(&options)?,
            (None, Some(options)) => {
                self.tls = Some(Tls::load(&options)?);
                self.server.set_tls(self.tls.clone());
            }
            (Some(_), None) => {
                self.tls = None;
                self.server.set_tls(None);
            }
            (None, None) => {}
        }
        self.server.set_options(settings::server_options(&config));
        self.admission.set_limits(settings::admission_limits(&config.limits));
        self.admission.set_balancers(config.server.proxy_protocol_from.clone());
        self.directory.set_options(settings::directory_options(&config, self.tls.is_some()));
        if let Err(error) = self.telemetry.reload(&config.log) {
            tracing::error!(%error, "the log goes on as before");
        }
        let kept: Vec<_> = kept.iter().map(ToString::to_string).collect();
        tracing::info!(need_restart = %kept.join(" "), "settings reloaded");
        self.config = config;
        Ok(())
    }

    /// Stops in order; a second signal ends the wait for what runs.
    async fn stop(mut self) -> Left {
        tracing::info!("stopping");
        let drain = Duration::from_secs(u64::from(self.config.server.drain_s));
        let cut = tokio::select! {
            cut = self.server.stop(drain) => cut,
            () = self.signals.stop() => self.server.stop(Duration::ZERO).await,
        };
        if cut > 0 {
            tracing::warn!(connections = cut, "still at work after server.drain_s, and cut");
        }
        self.service.stop().await;
        let _ = self.replicating.await;
        // It looks at nothing but the store, and ends between two pieces of work.
        let _ = self.background.await;
        let (writer, thread) = (self.writer, self.writer_thread);
        let joined = tokio::task::spawn_blocking(move || {
            self.directory.write_marks(true);
            writer.stop();
            let is_in_order = thread.join().is_ok();
            if is_in_order && let Err(error) = self.dit.leave_handover() {
                tracing::warn!(%error, "what the next start is to go on from cannot be left behind");
            }
            is_in_order
        });
        if !joined.await.unwrap_or(false) {
            tracing::error!("the writer ended by a defect; what it had not answered is not stored");
        }
        tracing::info!("stopped");
        Left { source: self.source, telemetry: self.telemetry, signals: self.signals, urls: self.urls }
    }
}

/// Who gets the keys of an issuer of tokens.
fn key_fetch(authorities: Option<PathBuf>) -> Fetch {
    let clock = Clock::system();
    Box::new(move |url| fetch(url, authorities.as_ref(), &clock))
}

/// What this floor knows, for cn=monitor.
fn monitor(urls: &[ListenUrl], tls: Option<Tls>) -> MonitorProvider {
    let listen: Vec<_> = urls.iter().map(|url| ("listen".to_owned(), url.to_string())).collect();
    Box::new(move || {
        let mut lines = listen.clone();
        if let Some(tls) = &tls {
            lines.push(("certificate_sha256".to_owned(), tls.fingerprint()));
            let expires = tls.expires_unix_s().map(|seconds| format_generalized_time(seconds.saturating_mul(1000)));
            lines.extend(expires.map(|expires| ("certificate_ends".to_owned(), expires)));
        }
        let description = "Addresses that this server answers on, and its certificate".to_owned();
        vec![MonitorEntry { name: "listeners".to_owned(), description, lines }]
    })
}

/// Errors refuse the start; warnings are logged.
fn refuse_what_will_not_work(config: &Config) -> Result<(), NodeError> {
    let findings = config.check();
    let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    if errors.is_empty() {
        for finding in findings.iter().filter(|finding| finding.severity == Severity::Warning) {
            tracing::warn!("{}: {}", finding.setting, finding.text);
        }
        return Ok(());
    }
    let lines: Vec<_> = errors.iter().map(|finding| format!("{}: {}", finding.setting, finding.text)).collect();
    Err(NodeError::Settings(lines.join("\n")))
}

/// Binds every address, or none.
async fn listen(config: &Config) -> Result<Vec<Listener>, NodeError> {
    let options = ListenOptions { backlog: config.server.backlog, ..ListenOptions::default() };
    let mut listeners = Vec::new();
    for url in settings::listen_urls(config) {
        listeners.extend(Listener::bind(&url, options).await?);
    }
    Ok(listeners)
}

/// Tells the service manager that it will not be ready for a moment.
fn notify_of_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// Tells the service manager, if there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
