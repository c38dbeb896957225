//! The subscriber's side: a segment is an area that is found by its id.

use std::sync::Arc;

use areas::{Area, AreaId, Shared};
use zenoh::shm::{ChunkID, ProtocolID, SegmentID, ShmClient, ShmSegment, WithProtocolID};

use crate::{GRANULE, NOTE, protocol};

/// Opens segments that are areas of this registry.
#[derive(Debug)]
pub struct AreasClient {
    protocol: ProtocolID,
}

impl AreasClient {
    /// A client for this process's registry.
    ///
    /// # Errors
    /// As [`protocol`].
    pub fn new() -> zenoh::Result<Self> {
        Ok(Self { protocol: protocol()? })
    }
}

impl WithProtocolID for AreasClient {
    fn id(&self) -> ProtocolID {
        self.protocol
    }
}

impl ShmClient for AreasClient {
    fn attach(&self, segment: SegmentID) -> zenoh::Result<Arc<dyn ShmSegment>> {
        let source = areas::registry::get(AreaId::new(segment.cast_signed())?)?;
        // The number came with a message, and may be any area's.
        if source.note().as_bytes() != NOTE.as_bytes() {
            return Err(format!(
                "area {} ({:?}) is not a segment of Zenoh: its note does not say so",
                source.id(),
                source.name()
            )
            .into());
        }
        Ok(Arc::new(Segment(source.open()?)))
    }
}

#[derive(Debug)]
struct Segment(Area<Shared>);

impl ShmSegment for Segment {
    fn map(&self, chunk: ChunkID) -> zenoh::Result<*mut u8> {
        let offset = chunk as usize * GRANULE;
        if offset >= self.0.mapped() {
            return Err(
                format!("chunk {chunk} begins behind the {} bytes of its segment", self.0.mapped()).into()
            );
        }
        Ok(self.0.as_ptr().wrapping_add(offset))
    }
}

#[cfg(test)]
mod tests {
    use zenoh::shm::ShmProviderBackend as _;

    use super::*;
    use crate::AreasBackend;

    #[test]
    fn the_same_bytes_at_another_address() {
        let backend = AreasBackend::new(areas::builder(1 << 20).name("areas-zenoh client")).unwrap();
        let chunk = backend.alloc(&5000.try_into().unwrap()).unwrap();
        let offset = chunk.data.ptr().addr() - backend.area().as_ptr().addr();
        backend.area().write_at(offset, b"seen by both").unwrap();
        let segment = Segment(areas::registry::get(backend.area_id()).unwrap().open().unwrap());
        let there = segment.map(chunk.descriptor.chunk).unwrap();
        assert_eq!(there.addr() - segment.0.as_ptr().addr(), offset);
        assert_ne!(there.cast_const(), chunk.data.ptr());
        let mut bytes = [0; 12];
        segment.0.read_at(offset, &mut bytes).unwrap();
        assert_eq!(&bytes, b"seen by both");
        assert!(segment.map(1 << 14).is_err());
        assert!(segment.map(u32::MAX).is_err());
    }

    #[test]
    fn other_areas_are_refused() {
        let client = AreasClient::new().unwrap();
        let other = areas::builder(4096).name("areas-zenoh: a secret").shared().unwrap();
        let id = other.id().unwrap().get().cast_unsigned();
        let why = client.attach(id).unwrap_err().to_string();
        assert!(why.contains("is not a segment of Zenoh"), "{why}");
        assert!(client.attach(0).is_err());
        assert!(client.attach(u32::MAX).is_err());
    }
}
