//! The original's configuration file as a tree of settings.
//!
//! Owns: what the original does with the text before it looks at it (`wire/clacks.md` section
//! 14): names of variables of the environment that begin with `PC_` are replaced, attributes are
//! the same as elements, what stands below this host's name replaces what stands at the root.
//! Does not own XML itself (roxmltree), nor what settings mean (`config.rs`).
//!
//! Texts may be passwords: they are not left behind in memory, and no error quotes one.

use std::fmt;

use roxmltree::{Document, Node, ParsingOptions};
use zeroize::Zeroizing;

/// Deepest that something means anything: root, `hosts`, a host, `user`, `username`.
const DEPTH: usize = 4;

/// Nodes that a file may have: a real one has some dozens, and one for each user.
const NODES: u32 = 1_000_000;

/// A setting, which is a text or has others in it.
#[derive(Clone)]
pub(super) struct Element {
    pub(super) name: String,
    /// Where it stands, counted from 1.
    pub(super) line: u32,
    pub(super) text: Zeroizing<String>,
    pub(super) inner: Vec<Element>,
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}> in line {}", self.name, self.line)
    }
}

/// What is wrong with a file, and in which line, if it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: Option<u32>,
    pub(super) text: String,
}

impl Wrong {
    pub(super) fn at(line: u32, text: impl Into<String>) -> Self {
        Wrong { line: Some(line), text: text.into() }
    }
}

/// What a file says.
#[derive(Debug)]
pub(super) struct Tree {
    /// What counts on this host.
    pub(super) settings: Vec<Element>,
    /// What looks like a variable that is not set, and where.
    pub(super) unset: Vec<(u32, String)>,
}

/// Reads a file's octets, for the host of this name, with these variables.
pub(super) fn read(bytes: &[u8], variables: &[(String, String)], host: &str) -> Result<Tree, Wrong> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let before = &bytes[..e.valid_up_to()];
        Wrong::at(line_of(before), "this is no UTF-8; `iconv -f latin1 -t utf-8 FILE` makes it of Latin-1")
    })?;
    let (text, unset) = substitute(text, variables);
    let options = ParsingOptions { allow_dtd: true, nodes_limit: NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(&text, options).map_err(|e| {
        let line = e.pos().row;
        Wrong::at(line, format!("this is no well-formed XML: {}", quiet(&e)))
    })?;
    let root = element(document.root_element(), &document, 0);
    Ok(Tree { settings: of_host(root.inner, host), unset })
}

/// What the reader says without quoting the file: its own words begin what may be a secret.
fn quiet(error: &roxmltree::Error) -> String {
    use roxmltree::Error;
    match error {
        Error::UnexpectedCloseTag(expected, actual, _) => format!("`</{actual}>` where `</{expected}>` is expected"),
        Error::DuplicatedAttribute(name, _) => format!("the attribute `{name}` is there twice"),
        Error::UnclosedRootNode => "it ends before its last element does".into(),
        Error::NoRootNode => "there is no element in it".into(),
        Error::NodesLimitReached => format!("there are more than {NODES} elements and texts"),
        Error::UnknownEntityReference(..) | Error::MalformedEntityReference(_) => {
            "an `&` that begins no entity: write `&amp;`".into()
        }
        _ => "it cannot be read from here on".into(),
    }
}

fn line_of(before: &[u8]) -> u32 {
    1 + before.iter().filter(|b| **b == b'\n').count() as u32
}

/// Replaces names of variables by their values, the longest that fits. Also tells what looks
/// like one and is none.
fn substitute(text: &str, variables: &[(String, String)]) -> (Zeroizing<String>, Vec<(u32, String)>) {
    const FIRST: &str = "PC_";
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let (mut unset, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(FIRST) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let fits = variables.iter().filter(|(name, _)| name.starts_with(FIRST) && from.starts_with(name.as_str()));
        if let Some((name, value)) = fits.max_by_key(|(name, _)| name.len()) {
            out.push_str(value);
            rest = &from[name.len()..];
        } else {
            let of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let name = from.split(|c| !of_name(c)).next().unwrap_or(FIRST);
            let read = text.len() - from.len();
            unset.push((line_of(&text.as_bytes()[..read]), name.to_owned()));
            out.push_str(name);
            rest = &from[name.len()..];
        }
    }
    out.push_str(rest);
    (out, unset)
}

fn element(node: Node<'_, '_>, document: &Document<'_>, depth: usize) -> Element {
    let line = |at| document.text_pos_at(at).row;
    let mut text = Zeroizing::new(String::new());
    let mut inner = Vec::new();
    if depth < DEPTH {
        inner.extend(node.attributes().map(|a| Element {
            name: a.name().to_owned(),
            line: line(a.range().start),
            text: Zeroizing::new(a.value().to_owned()),
            inner: Vec::new(),
        }));
    }
    for child in node.children() {
        if child.is_element() && depth < DEPTH {
            inner.push(element(child, document, depth + 1));
        } else if child.is_text() {
            text.push_str(child.text().unwrap_or_default());
        }
    }
    if !inner.is_empty() {
        // blanks between them
        text.clear();
    }
    Element { name: node.tag_name().name().to_owned(), line: line(node.range().start), text, inner }
}

/// Each name that stands below this host's is taken from there, and only from there.
fn of_host(mut settings: Vec<Element>, host: &str) -> Vec<Element> {
    let is_hosts = |e: &Element| e.name == "hosts";
    let own: Vec<Element> =
        settings.iter().filter(|e| is_hosts(e)).flat_map(|e| &e.inner).filter(|e| e.name == host).cloned().collect();
    settings.retain(|e| !is_hosts(e) && !own.iter().flat_map(|o| &o.inner).any(|o| o.name == e.name));
    settings.extend(own.into_iter().flat_map(|o| o.inner));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        read(text.as_bytes(), &[], "here").unwrap_or_else(|e| panic!("{text}: {e:?}"))
    }

    /// As text: `name@line=text` and `name@line{…}`.
    fn shown(settings: &[Element]) -> String {
        let one = |e: &Element| match e.inner.is_empty() {
            true => format!("{}@{}={}", e.name, e.line, *e.text),
            false => format!("{}@{}{{{}}}", e.name, e.line, shown(&e.inner)),
        };
        settings.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn attributes_are_elements_and_text_is_literal() {
        let text = "<?xml version='1.0'?>\n<!-- c -->\n<any port=\"1\"\n  ip='2'>\n <ip> a </ip><user username='u'>\n  \
                    <read/></user>\n <password>x&amp;<![CDATA[<y>]]>&#65;<!-- c -->z</password> stray\n</any>\n";
        let want = "port@3=1 ip@4=2 ip@5= a  user@5{username@5=u read@6=} password@7=x&<y>Az";
        assert_eq!(shown(&tree(text).settings), want);
    }

    #[test]
    fn variables_are_replaced_by_name_the_longest_first() {
        let variables = [("PC_A", "one"), ("PC_AB", "two"), ("PC_X", "PC_A"), ("HOME", "no")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let text = "<c><PC_A>PC_AB-PC_A-PC_ABC</PC_A>\n<v>PC_X HOME PC_NEVER_1x</v></c>";
        let tree = read(text.as_bytes(), &variables, "here").unwrap();
        assert_eq!(shown(&tree.settings), "one@1=two-one-twoC v@2=PC_A HOME PC_NEVER_1x");
        assert_eq!(tree.unset, [(2, "PC_NEVER_1".to_owned())]);
    }

    #[test]
    fn what_is_said_of_this_host_replaces_the_rest() {
        let text = "<c><ip>1</ip><ip>2</ip><port>3</port><ssl><cert>a</cert><key>b</key></ssl>
            <hosts><here><ip>9</ip><ssl><cert>c</cert></ssl><more>d</more></here><there><port>4</port></there></hosts></c>";
        let want = "port@1=3 ip@2=9 ssl@2{cert@2=c} more@2=d";
        assert_eq!(shown(&tree(text).settings), want);
        let attribute = "<c port='3'><hosts><here port='5'/></hosts></c>";
        assert_eq!(shown(&tree(attribute).settings), "port@1=5");
    }

    #[test]
    fn what_is_no_xml_is_refused_with_its_line_and_not_quoted() {
        for (text, line, why) in [
            ("", 1, "no element"),
            ("<a>\n<b>secret</c></a>", 2, "`</c>` where `</b>`"),
            ("<a>\n<b>secret", 1, "ends before"),
            ("<a>\n<b>sec&ret</b></a>", 2, "`&amp;`"),
            ("<a>\n<b x='secret' x='2'/></a>", 2, "twice"),
            ("<a>\n<b x=secret/></a>", 2, "from here on"),
            ("secret", 1, ""),
        ] {
            let wrong = read(text.as_bytes(), &[], "here").expect_err(text);
            assert!(wrong.text.contains(why) && !wrong.text.contains("secret"), "{text}: {wrong:?}");
            assert_eq!(wrong.line, Some(line), "{text}: {wrong:?}");
        }
        let latin = read(b"<a>\n\n<b>\xe9</b></a>", &[], "here").unwrap_err();
        assert!(latin.line == Some(3) && latin.text.contains("iconv"), "{latin:?}");
    }

    #[test]
    fn neither_depth_nor_entities_nor_any_prefix_brings_it_down() {
        let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
        _ = read(deep.as_bytes(), &[], "here");
        let laughs: String = (1..30).map(|i| format!("<!ENTITY l{i} \"&l{};&l{};\">", i - 1, i - 1)).collect();
        let bomb = format!("<!DOCTYPE a [<!ENTITY l0 \"ha\">{laughs}]><a>&l29;</a>");
        assert!(read(bomb.as_bytes(), &[], "here").is_err());
        let entity = "<!DOCTYPE a [<!ENTITY me \"you\">]><a><b>&me;</b></a>";
        assert_eq!(shown(&tree(entity).settings), "b@1=you");
        let good = "<a b='&lt;'><!-- x --><c><![CDATA[y]]>é</c><hosts><here d='1'/></hosts></a>";
        for at in 0..good.len() {
            assert!(read(&good.as_bytes()[..at], &[], "here").is_err());
            for b in 0..=255 {
                let mut bytes = good.as_bytes().to_vec();
                bytes[at] = b;
                _ = read(&bytes, &[], "here");
            }
        }
    }
}
