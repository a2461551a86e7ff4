//! An order to the node that serves a data directory, over its own socket as the owner of the folder.

use super::client::{self, ConnectArgs, Connection};
use super::output::CliError;
use crate::config::Config;
use crate::storage::DataLock;
use ldap3_proto::proto::{LdapExtendedRequest, LdapOp};
use serde_json::Value;

/// Whether a node serves the data of this configuration.
///
/// # Errors
/// The lock cannot be read.
pub fn is_served(config: &Config) -> Result<bool, CliError> {
    Ok(DataLock::holder(&config.server.data_dir)?.is_some_and(|holder| holder.what == "serve"))
}

/// Gives an order and returns the answer.
///
/// # Errors
/// No node serves the data, or it refused; the text says why.
pub fn order(config: &Config, order: &Value) -> Result<Value, CliError> {
    let directory = &config.server.data_dir;
    if !is_served(config)? {
        return Err(CliError::new(format!(
            "no node serves {0}; start it with: entente serve --data {0}",
            directory.display()
        )));
    }
    let target = ConnectArgs::of_data(directory).target()?;
    client::run_async(async {
        let mut connection = Connection::open(&target).await.map_err(|error| {
            CliError::new(format!(
                "a node serves this data and did not take the order over its socket (setting server.ldapi): {error}"
            ))
        })?;
        let value = Some(order.to_string().into_bytes());
        let request = LdapExtendedRequest { name: crate::wire::extended::CLUSTER_ORDER.to_owned(), value };
        let LdapOp::ExtendedResponse(response) = connection.request(LdapOp::ExtendedRequest(request)).await? else {
            return Err(CliError::new("the node's answer is not one to this request"));
        };
        client::expect_success(&response.res).map_err(|error| match response.res.message.is_empty() {
            true => error,
            false => CliError::new(crate::model::escape_for_log(&response.res.message).to_string()),
        })?;
        connection.close().await;
        response
            .value
            .as_deref()
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .ok_or_else(|| CliError::new("the node's answer cannot be read"))
    })
}
