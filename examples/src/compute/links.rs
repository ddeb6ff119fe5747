//! The links of Markdown text, and of the doc comments of Rust source.

/// The targets of all links in a file, in the order of the text.
///
/// Inline links and images (`[text](target)`), link definitions (`[name]: target`) and `<https://..>`
/// count; what stands in code does not.
#[must_use]
pub fn links(path: &str, text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_fence = false;
    let is_rust = path.ends_with(".rs");
    if !is_rust && !path.ends_with(".md") {
        return links;
    }
    for line in text.lines().map(str::trim_start) {
        let line = match is_rust.then(|| doc_comment(line)) {
            None => line,
            Some(Some(comment)) => comment.trim_start(),
            // Code between two comments ends whatever they had begun.
            Some(None) => {
                in_fence = false;
                continue;
            }
        };
        if line.starts_with("```") || line.starts_with("~~~") {
            in_fence = !in_fence;
        } else if !in_fence {
            in_line(line, &mut links);
        }
    }
    links
}

fn doc_comment(line: &str) -> Option<&str> {
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))
}

fn in_line(line: &str, links: &mut Vec<String>) {
    if let Some(target) = definition(line) {
        links.push(target.to_owned());
        return;
    }
    let mut rest = line;
    while let Some(at) = rest.find(['`', ']', '<']) {
        let (mark, after) = (&rest[at..=at], &rest[at + 1..]);
        rest = after;
        match mark {
            "`" => rest = after.split_once('`').map_or("", |(_, after_code)| after_code),
            "]" => {
                // A target may be followed by a title: `(target "title")`.
                let Some((inside, after_link)) =
                    after.strip_prefix('(').and_then(|s| s.split_once(')'))
                else {
                    continue;
                };
                links.extend(inside.split_whitespace().next().map(str::to_owned));
                rest = after_link;
            }
            _ => {
                let Some((inside, after_link)) = after.split_once('>') else { continue };
                if inside.contains("://") && !inside.contains(char::is_whitespace) {
                    links.push(inside.to_owned());
                    rest = after_link;
                }
            }
        }
    }
}

/// The target of `[name]: target`.
fn definition(line: &str) -> Option<&str> {
    let (name, target) = line.strip_prefix('[')?.split_once("]:")?;
    (!name.contains(']')).then(|| target.split_whitespace().next())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(links(path, text), expected, "{text:?}");
    }

    #[test]
    fn every_form_of_link_counts() {
        check("a.md", "[a](b.md) and ![image](c.png \"title\")", &["b.md", "c.png"]);
        check("a.md", "see <https://doc.rust-lang.org>, not <b>", &["https://doc.rust-lang.org"]);
        check("a.md", "[name]: target.md\n[other] [name]", &["target.md"]);
    }

    #[test]
    fn code_has_no_links() {
        check("a.md", "`[a](b)` [c](d)", &["d"]);
        check("a.md", "```\n[a](b)\n```\n[c](d)", &["d"]);
        check("a.md", "an `open end [a](b)", &[]);
    }

    #[test]
    fn rust_has_links_in_doc_comments_only() {
        check("a.rs", "/// [a](b)\nlet x = y[z](0);\n    //! [c](d)\n// [e](f)", &["b", "d"]);
        check("a.rs", "/// ```\nfn f() {}\n/// [a](b)", &["b"]);
        check("a.txt", "[a](b)", &[]);
    }
}
