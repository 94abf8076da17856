//! Policies in OPA's language, by the interpreter `regorus`, in this process.
//!
//! One rule of them is asked: it must be `true`. `false` and undefined deny; anything else, an error and an
//! evaluation without end deny as not to be evaluated. `input` holds `principal` (known, provider, id, claims),
//! `method`, `path`, `host`, `ip`, `route` and `services`. Time, network and randomness are not to be had.

use std::num::NonZeroU32;
use std::time::Duration;

use regorus::utils::limits::{ExecutionTimerConfig, set_fallback_execution_timer_config};
use regorus::{CompiledPolicy, Value};
use serde_json::json;

use super::{Decision, Engine, Question};

/// The largest file of policies that is read.
pub const MAX_POLICY_BYTES: usize = 1 << 20;
/// The longest evaluation.
const LIMIT: ExecutionTimerConfig = ExecutionTimerConfig {
    limit: Duration::from_millis(20),
    check_interval: NonZeroU32::MIN.saturating_add(255),
};

/// The engine.
#[derive(Debug)]
pub struct Rego {
    policy: CompiledPolicy,
    /// As it was written: `data.mesh.allow`.
    rule: String,
}

impl Rego {
    /// From files, each with its name; `rule` is what is asked.
    ///
    /// # Errors
    /// What does not parse, and a rule that is not there.
    pub fn new(files: &[(String, String)], rule: &str) -> Result<Self, String> {
        set_fallback_execution_timer_config(Some(LIMIT));
        let mut engine = regorus::Engine::new();
        engine.set_strict_builtin_errors(true);
        for (name, text) in files {
            engine.add_policy(name.clone(), text.clone()).map_err(|why| format!("{name}: {why}"))?;
        }
        let none = |why| format!("{rule}: {why}");
        let policy = engine.compile_with_entrypoint(&rule.into()).map_err(none)?;
        let this = Self { policy, rule: rule.to_owned() };
        // A rule that is not there is found out only when it is asked.
        this.policy.eval_with_input(Value::new_object()).map_err(none)?;
        Ok(this)
    }
}

fn input(asked: &Question<'_>) -> Value {
    let principal = match asked.principal {
        Some(known) => json!({
            "known": true, "provider": known.provider, "id": known.id, "claims": *known.claims,
        }),
        None => json!({"known": false, "provider": "", "id": "", "claims": {}}),
    };
    let services: Vec<&str> = asked.services.iter().map(|name| name.as_str()).collect();
    Value::from(json!({
        "principal": principal,
        "method": asked.method.as_str(),
        "path": asked.path,
        "host": asked.host,
        "ip": asked.ip.to_string(),
        "route": asked.route,
        "services": services,
    }))
}

impl Engine for Rego {
    fn decide<'a>(&'a self, question: &Question<'a>) -> Decision<'a> {
        let by = self.rule.as_str().into();
        match self.policy.eval_with_input(input(question)) {
            Ok(Value::Bool(true)) => Decision::Allow(by),
            Ok(Value::Bool(false) | Value::Undefined) => Decision::Deny(by),
            Ok(_) | Err(_) => Decision::Broken(by),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use http::Method;
    use protocol::id::ServiceName;

    use super::*;
    use crate::security::authentication::Principal;

    const POLICY: &str = r#"
        package mesh
        default allow := false
        allow if { input.method == "GET"; input.principal.known }
        allow if { "admin" in input.principal.claims.groups; startswith(input.path, "/admin") }
        text := input.path
        failing := x if { x := 1 / 0 }
        endless := n if { n := count([i | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i == j]) }
    "#;

    fn rego(rule: &str) -> Result<Rego, String> {
        Rego::new(&[("mesh.rego".to_owned(), POLICY.to_owned())], rule)
    }

    fn decide(engine: &Rego, method: &Method, path: &str, groups: Option<&[&str]>) -> String {
        let claims = groups.map(|groups| Arc::new(json!({"groups": groups}).as_object().unwrap().clone()));
        let who = claims.map(|claims| Principal::of("idp", "alice", claims));
        let services = [ServiceName::new("cart").unwrap()];
        let ip = "10.0.0.1".parse().unwrap();
        let question = Question {
            principal: who.as_ref(),
            ip,
            method,
            path,
            host: "shop",
            route: "r",
            services: &services,
        };
        engine.decide(&question).text(false)
    }

    #[test]
    fn one_rule_is_asked_and_all_but_true_denies() {
        let engine = rego("data.mesh.allow").unwrap();
        let rows: [(_, _, Option<&[&str]>, _); 4] = [
            (Method::GET, "/", Some(&[]), "allow:data.mesh.allow"),
            (Method::GET, "/", None, "deny:data.mesh.allow"),
            (Method::POST, "/admin/x", Some(&["admin"]), "allow:data.mesh.allow"),
            (Method::POST, "/admin/x", Some(&["ops"]), "deny:data.mesh.allow"),
        ];
        for (method, path, groups, said) in rows {
            assert_eq!(decide(&engine, &method, path, groups), said);
        }
        let text = rego("data.mesh.text").unwrap();
        assert_eq!(decide(&text, &Method::GET, "/", None), "error:data.mesh.text", "a text is no decision");
    }

    #[test]
    fn what_does_not_parse_or_is_not_there_is_found_when_it_is_read() {
        assert!(rego("data.mesh.alow").is_err());
        assert!(
            Rego::new(&[("a.rego".to_owned(), "package a\nallow if {".to_owned())], "data.a.allow").is_err()
        );
        assert!(rego("data.mesh.endless").is_err(), "an evaluation ends");
    }
}
