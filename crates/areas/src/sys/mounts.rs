//! Lines of `/proc/PID/mountinfo`, taken apart. Mount points are what others have called them: any
//! bytes.

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG]… - KIND SOURCE OPTIONS`, see
/// proc_pid_mountinfo(5). Fields are as the kernel has escaped them: see [`unescape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountLine<'a> {
    /// `MAJOR:MINOR`.
    pub device: &'a [u8],
    /// The part of the file system that is shown.
    pub root: &'a [u8],
    /// Where.
    pub point: &'a [u8],
    /// Those of the mount.
    pub options: &'a [u8],
    /// The file system.
    pub kind: &'a [u8],
    /// Those of the file system.
    pub kind_options: &'a [u8],
}

impl<'a> MountLine<'a> {
    /// Takes a line apart; `None` if it is none.
    #[must_use]
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        // Between the options and the hyphen there are any number of fields.
        let hyphen = fields.iter().skip(6).position(|field| *field == b"-")? + 6;
        Some(MountLine {
            device: fields[2],
            root: fields[3],
            point: fields[4],
            options: fields[5],
            kind: fields.get(hyphen + 1)?,
            kind_options: fields.get(hyphen + 3)?,
        })
    }
}

/// What mountinfo writes as a backslash and three octal digits: blanks, line ends, backslashes.
///
/// # Errors
/// The text with all that is no such thing left as it is, where there is some: the kernel writes
/// none.
pub fn unescape(field: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let (mut plain, mut is_whole) = (Vec::with_capacity(field.len()), true);
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match octal(after).filter(|_| byte == b'\\') {
            Some(escaped) => {
                plain.push(escaped);
                rest = &after[3..];
            }
            None => {
                is_whole &= byte != b'\\';
                plain.push(byte);
            }
        }
    }
    if is_whole { Ok(plain) } else { Err(plain) }
}

fn octal(text: &[u8]) -> Option<u8> {
    let value = text.get(..3)?.iter().try_fold(0_u16, |value, digit| match digit {
        b'0'..=b'7' => Some(value * 8 + u16::from(digit - b'0')),
        _ => None,
    })?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_lines_apart() {
        let line = br"36 35 0:31 /a /b\040c rw,nosuid shared:4 master:1 - tmpfs none rw,size=1k";
        let found = MountLine::of(line).unwrap();
        assert_eq!((found.device, found.root, found.point), (&b"0:31"[..], &b"/a"[..], &br"/b\040c"[..]));
        assert_eq!(
            (found.options, found.kind, found.kind_options),
            (&b"rw,nosuid"[..], &b"tmpfs"[..], &b"rw,size=1k"[..])
        );
        for wrong in
            ["", "1 2 3", "36 35 0:31 / /x rw shared:4 tmpfs tmpfs rw", "36 35 0:31 / /x rw - tmpfs none"]
        {
            assert_eq!(MountLine::of(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_escape_stays_and_is_reported() {
        assert_eq!(unescape(br"a\134b\040"), Ok(br"a\b ".to_vec()));
        for odd in [&br"\"[..], br"\04", br"\9", br"\777", br"\+12"] {
            assert_eq!(unescape(odd), Err(odd.to_vec()));
        }
    }
}
