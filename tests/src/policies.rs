//! Policies for a test's brain: those that ship, but for what the test is about.

use std::path::Path;

use anyhow::Result;

/// Writes the shipped policies into `dir/policies`, each as `own` would have it, which gets its name and its text.
///
/// # Errors
/// When they cannot be read or written.
pub fn policies(dir: &Path, own: impl Fn(&str, String) -> String) -> Result<()> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    std::fs::create_dir_all(dir.join("policies"))?;
    for file in ["rules.yaml", "guard.yaml", "detection.yaml"] {
        let text = std::fs::read_to_string(shipped.join(file))?;
        std::fs::write(dir.join("policies").join(file), own(file, text))?;
    }
    Ok(())
}
