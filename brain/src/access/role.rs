//! Roles, and what each may do. The table is here and nowhere else; what it does not name needs an operator.

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, approves and rejects; answers canaries that wait for a person.
    Approver,
    /// Everything.
    Operator,
    /// A program that acts for people: reads, proposes actions and drives canaries.
    Pipeline,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Nothing that needs a name: probes, metrics, the page itself, and opening a session.
    Nothing,
    /// Looks at the mesh.
    Read,
    /// Is about the asker alone.
    Oneself,
    /// Says yes or no to a proposal.
    Answer,
    /// Steers a canary, which an approver may as far as it waits for a person's yes.
    Consent,
    /// Asks for an action, which the guard judges, or for a canary, or takes one back.
    Propose,
    /// Everything else.
    Steer,
}

impl Deed {
    /// What `method` at `route` does; `route` is as the router has it.
    #[must_use]
    pub fn of(method: &Method, route: &str) -> Self {
        let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        match route {
            "/v1/session" if method == Method::POST => Self::Nothing,
            "/v1/session" => Self::Oneself,
            _ if safe && !route.starts_with("/v1/") => Self::Nothing,
            _ if safe => Self::Read,
            "/v1/proposals/{id}/approve" | "/v1/proposals/{id}/reject" => Self::Answer,
            "/v1/canaries/{id}/pause" | "/v1/canaries/{id}/resume" | "/v1/canaries/{id}/promote" => {
                Self::Consent
            }
            "/v1/actions" => Self::Propose,
            _ if route == "/v1/canaries" || route.starts_with("/v1/canaries/") => Self::Propose,
            _ => Self::Steer,
        }
    }

    /// Which roles may do it.
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        use Role::{Approver, Operator, Pipeline, Viewer};
        match self {
            Self::Nothing | Self::Read | Self::Oneself => &[Viewer, Approver, Operator, Pipeline],
            Self::Answer => &[Approver, Operator],
            Self::Consent => &[Approver, Pipeline, Operator],
            Self::Propose => &[Pipeline, Operator],
            Self::Steer => &[Operator],
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Pipeline => "pipeline",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_does_not_name_needs_an_operator() {
        let only_operators: &[Role] = &[Role::Operator];
        for route in
            ["/v1/mode", "/v1/freeze", "/v1/unfreeze", "/v1/actions/{id}/undo", "/v1/tomorrow", "/new"]
        {
            assert_eq!(Deed::of(&Method::POST, route).roles(), only_operators, "{route}");
        }
        assert_eq!(Deed::of(&Method::DELETE, "/v1/actions").roles(), [Role::Pipeline, Role::Operator]);
        assert_eq!(Deed::of(&Method::PUT, "/v1/proposals/{id}"), Deed::Steer);
        assert_eq!(Deed::of(&Method::GET, "/v1/tomorrow"), Deed::Read);
    }

    /// `docs/roles.md`, row by row: the deeds in backticks, and who may do them.
    #[test]
    fn what_is_told_to_people_is_what_holds() {
        let rows = include_str!("../../../docs/roles.md").lines().filter(|line| line.starts_with("| `"));
        let mut told = 0;
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let may: Vec<bool> = cells[1..].iter().map(|cell| !cell.starts_with("no")).collect();
            for deed in cells[0].split('`').filter(|part| part.contains(" /")) {
                let (method, route) = deed.split_once(' ').unwrap();
                let roles = Deed::of(&method.parse().unwrap(), route).roles();
                let all = [Role::Viewer, Role::Approver, Role::Pipeline, Role::Operator];
                assert_eq!(may, all.map(|role| roles.contains(&role)), "{deed}");
                told += 1;
            }
        }
        assert!(told > 10, "{told} deeds are told of");
    }

    #[test]
    fn nobody_but_approvers_and_operators_says_yes() {
        let approve = Deed::of(&Method::POST, "/v1/proposals/{id}/approve");
        assert_eq!(approve.roles(), [Role::Approver, Role::Operator]);
    }
}
