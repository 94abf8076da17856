//! Policies in Cedar's language, over the schema that is shipped beside them.
//!
//! Principal: `Client::"PROVIDER:ID"`, or `Client::""`; action: `Action::"GET"` and the like, in
//! `Action::"read"` or `Action::"write"`; resource: `Route::"NAME"`; context: path, host, method, ip.
//! Of all policies only those are evaluated whose scope can mean the request: they are kept apart by action, and by
//! the one principal and the one route that they name. A policy that names neither is always evaluated.
//! Cedar leaves a policy out that fails while it is evaluated. Here that is a denial: a `forbid` that cannot
//! be evaluated must not let pass what it is there to stop.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::str::FromStr;

use cedar_policy::{
    ActionConstraint, AuthorizationError, Authorizer, Context, Decision as Verdict, Entities, Entity,
    EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, Request,
    ResourceConstraint, RestrictedExpression, Schema, ValidationMode, Validator,
};

use super::{DEFAULT, Decision, Engine, Question};

/// The schema that policies are checked against.
pub const SCHEMA: &str = include_str!("../../../../policies/authorization/schema.cedarschema");
/// The largest file of policies that is read.
pub const MAX_POLICY_BYTES: usize = 1 << 20;
/// Methods with an action of their own.
const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

/// The principal and the route that policies name in their scope; absent: they name none.
type Scope = (Option<EntityUid>, Option<EntityUid>);

/// What is asked of one kind of requests.
struct ByAction {
    /// The method; the last action is for all others.
    method: &'static str,
    uid: EntityUid,
    /// The action itself, with the groups that it is in.
    entity: Entity,
    policies: HashMap<Scope, PolicySet>,
}

/// The engine.
pub struct Cedar {
    authorizer: Authorizer,
    client: EntityTypeName,
    route: EntityTypeName,
    actions: Vec<ByAction>,
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
        let kind = |name: &str| EntityTypeName::from_str(name).map_err(|why| broken(why.to_string()));
        let (client, route, action) = (kind("Client")?, kind("Route")?, kind("Action")?);
        let known = schema.action_entities().map_err(|why| broken(why.to_string()))?;
        let checked = Validator::new(schema).validate(&policies, ValidationMode::Strict);
        faults.extend(checked.validation_errors().map(|fault| fault.to_string()));
        if !faults.is_empty() {
            return Err(faults);
        }
        let by_action = |method: &'static str| {
            let uid = EntityUid::from_type_name_and_id(action.clone(), EntityId::new(method));
            let groups: HashSet<EntityUid> = known.ancestors(&uid).into_iter().flatten().cloned().collect();
            let entity = Entity::new_no_attrs(uid.clone(), groups.clone());
            let policies = apart(&policies, &uid, &groups).map_err(|why| vec![why])?;
            Ok(ByAction { method, uid, entity, policies })
        };
        let actions =
            METHODS.into_iter().chain(["other"]).map(by_action).collect::<Result<_, Vec<String>>>()?;
        Ok(Self { authorizer: Authorizer::new(), client, route, actions })
    }

    /// Who asks, for what, in Cedar's words.
    fn put(&self, asked: &Question<'_>) -> Result<(Request, Entities, &ByAction), String> {
        let principal = self.principal(asked)?;
        let id = EntityId::new(asked.route);
        let resource = EntityUid::from_type_name_and_id(self.route.clone(), id);
        let services: Vec<_> = asked.services.iter().map(|name| text(name.as_str())).collect();
        let services = HashMap::from([("services".to_owned(), RestrictedExpression::new_set(services))]);
        let resource = Entity::new(resource, services, HashSet::new()).map_err(|why| why.to_string())?;
        let method = asked.method.as_str();
        let action = self.actions.iter().find(|action| action.method == method).or(self.actions.last());
        let action = action.ok_or("no action")?;
        let context = Context::from_pairs([
            ("path".to_owned(), text(asked.path)),
            ("host".to_owned(), text(asked.host)),
            ("method".to_owned(), text(method)),
            ("ip".to_owned(), RestrictedExpression::new_ip(asked.ip.to_string())),
        ]);
        let context = context.map_err(|why| why.to_string())?;
        let request = Request::new(principal.uid(), action.uid.clone(), resource.uid(), context, None);
        let request = request.map_err(|why| why.to_string())?;
        let entities = Entities::from_entities([principal, resource, action.entity.clone()], None);
        Ok((request, entities.map_err(|why| why.to_string())?, action))
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

/// The policies that can mean requests of `action`, which is in `groups`, by what else their scope names.
fn apart(
    all: &PolicySet,
    action: &EntityUid,
    groups: &HashSet<EntityUid>,
) -> Result<HashMap<Scope, PolicySet>, String> {
    let mut apart: HashMap<Scope, PolicySet> = HashMap::new();
    let means = |uid: &EntityUid| uid == action || groups.contains(uid);
    let meant = |policy: &&Policy| match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::In(uids) => uids.iter().any(means),
        ActionConstraint::Eq(uid) => uid == *action,
    };
    for policy in all.policies().filter(meant) {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Eq(uid) => Some(uid),
            _ => None,
        };
        let route = match policy.resource_constraint() {
            ResourceConstraint::Eq(uid) => Some(uid),
            _ => None,
        };
        apart.entry((principal, route)).or_default().add(policy.clone()).map_err(|why| why.to_string())?;
    }
    Ok(apart)
}

impl Engine for Cedar {
    fn decide<'a>(&'a self, question: &Question<'a>) -> Decision<'a> {
        let (request, entities, action) = match self.put(question) {
            Ok(put) => put,
            Err(why) => return Decision::Broken(why.into()),
        };
        let (who, route) = (request.principal().cloned(), request.resource().cloned());
        let mut allowed = None;
        for scope in [(None, None), (who.clone(), None), (None, route.clone()), (who, route)] {
            let Some(policies) = action.policies.get(&scope) else { continue };
            let response = self.authorizer.is_authorized(&request, policies, &entities);
            let said = response.diagnostics();
            if let Some(AuthorizationError::PolicyEvaluationError(error)) = said.errors().next() {
                return Decision::Broken(error.policy_id().to_string().into());
            }
            let by = said.reason().next().map(ToString::to_string);
            match (response.decision(), by) {
                (Verdict::Deny, Some(by)) => return Decision::Deny(by.into()),
                (Verdict::Allow, by) => allowed = allowed.or(by),
                (Verdict::Deny, None) => {}
            }
        }
        allowed.map_or_else(|| Decision::Deny(DEFAULT.into()), |by| Decision::Allow(by.into()))
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

    #[test]
    fn policies_that_are_kept_apart_decide_as_if_they_were_together() {
        let text = r#"
            @id("reads") permit (principal, action in Action::"read", resource);
            @id("put") permit (principal, action == Action::"PUT", resource == Route::"r");
            @id("some") permit (principal, action in [Action::"PATCH", Action::"DELETE"], resource);
            @id("nobody") permit (principal == Client::"", action == Action::"POST", resource == Route::"r");
            @id("root") permit (principal == Client::"idp:root", action, resource);
            @id("hidden") forbid (principal, action, resource == Route::"r") when { context.path == "/hidden" };
            @id("shut") forbid (principal == Client::"", action in Action::"write", resource)
              when { context.path == "/shut" };
            @id("word") permit (principal, action, resource) when { action in Action::"write" && context.path == "/in" };
        "#;
        let engine = cedar(text).unwrap_or_else(|why| panic!("{why:?}"));
        let purge = Method::from_bytes(b"PURGE").unwrap();
        for (method, path, said) in [
            (Method::GET, "/", "allow:reads"),
            (Method::OPTIONS, "/", "allow:reads"),
            (Method::PUT, "/", "allow:put"),
            (Method::DELETE, "/", "allow:some"),
            (Method::POST, "/", "allow:nobody"),
            (purge.clone(), "/", "deny:default"),
            (purge, "/in", "allow:word"),
            (Method::GET, "/hidden", "deny:hidden"),
            (Method::POST, "/shut", "deny:shut"),
            (Method::GET, "/shut", "allow:reads"),
        ] {
            assert_eq!(engine.decide(&asked(&method, path, &[])).text(false), said, "{method} {path}");
        }
    }
}
