//! From the configuration to what each floor takes; and where the configuration came from, so that it can be read again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Config, ConfigError, Durability, Ldapi, Limits, Sasl, TlsVersion};
use crate::model::Dn;
use crate::operation::assurance::DurabilityRequest;
use crate::operation::sasl::{
    CertificateRule, KerberosOptions, KeySource, LocalUserOptions, PrincipalRule, SaslOptions, TokenOptions,
};
use crate::operation::{DefaultSearchBase, Options as DirectoryOptions};
use crate::policy::limits::LimitsOptions;
use crate::policy::scram::ScramHash;
use crate::policy::throttle::ThrottleOptions;
use crate::policy::token::TokenRules;
use crate::server::{ClearText, Options as ServerOptions};
use crate::transport::{AdmissionLimits, FetchUrl, ListenUrl, TlsOptions};
use crate::wire::assurance::DurabilityLevel;

/// Where the settings of a node come from; later ones win.
#[derive(Clone, Debug, Default)]
pub struct SettingsSource {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--set`, in order.
    pub sets: Vec<String>,
    /// `--data`.
    pub data_dir: Option<PathBuf>,
    /// `--listen`; takes the place of all addresses when there is one.
    pub listen: Vec<ListenUrl>,
}

impl SettingsSource {
    /// Reads everything again.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(self.file.as_deref(), &self.sets)?;
        if let Some(data_dir) = &self.data_dir {
            config.server.data_dir.clone_from(data_dir);
        }
        if !self.listen.is_empty() {
            config.server.listen.clone_from(&self.listen);
        }
        Ok(config)
    }
}

/// What a connection may cost.
pub(super) fn server_options(config: &Config) -> ServerOptions {
    let limits = &config.limits;
    ServerOptions {
        pdu_bytes_before_bind: limits.pdu_bytes_before_bind,
        pdu_bytes: limits.pdu_bytes,
        controls: limits.controls,
        requests_in_flight: limits.requests_in_flight,
        output_bytes: limits.output_bytes,
        handshake: Duration::from_secs(u64::from(limits.handshake_s)),
        idle_before_bind_s: limits.idle_before_bind_s,
        idle_s: limits.idle_s,
        clear_text: clear_text(config, config.server.require_tls_for_simple_bind || config.server.require_tls),
        operations_in_clear: clear_text(config, config.server.require_tls),
    }
}

/// From where something may come without TLS.
fn clear_text(config: &Config, needs_tls: bool) -> ClearText {
    match (needs_tls, config.server.loopback_needs_no_tls) {
        (false, _) => ClearText::Everywhere,
        (true, true) => ClearText::Loopback,
        (true, false) => ClearText::Refused,
    }
}

/// What the operations need to know.
pub(super) fn directory_options(config: &Config, has_tls: bool) -> DirectoryOptions {
    let (limits, server) = (&config.limits, &config.server);
    DirectoryOptions {
        limits: LimitsOptions {
            size: limits.size,
            size_anonymous: if limits.anonymous_size == 0 { limits.size } else { limits.anonymous_size },
            time_s: limits.time_s,
            look_through: limits.lookthrough,
            sort_bytes: limits.sort_bytes,
            tree_delete: limits.tree_delete,
            transaction_updates: limits.transaction_updates,
            transaction_bytes: limits.transaction_bytes,
            transaction_s: limits.transaction_s,
        },
        // A text that is no DN was refused before.
        default_search_base: match server.default_search_base.as_str() {
            "none" => DefaultSearchBase::Nowhere,
            text => Dn::parse(text)
                .ok()
                .filter(|dn| !dn.is_root())
                .map_or(DefaultSearchBase::Suffix, DefaultSearchBase::Named),
        },
        starttls: has_tls,
        require_tls_for_simple_bind: server.require_tls_for_simple_bind,
        loopback_needs_no_tls: server.loopback_needs_no_tls,
        durability: DurabilityRequest {
            level: match config.replication.durability {
                Durability::Local => DurabilityLevel::Local,
                Durability::Quorum => DurabilityLevel::Quorum(config.replication.quorum),
                Durability::Site => DurabilityLevel::Site,
                Durability::All => DurabilityLevel::All,
            },
            wait_ms: u64::from(config.replication.durability_wait_ms),
        },
        sasl: sasl_options(&config.sasl, &config.ldapi),
        scram: config.password.scram.iter().filter_map(|name| ScramHash::of(name)).collect(),
        throttle: ThrottleOptions {
            per_account: limits.failed_binds_per_account,
            per_address: limits.failed_binds_per_address,
            window: Duration::from_secs(u64::from(limits.failed_binds_window_s)),
        },
        scram_iterations: config.password.scram_iterations,
        upgrade_hashes: config.password.upgrade,
        tell_locked: config.password.tell_locked,
        ..DirectoryOptions::default()
    }
}

/// SASL; what cannot be read was refused before.
fn sasl_options(sasl: &Sasl, ldapi: &Ldapi) -> SaslOptions {
    SaslOptions {
        plain: sasl.plain,
        plain_without_tls: sasl.plain_without_tls,
        user_attribute: sasl.user_attribute.clone(),
        user_base: Dn::parse(&sasl.user_base).ok().filter(|dn| !dn.is_root()),
        simple_by_user: sasl.simple_by_user,
        certificate_map: sasl.certificate_map.iter().filter_map(|rule| CertificateRule::parse(rule)).collect(),
        kerberos: sasl.keytab.as_ref().map(|keytab| KerberosOptions {
            keytab: keytab.clone(),
            principal: sasl.principal.clone(),
            map: sasl.principal_map.iter().filter_map(|rule| PrincipalRule::parse(rule)).collect(),
        }),
        token: token_options(sasl),
        local_users: (!ldapi.user_attribute.is_empty()).then(|| LocalUserOptions {
            user_attribute: ldapi.user_attribute.clone(),
            group_attribute: ldapi.group_attribute.clone(),
            base: Dn::parse(&ldapi.base).ok().filter(|dn| !dn.is_root()),
        }),
    }
}

fn token_options(sasl: &Sasl) -> Option<TokenOptions> {
    if sasl.token_issuer.is_empty() || sasl.token_audience.is_empty() {
        return None;
    }
    let keys = match FetchUrl::parse(&sasl.token_keys) {
        Some(_) => KeySource::Url(sasl.token_keys.clone()),
        None if sasl.token_keys.is_empty() => return None,
        None => KeySource::File(PathBuf::from(&sasl.token_keys)),
    };
    let attribute = if sasl.token_attribute.is_empty() { &sasl.user_attribute } else { &sasl.token_attribute };
    Some(TokenOptions {
        rules: TokenRules {
            issuer: sasl.token_issuer.clone(),
            audience: sasl.token_audience.clone(),
            user_claim: sasl.token_user_claim.clone(),
            skew_s: i64::from(sasl.token_skew_s),
        },
        keys,
        attribute: attribute.clone(),
    })
}

pub(super) fn admission_limits(limits: &Limits) -> AdmissionLimits {
    AdmissionLimits { connections: limits.connections, connections_per_address: limits.connections_per_address }
}

/// TLS, if both certificate and key are named.
pub(super) fn tls_options(config: &Config) -> Option<TlsOptions> {
    let tls = &config.tls;
    Some(TlsOptions {
        certificate: tls.certificate.clone()?,
        key: tls.key.clone()?,
        client_ca: tls.client_ca.clone(),
        client_certificate_required: tls.client_certificate_required,
        tls13_only: tls.min_version == TlsVersion::V1_3,
    })
}

/// The addresses to listen on, the node's own socket last.
pub(super) fn listen_urls(config: &Config) -> Vec<ListenUrl> {
    let mut urls = config.server.listen.clone();
    if config.server.ldapi {
        let own = ListenUrl::Unix { path: own_socket(&config.server.data_dir) };
        if !urls.contains(&own) {
            urls.push(own);
        }
    }
    urls
}

/// The node's own socket, which online commands use. Absolute, as clients run elsewhere.
pub fn own_socket(data_dir: &Path) -> PathBuf {
    std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned()).join("ldapi")
}

/// How many threads hash, where the setting leaves it open: half of the cores.
pub(super) fn hashing_threads(config: &Config) -> usize {
    match config.password.hashing_threads {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
        threads => threads,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_win_over_settings() {
        let source = SettingsSource {
            sets: vec!["server.data_dir=/a".to_owned(), "limits.size=7".to_owned()],
            data_dir: Some(PathBuf::from("/b")),
            listen: vec!["ldap://127.0.0.1:0".parse().unwrap()],
            ..SettingsSource::default()
        };
        let config = source.load().unwrap();
        assert_eq!((config.server.data_dir.as_path(), config.limits.size), (Path::new("/b"), 7));
        let urls: Vec<_> = listen_urls(&config).iter().map(ToString::to_string).collect();
        assert_eq!(urls, ["ldap://127.0.0.1:0", "ldapi://%2Fb%2Fldapi"]);
    }

    #[test]
    fn defaults_of_the_floors_are_those_of_the_configuration() {
        let config = Config::default();
        assert_eq!(server_options(&config), ServerOptions::default());
        assert_eq!(directory_options(&config, false), DirectoryOptions::default());
    }
}
