//! One area for all that ask for a name: made by one, opened by the others.

use std::time::Instant;

use super::super::{Area, Received, Shared};
use super::{AreaBuilder, EXCLUSIVE_TIMEOUT};
use crate::error::{Error, ErrorKind, Result};

/// What [`AreaBuilder::create_or_open`] has done.
#[derive(Debug)]
#[must_use = "the area is inside"]
pub enum CreatedOrOpened {
    /// It made the area: the name was free.
    Created(Area<Shared>),
    /// It cloned the area that was there, as what that is.
    Opened(Received),
}

impl AreaBuilder<'_> {
    /// Makes a shared area of that name, or opens the one that is there: of several that ask for
    /// that at once, one makes it, and the others open it.
    ///
    /// An existing area is opened as it is, whatever was asked of a new one: its kind, size and
    /// placement are its own. It is opened with its holder's protection, and published under the
    /// same name, so that the name outlives any one holder. What is made is zeros until its maker
    /// has written it: who opens it sees it as it is (a word in it may say when it is complete).
    ///
    /// ```
    /// use areas::CreatedOrOpened::{Created, Opened};
    ///
    /// let first = areas::builder(4096).name("doc: one for all").create_or_open()?;
    /// assert!(matches!(first, Created(_)));
    /// assert!(matches!(areas::builder(4096).name("doc: one for all").create_or_open()?, Opened(_)));
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`shared`](AreaBuilder::shared) and [`CloneBuilder::open`](crate::CloneBuilder::open);
    /// [`ErrorKind::Busy`] where another process was stopped in the middle of taking the name.
    pub fn create_or_open(&self) -> Result<CreatedOrOpened> {
        let name = self.named()?;
        let Some(name) = name else {
            return Err(Error::new(ErrorKind::InvalidInput, self.what("shared"))
                .with_facts("it has no name by which it could be there")
                .with_remedy("give it a name: `.name()`"));
        };
        let alone = self.clone().exclusive();
        let deadline = Instant::now() + EXCLUSIVE_TIMEOUT;
        loop {
            let error = match crate::registry::find(name.as_bytes()) {
                Ok(source) => match source.cloning().same_name().open_any() {
                    Ok(opened) => return Ok(CreatedOrOpened::Opened(opened)),
                    // It was dropped concurrently, or retired.
                    Err(error) if error.kind() == ErrorKind::NoSuchArea => error,
                    Err(error) => return Err(error),
                },
                Err(error) if error.kind() == ErrorKind::NoSuchArea => match alone.shared() {
                    Ok(area) => return Ok(CreatedOrOpened::Created(area)),
                    // It was published concurrently.
                    Err(error) if error.kind() == ErrorKind::NameTaken => error,
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(error),
            };
            if Instant::now() >= deadline {
                return Err(error);
            }
        }
    }
}
