//! Whether a document has the shape of its type, by the type's own JSON Schema.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use super::pointer_step;
use super::report::Problem;
use super::tree::Tree;

/// The most problems that are worth reading at once.
const MAX_PROBLEMS: usize = 20;

/// Every place where the document departs from `schema`.
pub(super) fn problems(schema: &Value, tree: &Tree) -> Vec<Problem> {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(why) => return vec![Problem::at(1, 1, "", format!("the type's own schema is broken: {why}"))],
    };
    let mut found = Vec::new();
    for error in validator.iter_errors(&tree.value) {
        collect(&error, schema, tree, &mut found);
    }
    found.sort_by_key(|p: &Problem| (p.line, p.column));
    found.dedup();
    found.truncate(MAX_PROBLEMS);
    found
}

fn collect(error: &ValidationError<'_>, schema: &Value, tree: &Tree, found: &mut Vec<Problem>) {
    let pointer = error.instance_path().as_str();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let known = known_keys(schema, error);
            for key in unexpected {
                let pointer = format!("{pointer}{}", pointer_step(key));
                found.push(problem(tree, &pointer, unknown_key(key, &known)));
            }
        }
        // A closed set whose words are documented one by one is "this constant, or that one".
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } if constants(context).is_some() => {
            let options = constants(context).unwrap_or_default();
            found.push(problem(tree, pointer, not_one_of(error, options.iter().map(String::as_str))));
        }
        // `Option<T>` is "T or null": what matters is what keeps it from being a T. Of "a word or a part"
        // it is meant to be the one whose type it has.
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            let of_another_type = |branch: &[ValidationError<'_>]| {
                let whole = |e: &ValidationError<'_>| e.instance_path().as_str() == pointer;
                branch.iter().any(|e| whole(e) && matches!(e.kind(), Kind::Type { .. }))
            };
            let distance = |branch: &&Vec<_>| (of_another_type(branch), branch.len());
            let closest = context.iter().filter(|branch| !is_null_branch(branch)).min_by_key(distance);
            match closest {
                Some(branch) => branch.iter().for_each(|inner| collect(inner, schema, tree, found)),
                None => found.push(problem(tree, pointer, error.to_string())),
            }
        }
        kind => found.push(problem(tree, pointer, sentence(kind, error))),
    }
}

fn problem(tree: &Tree, pointer: &str, message: String) -> Problem {
    let (line, column) = tree.place_of(pointer);
    Problem::at(line, column, pointer, message)
}

fn is_null_branch(branch: &[ValidationError<'_>]) -> bool {
    branch.iter().any(|e| matches!(e.kind(), Kind::Type { .. }) && e.to_string().contains("\"null\""))
}

fn sentence(kind: &Kind, error: &ValidationError<'_>) -> String {
    match kind {
        Kind::Required { property } => format!("the key {property} is missing"),
        Kind::Enum { options } => {
            not_one_of(error, options.as_array().into_iter().flatten().filter_map(Value::as_str))
        }
        _ => error.to_string(),
    }
}

fn not_one_of<'a>(error: &ValidationError<'_>, options: impl Iterator<Item = &'a str>) -> String {
    let options: Vec<&str> = options.collect();
    let given = error.instance().to_string();
    let guess = closest(given.trim_matches('"'), options.iter().copied());
    format!("{given} is not one of {}{}", options.join(", "), did_you_mean(guess))
}

/// The words of a closed set, if every branch is a word of it (or null, where it may be left out).
fn constants(branches: &[Vec<ValidationError<'_>>]) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for branch in branches.iter().filter(|branch| !is_null_branch(branch)) {
        for error in branch {
            match error.kind() {
                Kind::Constant { expected_value } => words.push(expected_value.as_str()?.to_owned()),
                Kind::Enum { options } => {
                    words.extend(options.as_array()?.iter().filter_map(|o| o.as_str().map(str::to_owned)));
                }
                Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                    words.extend(constants(context)?)
                }
                _ => return None,
            }
        }
    }
    (!words.is_empty()).then_some(words)
}

fn unknown_key(key: &str, known: &[String]) -> String {
    let guess = closest(key, known.iter().map(String::as_str));
    let list = if guess.is_none() && !known.is_empty() {
        format!("; known here: {}", known.join(", "))
    } else {
        String::new()
    };
    format!("unknown key {key:?}{}{list}", did_you_mean(guess))
}

fn did_you_mean(guess: Option<&str>) -> String {
    guess.map(|guess| format!("; did you mean {guess:?}?")).unwrap_or_default()
}

fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(distance, c)| *distance <= 1 + c.len().min(word.len()) / 4)
        .min()
        .map(|(_, c)| c)
}

/// The keys that the failing schema knows: its `properties`, found through the error's schema path.
fn known_keys(schema: &Value, error: &ValidationError<'_>) -> Vec<String> {
    let path = error.schema_path().as_str();
    let parent = path.rfind('/').map_or("", |end| &path[..end]);
    let object = schema_at(schema, parent);
    let properties = object.and_then(|o| o.get("properties")).and_then(Value::as_object);
    properties.map(|p| p.keys().cloned().collect()).unwrap_or_default()
}

/// Follows a schema path, stepping through `$ref`s (which the path may or may not spell out).
fn schema_at<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = root;
    for step in path.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        at = through_ref(root, at);
        if step == "$ref" {
            continue;
        }
        at = match at {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
            other => other.get(&step)?,
        };
    }
    Some(through_ref(root, at))
}

fn through_ref<'a>(root: &'a Value, at: &'a Value) -> &'a Value {
    let target = at.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(at)
}
