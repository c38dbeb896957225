//! What can be said to `areas put`.

use std::ffi::OsString;
use std::path::PathBuf;

use areas::Bytes;

use crate::holding::Holding;
use crate::placing::Placing;
use crate::publishing::Publishing;

/// Put files into named areas, and hold them
///
/// An area is filled first and published when it is complete: a process that finds it finds all of
/// it. Of several files, all are put, or none. They are held until a signal ends this command, or
/// until COMMAND ends.
///
/// With --follow, the area is published at once and grows as the stream comes in. Its size is in
/// whole pages; how many bytes are there stands in its note: `bytes=81920 ended=no`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas put model.bin --name model --policy interleave --freeze
  tar c FOLDER | areas put - --name archive
  areas put data --name data -- ./worker    # there as long as the worker runs
  areas put *.bin --name 'models/{}' --detach    # models/a.bin and so on, held in the background until `areas drop`
  tail -c +1 -f LOG | areas put - --name log --follow
  areas put data --name data --split 0:1,1:3    # the first quarter on node 0, the rest on node 1")]
pub(crate) struct Put {
    /// The files; `-` is the standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The name that others find it by: 1 to 255 bytes, in which `{}` stands for the file's own
    /// name; without it, that name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<OsString>,
    #[command(flatten)]
    pub(crate) publishing: Publishing,
    #[command(flatten)]
    pub(crate) holding: Holding,
    /// Freeze it: no process can change it any more, not even root's; with --follow, at the
    /// stream's end
    #[arg(long)]
    pub(crate) freeze: bool,
    /// Let the area grow as the stream comes in, for all its holders at once
    #[arg(long, conflicts_with_all = ["note", "detach", "split"])]
    pub(crate) follow: bool,
    /// Up to where it may grow: each of its holders takes that many addresses
    #[arg(long, value_name = "MAX", requires = "follow", default_value = "64G")]
    pub(crate) growable: Bytes,
    #[command(flatten)]
    pub(crate) placing: Placing,
}
