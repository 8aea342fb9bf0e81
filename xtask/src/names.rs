//! Checks that a type name occurs once in the product, so that a name leads to one definition. Tests are programs of
//! their own and may use a name again.

use std::collections::BTreeMap;

use crate::{cargo, links};

/// The name of the struct, enum, union, trait or type alias that the line defines; none for an associated type.
fn defined(line: &str) -> Option<&str> {
    let indent = line.starts_with(' ');
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub")).peekable();
    let kind = words.next()?;
    let is_definition =
        matches!(kind, "struct" | "enum" | "union" | "trait") || (kind == "type" && !indent);
    let name = words.next().filter(|_| is_definition)?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    name.get(..end).filter(|name| !name.is_empty())
}

#[test]
fn a_type_name_occurs_once_in_the_product() {
    let sources = links::texts("rs");
    let product = sources.iter().filter(|(path, _)| {
        let path = path.strip_prefix(cargo::workspace()).unwrap();
        !path.components().any(|part| part.as_os_str() == "tests")
    });
    let mut definitions = BTreeMap::<_, Vec<_>>::new();
    for (path, text) in product {
        for name in text.lines().filter_map(defined) {
            definitions.entry(name).or_default().push(path.display());
        }
    }
    assert!(definitions.len() > 500, "{} definitions", definitions.len());
    let twice: Vec<_> = definitions.iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(twice.is_empty(), "names of several types: {twice:#?}");
}
