//! `lightsout token`: who may come, in which role. Works on the data directory; a running brain follows by itself.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use protocol::action::Items;

use super::Formatted;
use super::client::{Connection, Failure};
use super::output::{Format, harmless, print, print_list};
use crate::access::{BookError, Role, TokenBook};

/// `lightsout token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: TokenVerb,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token and print it: this once, for only its digest is kept
    Add(AddArgs),
    /// Who has tokens
    List(Formatted),
    /// Forget a token, or all of a person
    Revoke(RevokeArgs),
}

/// `lightsout token add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Whose it is, as the audit log will call them
    #[arg(long)]
    pub name: String,
    /// What they may do: viewer reads; approver answers proposals and canaries that ask; pipeline proposes and drives
    /// canaries; operator does everything (docs/roles.md)
    #[arg(long, value_enum)]
    pub role: Role,
    /// How many days it counts; for ever where absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,
}

/// `lightsout token revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The token's id, or a person's name
    pub which: String,
}

pub(super) fn run(connection: &Connection, args: &TokenArgs) -> Result<ExitCode, Failure> {
    let data_dir = connection.data_dir();
    let failed = |why: BookError| Failure::Failed(why.to_string());
    match &args.verb {
        TokenVerb::Add(add) => {
            protocol::id::check_name(&add.name).map_err(|why| Failure::Invalid(format!("--name: {why}")))?;
            let life = add.days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
            let made = TokenBook::add(&data_dir, &add.name, add.role, life).map_err(failed)?;
            // The secret alone on standard output, so that it can go into a file or a variable.
            eprintln!("{} for {} ({}); shown this once:", made.row.id, made.row.name, made.row.role);
            print(&format!("{}\n", made.token.reveal()))?;
        }
        TokenVerb::List(format) => list(&data_dir, format.format)?,
        TokenVerb::Revoke(revoke) => {
            let gone = TokenBook::revoke(&data_dir, &revoke.which).map_err(failed)?;
            if gone == 0 {
                let why = format!("no token and nobody is called {}", harmless(&revoke.which));
                return Err(Failure::Failed(why));
            }
            print(&format!("revoked {gone} of {}\n", harmless(&revoke.which)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(data_dir: &std::path::Path, format: Format) -> Result<(), Failure> {
    let book = TokenBook::read(data_dir).map_err(|why| Failure::Failed(why.to_string()))?;
    let heads = ["ID", "NAME", "ROLE", "MADE", "EXPIRES"];
    print_list(format, &Items::all(book.tokens), "No tokens beside those of brain.yaml.", heads, |row| {
        let expires = row.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        vec![[row.id.clone(), row.name.clone(), row.role.to_string(), row.created_at.to_string(), expires]]
    })
}
