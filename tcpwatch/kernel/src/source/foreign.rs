//! What a file is that was given to `replay` and is no recording, by its first bytes, and what to do
//! with it instead.

/// A file of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignFile {
    /// `pcap-savefile(5)`, in either byte order, with microseconds or nanoseconds.
    #[error(
        "it is a packet capture (pcap), not a recording: packets do not show what the kernel did with \
         its sockets. Read it with `tcpdump -r` or Wireshark; {MAKE}"
    )]
    Pcap,
    /// `draft-ietf-opsawg-pcapng`.
    #[error(
        "it is a packet capture (pcapng), not a recording: packets do not show what the kernel did \
         with its sockets. Read it with `tcpdump -r` or Wireshark; {MAKE}"
    )]
    Pcapng,
    /// Lines of `--format json`.
    #[error(
        "it is the output of `tcpwatch --format json`, not a recording: these lines are what a replay \
         prints. Read them with jq; to replay a run, make it with `tcpwatch --record FILE`"
    )]
    JsonLog,
    /// Lines of `--format text`.
    #[error(
        "it is the text output of tcpwatch, not a recording: these lines are what a replay prints. To \
         replay a run, make it with `tcpwatch --record FILE`"
    )]
    TextLog,
    /// What `lab run --report` writes.
    #[error(
        "it is a report of the laboratory (`tcpwatch lab run --report`), not a recording; {MAKE}"
    )]
    Report,
    /// Compressed, and not by gzip, which is unpacked.
    #[error(
        "it is compressed by {program}, and replay unpacks gzip only: run `{program} -dc FILE | \
         tcpwatch replay -`, if a recording is in it"
    )]
    Compressed {
        /// The program that unpacks it.
        program: &'static str,
    },
    /// UTF-16, by its byte order mark.
    #[error(
        "it is text in UTF-16, by its byte order mark; a recording is UTF-8: \
         `iconv -f UTF-16 -t UTF-8 FILE | tcpwatch replay -` replays it, if it was one"
    )]
    Utf16,
    /// A recording in blocks behind a byte order mark.
    #[error(
        "a byte order mark stands before the recording, as an editor puts it: `tail -c +4 FILE | tcpwatch replay -` \
         replays it, if nothing else of it was changed"
    )]
    Marked,
    /// A recording in blocks, with bytes or ends of lines exchanged.
    #[error(
        "it was a recording, but was taken for text and changed (another encoding, other ends of lines): take the \
         file that `tcpwatch --record FILE` wrote, and copy it as it is"
    )]
    Mangled,
}

/// How a recording comes about.
pub(super) const MAKE: &str = "a recording is made by `tcpwatch --record FILE`";

/// First bytes that nothing else begins with. Those of pcap are its magic number in both byte orders.
const MAGIC: [(&[u8], ForeignFile); 15] = [
    (&[0xa1, 0xb2, 0xc3, 0xd4], ForeignFile::Pcap),
    (&[0xd4, 0xc3, 0xb2, 0xa1], ForeignFile::Pcap),
    (&[0xa1, 0xb2, 0x3c, 0x4d], ForeignFile::Pcap),
    (&[0x4d, 0x3c, 0xb2, 0xa1], ForeignFile::Pcap),
    (&[0x0a, 0x0d, 0x0d, 0x0a], ForeignFile::Pcapng),
    (&[0x28, 0xb5, 0x2f, 0xfd], ForeignFile::Compressed { program: "zstd" }),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], ForeignFile::Compressed { program: "xz" }),
    (b"BZh", ForeignFile::Compressed { program: "bzip2" }),
    (&[0x04, 0x22, 0x4d, 0x18], ForeignFile::Compressed { program: "lz4" }),
    (&[0xff, 0xfe], ForeignFile::Utf16),
    (&[0xfe, 0xff], ForeignFile::Utf16),
    (b"\xef\xbb\xbf\x89tcpwR", ForeignFile::Marked),
    (b"\xc2\x89tcpwR", ForeignFile::Mangled),
    (b"\xef\xbf\xbdtcpwR", ForeignFile::Mangled),
    (b"\x89tcpwR\n", ForeignFile::Mangled),
];

/// First words of text that tcpwatch writes elsewhere.
const OWN_TEXT: [(&[u8], ForeignFile); 5] = [
    (b"{\"schema\":1,\"event\":", ForeignFile::JsonLog),
    (b"{\"schema\":1,\"tcpwatch\":", ForeignFile::Report),
    (b"TIME ", ForeignFile::TextLog),
    (b"OPENED ", ForeignFile::TextLog),
    (b"\x1b[2mTIME ", ForeignFile::TextLog),
];

/// What the file that begins like this is; nothing if these bytes do not show it.
pub(super) fn identify(first: &[u8]) -> Option<ForeignFile> {
    let known = MAGIC.iter().chain(&OWN_TEXT);
    known.into_iter().find(|(begin, _)| first.starts_with(begin)).map(|(_, foreign)| *foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beginning_names_its_own_kind_and_says_what_to_do() {
        for (begin, foreign) in MAGIC.iter().chain(&OWN_TEXT) {
            assert_eq!(identify(&[begin, b"rest".as_slice()].concat()), Some(*foreign));
            let words = foreign.to_string();
            assert!(
                words.contains("tcpwatch --record FILE") || words.contains("replay -"),
                "{words}"
            );
        }
    }

    #[test]
    fn what_is_not_known_by_its_beginning_has_no_name() {
        for first in [b"".as_slice(), b"hello", b"{}", b"{\"tcpwatch_recording\":1", &[0xa1, 0xb2]]
        {
            assert_eq!(identify(first), None, "{first:?}");
        }
    }
}
