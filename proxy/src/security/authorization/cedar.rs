//! Policies in Cedar's language, over the schema that is shipped beside them.
//!
//! Principal: `Client::"PROVIDER:ID"`, or `Client::""`; action: `Action::"GET"` and the like, in
//! `Action::"read"` or `Action::"write"`; resource: `Route::"NAME"`; context: path, host, method, ip.
//! Cedar leaves a policy out that fails while it is evaluated. Here that is a denial: a `forbid` that cannot
//! be evaluated must not let pass what it is there to stop.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::str::FromStr;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Verdict, Entities, Entity, EntityId, EntityTypeName,
    EntityUid, PolicyId, PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};

use super::{DEFAULT, Decision, Engine, Question};

/// The schema that policies are checked against.
pub const SCHEMA: &str = include_str!("../../../../policies/authorization/schema.cedarschema");
/// The largest file of policies that is read.
pub const MAX_POLICY_BYTES: usize = 1 << 20;
/// Methods with an action of their own.
const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

/// The engine.
pub struct Cedar {
    policies: PolicySet,
    authorizer: Authorizer,
    client: EntityTypeName,
    route: EntityTypeName,
    /// Each with its method; the last is for all others.
    actions: Vec<(&'static str, EntityUid)>,
    /// The actions and their groups, as policies ask for them.
    known: Entities,
}

impl Cedar {
    /// From files, each with its name.
    ///
    /// # Errors
    /// Everything that is wrong with them: what does not parse, and what the schema does not know.
    pub fn new(files: &[(String, String)]) -> Result<Self, Vec<String>> {
        let mut policies = PolicySet::new();
        let mut faults = Vec::new();
        for (name, text) in files {
            if let Err(why) = add(&mut policies, name, text) {
                faults.push(format!("{name}: {why}"));
            }
        }
        let broken = |why: String| vec![format!("the schema of policies: {why}")];
        let (schema, _warnings) =
            Schema::from_cedarschema_str(SCHEMA).map_err(|why| broken(why.to_string()))?;
        let known = schema.action_entities().map_err(|why| broken(why.to_string()))?;
        let checked = Validator::new(schema).validate(&policies, ValidationMode::Strict);
        faults.extend(checked.validation_errors().map(|fault| fault.to_string()));
        if !faults.is_empty() {
            return Err(faults);
        }
        let kind = |name: &str| EntityTypeName::from_str(name).map_err(|why| broken(why.to_string()));
        let action = kind("Action")?;
        let uid = |name: &'static str| {
            (name, EntityUid::from_type_name_and_id(action.clone(), EntityId::new(name)))
        };
        let actions = METHODS.into_iter().chain(["other"]).map(uid).collect();
        let (client, route) = (kind("Client")?, kind("Route")?);
        Ok(Self { policies, authorizer: Authorizer::new(), client, route, actions, known })
    }

    /// Who asks, for what, in Cedar's words.
    fn put(&self, asked: &Question<'_>) -> Result<(Request, Entities), String> {
        let principal = self.principal(asked)?;
        let id = EntityId::new(asked.route);
        let resource = EntityUid::from_type_name_and_id(self.route.clone(), id);
        let services: Vec<_> = asked.services.iter().map(|name| text(name.as_str())).collect();
        let services = HashMap::from([("services".to_owned(), RestrictedExpression::new_set(services))]);
        let resource = Entity::new(resource, services, HashSet::new()).map_err(|why| why.to_string())?;
        let method = asked.method.as_str();
        let action = self.actions.iter().find(|(name, _)| *name == method).or(self.actions.last());
        let action = action.map(|(_, uid)| uid.clone()).ok_or("no action")?;
        let context = Context::from_pairs([
            ("path".to_owned(), text(asked.path)),
            ("host".to_owned(), text(asked.host)),
            ("method".to_owned(), text(method)),
            ("ip".to_owned(), RestrictedExpression::new_ip(asked.ip.to_string())),
        ]);
        let context = context.map_err(|why| why.to_string())?;
        let request = Request::new(principal.uid(), action, resource.uid(), context, None);
        let request = request.map_err(|why| why.to_string())?;
        let entities = self.known.clone().add_entities([principal, resource], None);
        Ok((request, entities.map_err(|why| why.to_string())?))
    }

    fn principal(&self, asked: &Question<'_>) -> Result<Entity, String> {
        let (name, provider, id) = match asked.principal {
            Some(known) => (known.name.as_str(), known.provider.as_str(), known.id.as_str()),
            None => ("", "", ""),
        };
        let attributes = HashMap::from([
            ("known".to_owned(), RestrictedExpression::new_bool(asked.principal.is_some())),
            ("provider".to_owned(), text(provider)),
            ("id".to_owned(), text(id)),
        ]);
        let uid = EntityUid::from_type_name_and_id(self.client.clone(), EntityId::new(name));
        let claims = asked.principal.into_iter().flat_map(|known| {
            let texts = |claim: &String| RestrictedExpression::new_set(known.texts(claim).map(text));
            known.claims.keys().map(move |claim| (claim.clone(), texts(claim)))
        });
        Entity::new_with_tags(uid, attributes, [], claims).map_err(|why| why.to_string())
    }
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

/// Adds the policies of a file, each by the name that its `@id` gives it, or by its place.
fn add(policies: &mut PolicySet, file: &str, given: &str) -> Result<(), String> {
    let read = PolicySet::from_str(given).map_err(|why| why.to_string())?;
    if read.templates().next().is_some() {
        return Err("templates have nobody to fill them in".to_owned());
    }
    let stem =
        Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    for policy in read.policies() {
        let own = policy.annotation("id").map(str::to_owned);
        let name = own.unwrap_or_else(|| format!("{stem}.{}", policy.id()));
        policies.add(policy.new_id(PolicyId::new(name))).map_err(|why| why.to_string())?;
    }
    Ok(())
}

impl Engine for Cedar {
    fn decide<'a>(&'a self, question: &Question<'a>) -> Decision<'a> {
        let (request, entities) = match self.put(question) {
            Ok(put) => put,
            Err(why) => return Decision::Broken(why.into()),
        };
        let response = self.authorizer.is_authorized(&request, &self.policies, &entities);
        let said = response.diagnostics();
        if let Some(AuthorizationError::PolicyEvaluationError(error)) = said.errors().next() {
            return Decision::Broken(error.policy_id().to_string().into());
        }
        let by = said.reason().next().map_or_else(|| DEFAULT.into(), |policy| policy.to_string().into());
        match response.decision() {
            Verdict::Allow => Decision::Allow(by),
            Verdict::Deny => Decision::Deny(by),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use http::Method;
    use protocol::id::ServiceName;

    use super::*;

    fn cedar(text: &str) -> Result<Cedar, Vec<String>> {
        Cedar::new(&[("mesh.cedar".to_owned(), text.to_owned())])
    }

    fn asked<'a>(method: &'a Method, path: &'a str, services: &'a [ServiceName]) -> Question<'a> {
        let ip = "10.0.0.1".parse().unwrap();
        Question { principal: None, ip, method, path, host: "shop.test", route: "r", services }
    }

    #[test]
    fn the_shipped_sample_is_taken_and_what_the_schema_does_not_know_is_not() {
        let sample = include_str!("../../../../policies/authorization/sample.cedar");
        let engine = cedar(sample).unwrap_or_else(|why| panic!("{why:?}"));
        let decision = engine.decide(&asked(&Method::GET, "/", &[]));
        assert_eq!(decision, Decision::Deny(DEFAULT.into()), "nobody is known");
        for wrong in [
            "permit (principal, action, resource) when { principal.admin };",
            "permit (principal == User::\"x\", action, resource);",
            "permit (principal, action, resource) when { context.path == 7 };",
            "permit (principal == ?principal, action, resource);",
            "permit (principal",
            "@id(\"a\") permit (principal, action, resource); @id(\"a\") permit (principal, action, resource);",
        ] {
            assert!(cedar(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_policy_that_cannot_be_evaluated_denies_by_its_name() {
        let text = "permit (principal, action, resource);
                    @id(\"sum\") forbid (principal, action, resource) when { 9223372036854775807 + 1 > 0 };";
        let engine = cedar(text).unwrap_or_else(|why| panic!("{why:?}"));
        assert_eq!(engine.decide(&asked(&Method::GET, "/", &[])), Decision::Broken("sum".into()));
    }

    /// `cargo test --release -p proxy --lib hundred_policies -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn a_decision_by_a_hundred_policies_takes() {
        let policy = |n: usize| {
            format!(
                "@id(\"p{n}\") permit (principal == Client::\"idp:user-{n}\", action in Action::\"read\", resource)
                 when {{ context.path like \"/team-{n}/*\" && context.ip.isInRange(ip(\"10.0.0.0/8\")) }};\n"
            )
        };
        let text: String =
            (0..99).map(policy).chain(["permit (principal, action, resource);".to_owned()]).collect();
        let engine = cedar(&text).unwrap_or_else(|why| panic!("{why:?}"));
        let services = [ServiceName::new("cart").unwrap()];
        let mut rounds: Vec<_> = (0..5_000)
            .map(|_| {
                let began = std::time::Instant::now();
                assert!(engine.decide(&asked(&Method::GET, "/team-7/x", &services)).allows());
                began.elapsed()
            })
            .collect();
        rounds.sort_unstable();
        println!("100 policies: median {:?}, p99 {:?}", rounds[2_500], rounds[4_950]);
    }
}
