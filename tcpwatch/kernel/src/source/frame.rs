//! Lines of a recording: everything but the header, as JSON; in the form of blocks all but the records.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tcpwatch_core::{
    event::{CgroupId, KnownSocket, Netns, Waiter},
    facts::HostFacts,
    sink::Loss,
    timing::Sysctls,
    track::{Gone, Others},
};

use super::{
    container_names::LONGEST_NAME,
    recording::{RecordedCgroup, RecordedItem},
};

/// Any other line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Frame {
    Known(KnownSocket),
    /// Written by [`record_line`](super::recording_lines::record_line), or as bytes.
    #[serde(skip_serializing)]
    Record(#[serde(deserialize_with = "bytes")] Vec<u8>),
    Answer(KnownSocket),
    Waiter(Waiter),
    Others(Others),
    Sysctls(Netns, Sysctls),
    Facts(Box<HostFacts>),
    /// Before the rest, in [`Frame::Facts`] with the same time.
    PartOfFacts(Box<HostFacts>),
    Loss(Loss),
    Gone(Gone),
    /// A cgroup's path, in hexadecimal: it need not be text; and the name of its container, if it has one that is
    /// known.
    Cgroup(
        CgroupId,
        #[serde(serialize_with = "digits", deserialize_with = "path")] Vec<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "name")]
        Option<String>,
    ),
    /// Of a recording in parts, whose reader knows it.
    #[serde(skip)]
    PartsMissing(u64),
}

/// Hexadecimal digits become bytes, whose number is known beforehand.
fn bytes<'de, D: Deserializer<'de>>(digits: D) -> Result<Vec<u8>, D::Error> {
    let digits = <&str>::deserialize(digits)?;
    let mut bytes = vec![0; digits.len() / 2];
    hex::decode_to_slice(digits, &mut bytes).map_err(D::Error::custom)?;
    Ok(bytes)
}

/// The same of a path, which the kernel does not let be longer than `PATH_MAX`.
fn path<'de, D: Deserializer<'de>>(digits: D) -> Result<Vec<u8>, D::Error> {
    const PATH_MAX: usize = 4096;
    let path = bytes(digits)?;
    if path.len() > PATH_MAX {
        return Err(D::Error::custom("it is longer than a path can be"));
    }
    Ok(path)
}

/// The name of a container, as long as one can be.
fn name<'de, D: Deserializer<'de>>(text: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(text)?;
    if name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME) {
        return Err(D::Error::custom("it is longer than the name of a container can be"));
    }
    Ok(name)
}

fn digits<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

impl Frame {
    /// What it is for a reader; nothing, if it is a part of something else.
    pub(super) fn item(self) -> Option<RecordedItem> {
        match self {
            Self::Known(_) | Self::PartOfFacts(_) => None,
            Self::Record(bytes) => Some(RecordedItem::Record(bytes)),
            Self::Answer(socket) => Some(RecordedItem::Answer(socket)),
            Self::Waiter(waiter) => Some(RecordedItem::Waiter(Box::new(waiter))),
            Self::Others(others) => Some(RecordedItem::Others(others)),
            Self::Sysctls(netns, sysctls) => Some(RecordedItem::Sysctls(netns, sysctls)),
            Self::Facts(facts) => Some(RecordedItem::Facts(facts)),
            Self::Loss(loss) => Some(RecordedItem::Loss(loss)),
            Self::Gone(gone) => Some(RecordedItem::Gone(gone)),
            Self::PartsMissing(parts) => Some(RecordedItem::PartsMissing(parts)),
            Self::Cgroup(id, path, container_name) => {
                Some(RecordedItem::Cgroup(RecordedCgroup { id, path, container_name }))
            }
        }
    }
}
