//! `docs/schema.md` is written from the code and compared with it by a test.

use std::fs;

use crate::tree;

/// Writes `docs/schema.md`.
pub(crate) fn write() -> Result<String, String> {
    let path = tree::root().join("docs/schema.md");
    let document = halfopen_model::schema::markdown::document();
    fs::write(&path, document)
        .map_err(|error| format!("could not write docs/schema.md: {error}"))?;
    Ok("wrote docs/schema.md".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_what_the_code_says() {
        let written = fs::read_to_string(tree::root().join("docs/schema.md")).unwrap_or_default();
        let same = written == halfopen_model::schema::markdown::document();
        assert!(same, "docs/schema.md is behind the code; run: cargo xtask schema");
    }
}
