//! The text format's template: field names in braces, anything else as it stands; `{{` is a brace.

use super::Field;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(pub Vec<Part>);

/// One part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Literal(String),
    /// A field's value.
    Field {
        /// Which.
        field: Field,
        /// Whether it stands between quotes, where blanks may stay.
        quoted: bool,
    },
}

impl Template {
    /// Where none is given.
    pub const USUAL: &str = "{time} {client} \"{method} {host} {path} {protocol}\" {status} {reason} \
        {bytes_in} {bytes_out} {duration_ms} {upstream_ms} {route} {service} {endpoint} {attempts} \
        {request_id} {trace_id} \"{user_agent}\"";

    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(template: &str) -> Result<Self, String> {
        if let Some(control) = template.chars().find(|c| c.is_control()) {
            return Err(format!("a line cannot have {control:?} in it"));
        }
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), template);
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('{') {
                literal.push('{');
                rest = after;
                continue;
            }
            let (name, after) = after.split_once('}').ok_or("a brace is opened and never closed")?;
            let field =
                Field::named(name).ok_or_else(|| format!("{name:?} is no field of the access log"))?;
            let quoted = literal.ends_with('"') && after.starts_with('"');
            parts.push(Part::Literal(std::mem::take(&mut literal)));
            parts.push(Part::Field { field, quoted });
            rest = after;
        }
        literal.push_str(rest);
        parts.push(Part::Literal(literal));
        Ok(Self(parts))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_braces_and_may_be_quoted() {
        let parts = Template::parse("{{ \"{user_agent}\" {status}").unwrap().0;
        let field = |field, quoted| Part::Field { field, quoted };
        let literal = |text: &str| Part::Literal(text.to_owned());
        assert_eq!(
            parts,
            [
                literal("{ \""),
                field(Field::UserAgent, true),
                literal("\" "),
                field(Field::Status, false),
                literal("")
            ]
        );
        assert!(Template::parse(Template::USUAL).is_ok());
    }

    #[test]
    fn what_would_break_a_line_or_means_nothing_is_refused() {
        for wrong in ["{status", "{state}", "{}", "a\nb", "\u{1b}[1m"] {
            assert!(Template::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
