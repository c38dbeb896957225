//! Layers: a provider around a provider. What each adds, what was granted, and what was measured.
//!
//! `cargo run --example layers`

#![expect(clippy::print_stdout, reason = "an example talks")]

use areas::provider::{Guarded, Limited};
use areas::{
    Bytes, ErrorKind, Mapping, Node, NodeSet, PageSize, Pages, Placed, Placement, Policy, Provider, Request,
    Result, System, allowed_nodes,
};

/// The kernel, with a policy: it is made of constants, and can be a static.
static INTERLEAVED: Placed<System> = System::new().placed(Policy::Interleave(NodeSet::ALL));

/// A layer of one's own: everything that it maps begins filled.
#[derive(Debug)]
struct Filled<P> {
    inner: P,
    byte: u8,
}

impl<P: Provider> Provider for Filled<P> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let mut mapping = self.inner.map(request)?;
        mapping.as_bytes_mut()?.fill(self.byte);
        Ok(mapping)
    }
}

/// Makes an area, and prints the outcome.
fn show(what: &str, provider: &dyn Provider, size: usize, pages: Pages) -> Result<()> {
    println!("\n{what}\n  {provider:?}");
    let mut area = match areas::builder(size).pages(pages).provider(provider).private() {
        Ok(area) => area,
        // A container may forbid policies. The error says what to do about it.
        Err(error)
            if [ErrorKind::NotPermitted, ErrorKind::Unsupported, ErrorKind::Limit]
                .contains(&error.kind()) =>
        {
            println!("  refused   {error:#}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let granted = area.granted();
    println!("  granted   {} in pages of {}", Bytes::from(granted.mapped()), granted.page_size());
    for fallback in granted.fallbacks() {
        println!("  instead   {}, not {}", fallback.given, fallback.asked);
        println!("  because   {}", fallback.because);
    }
    area.populate()?;
    println!("  measured  {}", area.residency()?);
    println!("  verified  {}", area.verify()?);
    Ok(())
}

fn main() -> Result<()> {
    let allowed = match allowed_nodes() {
        Ok(allowed) => allowed,
        Err(error) if error.kind() == ErrorKind::NotPermitted => {
            println!("{error:#}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    println!("nodes that we may use: {allowed}");
    let nodes: Vec<Node> = allowed.iter().collect();
    let first = nodes.first().copied().unwrap_or(Node::of::<0>());
    const SIZE: usize = 4 << 20;

    show("Page after page, over all nodes:", &INTERLEAVED, SIZE, Pages::Base)?;

    let striped = System::new().striped(NodeSet::ALL, 64);
    show("Blocks of 64 pages, a node each, in turn:", &striped, SIZE, Pages::Base)?;

    let spilled = System::new().spilled(nodes);
    show("One node after the other, as far as each has room:", &spilled, SIZE, Pages::Base)?;

    // A node that is not there; the fallback is one that the program names, and it is on record.
    let fast = Placement::new(Policy::Bind(NodeSet::single(Node::MAX)));
    let or = System::new().placed(fast.policy()).or(System::new().placed(Policy::Bind(first.into())));
    show("There, or else here:", &or, SIZE, Pages::Base)?;

    let huge = Pages::PreferPool(PageSize::HUGE_2M);
    show("Huge pages, if the pool has some:", &System::new(), SIZE, huge)?;

    let guarded: Guarded<Placed<System>> = Guarded::new(INTERLEAVED, 1);
    show("Between pages without access:", &guarded, SIZE, Pages::Base)?;

    let budget: Limited<Filled<Guarded<Placed<System>>>> =
        Filled { inner: guarded, byte: 0x5a }.limited(2 * SIZE);
    show("A layer of our own in the middle, and a budget:", &budget, SIZE, Pages::Base)?;
    let held = budget.map(&Request::new(2 * SIZE))?;
    show("The same, with the budget in use:", &budget, SIZE, Pages::Base)?;
    println!("  in use    {} of {}", Bytes::from(budget.used()), Bytes::from(budget.limit()));
    // A mapping goes back to the provider that made it; dropping it does as well.
    budget.unmap(held)?;
    println!("  and then  {}", Bytes::from(budget.used()));

    // Statistics, which any thread may read at any time.
    let counted = System::new().counted();
    show("With counters:", &counted, SIZE, Pages::Base)?;
    println!("  counted   {:?}", counted.statistics());
    Ok(())
}
