//! What a thread has until its very end: for destructors, `atexit` and other places where
//! thread-local values with a destructor of their own are gone already.

use std::cell::Cell;
use std::mem::ManuallyDrop;

/// A thread-local place for one value. It has no destructor, and so is there as long as the thread
/// is: what is in it at the end of the thread is not dropped, unless it is taken out.
pub(crate) struct Slot<T>(Cell<ManuallyDrop<Option<T>>>);

impl<T> Slot<T> {
    pub(crate) const fn new() -> Self {
        const { assert!(!std::mem::needs_drop::<Self>(), "it would be gone before the thread is") };
        Slot(Cell::new(ManuallyDrop::new(None)))
    }

    pub(crate) fn take(&self) -> Option<T> {
        ManuallyDrop::into_inner(self.0.take())
    }

    /// Puts a value there; what was there before comes back.
    pub(crate) fn put(&self, value: Option<T>) -> Option<T> {
        ManuallyDrop::into_inner(self.0.replace(ManuallyDrop::new(value)))
    }

    /// Looks at the value, which is not in its place in the meantime.
    pub(crate) fn look<R>(&self, at: impl FnOnce(&T) -> R) -> Option<R> {
        let value = self.take();
        let seen = value.as_ref().map(at);
        self.put(value);
        seen
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_value_comes_back_as_often_as_it_was_put_there() {
        let (slot, value) = (Slot::new(), Rc::new(7));
        assert_eq!(slot.look(|value: &Rc<i32>| **value), None);
        assert_eq!(slot.put(Some(value.clone())), None);
        assert_eq!(slot.look(|value| **value), Some(7));
        assert_eq!(slot.put(Some(value.clone())), Some(value.clone()));
        assert_eq!(slot.take(), Some(value.clone()));
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
