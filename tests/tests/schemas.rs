//! The shipped JSON Schemas are those of the build; `UPDATE_SCHEMAS=1 cargo test --test schemas` writes them anew.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use anyhow::{Context, Result};
use tests::run;

const DOCUMENTS: [(&str, &str, &[&str]); 8] = [
    ("proxy", "sidecar-proxy", &["generate-config", "--schema"]),
    ("brain", "lightsout", &["policy", "schema", "brain"]),
    ("rules", "lightsout", &["policy", "schema", "rules"]),
    ("guard", "lightsout", &["policy", "schema", "guard"]),
    ("detection", "lightsout", &["policy", "schema", "detection"]),
    ("canaries", "lightsout", &["policy", "schema", "canaries"]),
    ("canary", "lightsout", &["policy", "schema", "canary"]),
    ("api", "lightsout", &["policy", "schema", "api"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_schemas_are_those_of_the_build() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/schemas");
    for (name, program, arguments) in DOCUMENTS {
        let output = run(program, arguments, &folder).await?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = folder.join(format!("{name}.schema.json"));
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &output.stdout)?;
        }
        let shipped = std::fs::read(&path).with_context(|| path.display().to_string())?;
        assert!(shipped == output.stdout, "{} is out of date", path.display());
        let schema: serde_json::Value = serde_json::from_slice(&shipped)?;
        if name == "api" {
            assert_eq!(schema["openapi"], "3.1.0", "the document that the console's types are made from");
            continue;
        }
        assert_eq!(schema["additionalProperties"], false, "{name}: unknown keys are mistakes");
    }
    Ok(())
}
