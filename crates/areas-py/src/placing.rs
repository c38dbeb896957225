//! Where pages are to come from, and what pages they are to be, in the words of Python's keywords.

use areas::{Error, ErrorKind, NodeSet, PageSize, Pages, Placement, Policy};

/// Where pages are to come from, of the words of `policy=` and `nodes=`.
pub(crate) fn placement(
    policy: Option<&str>,
    nodes: Option<&str>,
    home: Option<u32>,
) -> Result<Placement, Error> {
    let nodes = nodes.map(str::parse::<NodeSet>).transpose()?;
    let policy = match (policy, nodes) {
        (None, None) => Policy::Default,
        (None, nodes) => Policy::from_parts("bind", nodes)?,
        (Some(text), None) if text.contains(':') => text.parse()?,
        (Some(name @ ("default" | "local")), nodes) => Policy::from_parts(name, nodes)?,
        (Some(name), nodes) => Policy::from_parts(name, Some(nodes.unwrap_or(NodeSet::ALL)))?,
    };
    let placement = Placement::new(policy);
    Ok(match home {
        Some(node) => placement.home(areas::Node::new(node)?),
        None => placement,
    })
}

/// What pages are meant by the words of `huge=`.
pub(crate) fn pages(huge: Option<&str>) -> Result<Pages, Error> {
    let of = |text: &str| {
        let bytes = text.parse::<areas::Bytes>()?;
        usize::try_from(bytes.0).ok().and_then(PageSize::of).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("read {text:?} as a page size"))
                .with_facts("a page size is a power of two from 4 KiB to 16 GiB")
        })
    };
    Ok(match huge {
        None | Some("no") => Pages::Base,
        Some("auto") => Pages::Auto,
        Some(text) => match text.strip_prefix("prefer:") {
            Some(size) => Pages::PreferPool(of(size)?),
            None => Pages::Pool(of(text)?),
        },
    })
}
