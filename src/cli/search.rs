//! `entente search`: entries by filter, over LDAP.

use super::client::{self, ConnectArgs, Connection, print_entry, print_reference};
use super::output::{CliError, Output};
use crate::model::Filter;
use crate::model::filter::{Assertion, Substrings};
use ldap3_proto::proto::{
    LdapDerefAliases, LdapFilter, LdapMatchingRuleAssertion, LdapOp, LdapSearchRequest, LdapSearchScope,
    LdapSubstringFilter,
};
use std::process::ExitCode;

/// Find entries and print them as LDIF, or with --json one JSON object a line.
///
/// Exit status: 0 the search was done (also when nothing matches), 1 the server refused or stopped it; its reason is
/// told, and what came before is printed.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente search '(cn=*ann*)' cn mail\n  \
    entente search -H ldaps://localhost:3636 --ca entente-demo/certificate.pem -b dc=example,dc=com '(mail=*)'\n  \
    entente search --data ./data '(uid=ann)' '*' +")]
pub struct SearchArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The filter (RFC 4515); every entry if not given
    #[arg(value_name = "FILTER", default_value = "(objectClass=*)")]
    filter: String,
    /// Attributes to show: names, * for all of users, + for the operational ones, 1.1 for none
    #[arg(value_name = "ATTRIBUTE")]
    attributes: Vec<String>,
    /// Where to begin; the server's own suffix if not given
    #[arg(long, short, value_name = "DN")]
    base: Option<String>,
    /// How far below
    #[arg(long, short, value_enum, default_value_t)]
    scope: SearchScope,
    /// At most so many entries; 0 leaves it to the server
    #[arg(long, short = 'z', value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    size_limit: i32,
    /// At most so many seconds; 0 leaves it to the server
    #[arg(long, short = 'l', value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    time_limit: i32,
    /// Names of attributes without values
    #[arg(long)]
    types_only: bool,
}

/// How far below its base a search goes.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum SearchScope {
    /// The base itself
    Base,
    /// Entries directly below it
    One,
    /// The base and all below it
    #[default]
    Sub,
    /// All below it, without itself
    Children,
}

/// Runs the command.
///
/// # Errors
/// The server cannot be asked, or its answer is no success.
pub fn run(args: SearchArgs, output: &Output) -> Result<ExitCode, CliError> {
    let filter = filter_of(&args.filter)?;
    let target = args.connect.target()?;
    client::run_async(async {
        let mut connection = Connection::open(&target).await?;
        let base = match args.base {
            Some(base) => base,
            None => own_suffix(&mut connection).await?,
        };
        let request = LdapSearchRequest {
            base,
            scope: match args.scope {
                SearchScope::Base => LdapSearchScope::Base,
                SearchScope::One => LdapSearchScope::OneLevel,
                SearchScope::Sub => LdapSearchScope::Subtree,
                SearchScope::Children => LdapSearchScope::Children,
            },
            aliases: LdapDerefAliases::Never,
            sizelimit: args.size_limit,
            timelimit: args.time_limit,
            typesonly: args.types_only,
            filter,
            attrs: args.attributes,
        };
        let result = connection
            .search(request, |answer| match answer {
                LdapOp::SearchResultEntry(entry) => print_entry(&entry, output),
                LdapOp::SearchResultReference(reference) => print_reference(&reference.uris, output),
                _ => Ok(()),
            })
            .await;
        // What came stays worth reading when the rest fails.
        output.flush()?;
        client::expect_success(&result?)?;
        connection.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// The suffix that the server's root DSE names first.
async fn own_suffix(connection: &mut Connection) -> Result<String, CliError> {
    let request = LdapSearchRequest {
        base: String::new(),
        scope: LdapSearchScope::Base,
        aliases: LdapDerefAliases::Never,
        sizelimit: 1,
        timelimit: 0,
        typesonly: false,
        filter: LdapFilter::Present("objectClass".to_owned()),
        attrs: vec!["defaultNamingContext".to_owned(), "namingContexts".to_owned()],
    };
    let (mut default, mut first) = (None, None);
    let result = connection
        .search(request, |answer| {
            if let LdapOp::SearchResultEntry(entry) = answer {
                for attribute in entry.attributes {
                    let value = attribute.vals.first().map(|value| String::from_utf8_lossy(value).into_owned());
                    let is_default = attribute.atype.eq_ignore_ascii_case("defaultNamingContext");
                    *(if is_default { &mut default } else { &mut first }) = value;
                }
            }
            Ok(())
        })
        .await?;
    client::expect_success(&result)?;
    default
        .or(first)
        .ok_or_else(|| CliError::new("the server names no suffix of its own; say where to begin with --base DN"))
}

/// Reads a filter as a person writes it: brackets around a single comparison may be left out.
fn filter_of(text: &str) -> Result<LdapFilter, CliError> {
    let bracketed = if text.trim_start().starts_with('(') { text.to_owned() } else { format!("({text})") };
    let filter = Filter::parse(&bracketed).map_err(|error| {
        let advice = if text.contains('=') { String::new() } else { format!("; to find a name write '(cn=*{text}*)'") };
        CliError::new(format!("'{text}' is no search filter: {error}{advice}"))
    })?;
    on_wire(filter)
}

/// The codec's form of a filter. Depth is bounded by the filter's parser.
fn on_wire(filter: Filter<'_>) -> Result<LdapFilter, CliError> {
    let all = |filters: Vec<Filter<'_>>| filters.into_iter().map(on_wire).collect::<Result<Vec<_>, _>>();
    let pair = |assertion: Assertion<'_>| -> Result<(String, String), CliError> {
        Ok((assertion.attribute.into_owned(), text(&assertion.value)?))
    };
    Ok(match filter {
        Filter::And(filters) => LdapFilter::And(all(filters)?),
        Filter::Or(filters) => LdapFilter::Or(all(filters)?),
        Filter::Not(filter) => LdapFilter::Not(Box::new(on_wire(*filter)?)),
        Filter::Equality(assertion) => {
            let (attribute, value) = pair(assertion)?;
            LdapFilter::Equality(attribute, value)
        }
        Filter::GreaterOrEqual(assertion) => {
            let (attribute, value) = pair(assertion)?;
            LdapFilter::GreaterOrEqual(attribute, value)
        }
        Filter::LessOrEqual(assertion) => {
            let (attribute, value) = pair(assertion)?;
            LdapFilter::LessOrEqual(attribute, value)
        }
        Filter::Approx(assertion) => {
            let (attribute, value) = pair(assertion)?;
            LdapFilter::Approx(attribute, value)
        }
        Filter::Present(attribute) => LdapFilter::Present(attribute.into_owned()),
        Filter::Substrings(Substrings { attribute, initial, any, last }) => {
            let part = |part: Option<std::borrow::Cow<'_, [u8]>>| part.map(|value| text(&value)).transpose();
            let parts = LdapSubstringFilter {
                initial: part(initial)?,
                any: any.iter().map(|value| text(value)).collect::<Result<_, _>>()?,
                final_: part(last)?,
            };
            LdapFilter::Substring(attribute.into_owned(), parts)
        }
        Filter::Extensible(extensible) => LdapFilter::Extensible(LdapMatchingRuleAssertion {
            matching_rule: extensible.rule.map(std::borrow::Cow::into_owned),
            type_: extensible.attribute.map(std::borrow::Cow::into_owned),
            match_value: text(&extensible.value)?,
            dn_attributes: extensible.dn_attributes,
        }),
    })
}

fn text(value: &[u8]) -> Result<String, CliError> {
    String::from_utf8(value.to_vec()).map_err(|_| {
        CliError::new("this client sends filter values in UTF-8 only; search for binary values with ldapsearch")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_goes_over_the_wire_as_it_was_written() {
        let LdapFilter::And(parts) = filter_of("(&(cn=*a*n*)(!(mail=*)))").unwrap() else { panic!("not an and") };
        let LdapFilter::Substring(name, found) = &parts[0] else { panic!("no substrings") };
        assert_eq!((name.as_str(), &found.initial, found.any.len()), ("cn", &None, 2));
        assert!(matches!(&parts[1], LdapFilter::Not(inner) if matches!(**inner, LdapFilter::Present(_))));
        assert_eq!(filter_of("uid=ann").unwrap(), LdapFilter::Equality("uid".to_owned(), "ann".to_owned()));
    }

    #[test]
    fn a_bare_word_is_told_how_to_become_a_filter() {
        assert!(filter_of("ann").unwrap_err().to_string().contains("(cn=*ann*)"));
    }
}
