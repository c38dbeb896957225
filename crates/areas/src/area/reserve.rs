//! How a holder grows a resizable area while another holder trims its reserve, or a new one joins:
//! without mutual exclusion.
//!
//! Each of them takes a step that the others can see, and then looks again. Whichever looks last
//! sees the other's step, so a size beyond the addresses of a published holder never stays:
//!
//! | who | step | look | on a conflict |
//! |---|---|---|---|
//! | grows | sets the size | whether the holders' reserves differ; if so, at all of them | sets the old size again, fails |
//! | trims | marks the area, announces fewer addresses | at the size | keeps the addresses, announces them again |
//! | joins | is published with its addresses | at the size | takes the missing addresses, or fails |
//!
//! Nothing but the order of the steps is here, over whatever memory there is, so that it can be
//! checked in all orders that a machine may choose: `models/` does that, with this very file.

/// A holder of the area, and what it can do and ask.
pub(crate) trait Holder {
    /// Why a step failed.
    type Error;

    /// The size in bytes, as it is now, and whether holders are marked as having different
    /// reserves.
    fn look(&self) -> (usize, bool);
    /// Sets the size, for all holders.
    fn set_size(&self, size: usize) -> Result<(), Self::Error>;
    /// Marks the area, permanently: its holders may have different reserves.
    fn mark(&self) -> Result<(), Self::Error>;
    /// Announces how many bytes of addresses this holder has.
    fn announce(&self, span: usize);
    /// Whether every other published holder has addresses for `size` bytes.
    fn ask_others(&self, size: usize) -> Result<(), Self::Error>;
    /// Stores before are visible before loads behind.
    fn fence(&self);
}

/// Grows from `before` to `wanted` bytes. With `must_ask`, the other holders are asked even if none
/// is marked.
pub(crate) fn grow<H: Holder>(
    holder: &H,
    before: usize,
    wanted: usize,
    must_ask: bool,
) -> Result<(), H::Error> {
    holder.set_size(wanted)?;
    holder.fence();
    let (_, uneven) = holder.look();
    if !(must_ask || uneven) {
        return Ok(());
    }
    holder.ask_others(wanted).inspect_err(|_| {
        // A size that another holder has set since stands.
        if holder.look().0 == wanted {
            let _ = holder.set_size(before);
        }
    })
}

/// How many bytes of addresses may stay: `kept`, or more if the area has grown. The rest may be
/// unmapped behind this.
pub(crate) fn trim<H: Holder>(holder: &H, kept: usize) -> Result<usize, H::Error> {
    holder.mark()?;
    holder.announce(kept);
    holder.fence();
    let (size, _) = holder.look();
    if size > kept {
        holder.announce(size);
    }
    Ok(kept.max(size))
}

/// For a holder that has just been published with `span` bytes of addresses: the size, if that is
/// more.
pub(crate) fn joined<H: Holder>(holder: &H, span: usize) -> Option<usize> {
    holder.fence();
    let (size, _) = holder.look();
    (size > span).then_some(size)
}
