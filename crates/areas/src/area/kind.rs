//! The kinds of areas, and what each of them has.

use std::fmt;

use crate::error::Result;
use crate::object::Object;

/// The kinds of areas, by which the type says who may write: [`Private`], [`Shared`],
/// [`Resizable`], [`Frozen`] and [`Stored`]. No other crate adds one.
///
/// [`Private`]: crate::Private
/// [`Shared`]: crate::Shared
/// [`Resizable`]: crate::Resizable
/// [`Frozen`]: crate::Frozen
/// [`Stored`]: crate::Stored
pub trait AreaKind: Sealed + fmt::Debug + Send + Sync + 'static {}

/// The kinds whose memory is an [`Object`] of the kernel, so that others can hold it, too:
/// [`Shared`](crate::Shared), [`Resizable`](crate::Resizable) and [`Frozen`](crate::Frozen). Such
/// areas are published, transferred and cloned.
///
/// ```
/// use areas::{Area, AreaId, Clonable, Result};
///
/// /// Publishes an area of whatever kind as that part of a result.
/// fn publish_part<K: Clonable>(area: &mut Area<K>, part: usize) -> Result<AreaId> {
///     area.publish(format!("doc: part {part}"))
/// }
///
/// let mut counts = areas::builder(4096).shared()?;
/// let mut log = areas::builder(4096).resizable(1 << 20)?;
/// assert_ne!(publish_part(&mut counts, 0)?, publish_part(&mut log, 1)?);
/// # Ok::<(), areas::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "an area of the kind `{Self}` cannot be held by other processes",
    label = "its memory is not an object that others could open",
    note = "make it by `.shared()` or `.resizable(max)`"
)]
pub trait Clonable: AreaKind + Sealed<Object = Object> {}

/// The kinds that others can hold and may still be written, so that they can be frozen:
/// [`Shared`](crate::Shared) and [`Resizable`](crate::Resizable).
///
/// None of them lends references into the memory: freezing replaces the mapping.
#[diagnostic::on_unimplemented(
    message = "an area of the kind `{Self}` cannot be frozen",
    label = "what is private, stored or frozen already has nothing to seal"
)]
pub trait Freezable: Clonable {}

/// A kind, and what its areas' memory is. Not public: so no other crate adds one.
pub trait Sealed {
    /// An [`Object`], or [`NoObject`].
    type Object: MaybeObject;
}

/// What an area has besides its mapping.
pub trait MaybeObject: fmt::Debug + Send + Sync + Sized {
    /// The object, if there is one.
    fn get(&self) -> Option<&Object>;
    /// The same, to change what is known of it.
    fn get_mut(&mut self) -> Option<&mut Object>;
    /// The same once more, for an area over another part of it ([`Object::again`]).
    fn again(&self) -> Result<Self>;
}

impl MaybeObject for Object {
    #[inline]
    fn get(&self) -> Option<&Object> {
        Some(self)
    }

    #[inline]
    fn get_mut(&mut self) -> Option<&mut Object> {
        Some(self)
    }

    fn again(&self) -> Result<Self> {
        Object::again(self)
    }
}

/// Memory that is no object: this process's own, or stored.
#[derive(Clone, Copy, Debug)]
pub struct NoObject;

impl MaybeObject for NoObject {
    #[inline]
    fn get(&self) -> Option<&Object> {
        None
    }

    #[inline]
    fn get_mut(&mut self) -> Option<&mut Object> {
        None
    }

    fn again(&self) -> Result<Self> {
        Ok(NoObject)
    }
}
