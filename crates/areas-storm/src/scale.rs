//! Many.

use anyhow::Result;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TeamOptions {}

pub(crate) fn main(_: &Options) -> Result<bool> {
    Ok(true)
}

pub(crate) fn team(_: &TeamOptions) -> Result<()> {
    Ok(())
}
