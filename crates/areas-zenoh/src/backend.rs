//! The publisher's side: messages are allocated in an area.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use areas::{Area, AreaBuilder, AreaId, Shared};
use offset_allocator::{Allocation, Allocator};
use zenoh::shm::{
    AllocatedChunk, ChunkAllocResult, ChunkDescriptor, ChunkID, MemoryLayout, ProtocolID, PtrInSegment,
    ShmProviderBackend, WithProtocolID, ZAllocError, ZLayoutError,
};

use crate::{GRANULE, NOTE, protocol};

/// An area as the memory of a Zenoh provider.
///
/// What is free and what is not is noted in private memory: subscribers can write into the area,
/// and an allocator that kept its notes there (as talc does) would believe them.
pub struct AreasBackend {
    area: Arc<Area<Shared>>,
    id: AreaId,
    protocol: ProtocolID,
    books: Mutex<Books>,
}

struct Books {
    allocator: Allocator,
    chunks: HashMap<ChunkID, Allocation>,
}

impl AreasBackend {
    /// Makes the area that the builder describes, with a name, and publishes it.
    ///
    /// Its name, placement, pages and lock are the builder's; the note says what it is.
    ///
    /// # Errors
    /// The area cannot be made or published (the error says why), has no name, or has more than 256
    /// GiB.
    pub fn new(builder: AreaBuilder<'_>) -> zenoh::Result<Self> {
        let area = builder.note(NOTE).shared()?;
        let id = area
            .id()
            .ok_or("a segment of Zenoh is found by its id: give the area a name, so that it has one")?;
        let granules = u32::try_from(area.size() / GRANULE).map_err(|_| {
            format!("a segment of {} bytes is larger than 256 GiB, as far as 32 bits reach", area.size())
        })?;
        let books = Books { allocator: Allocator::new(granules), chunks: HashMap::new() };
        Ok(Self { area: Arc::new(area), id, protocol: protocol()?, books: Mutex::new(books) })
    }

    /// The area. Messages lie in it.
    pub fn area(&self) -> &Area<Shared> {
        &self.area
    }

    /// Its id, which is the segment's.
    #[must_use]
    pub fn area_id(&self) -> AreaId {
        self.id
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Each change of the books is whole before anything can panic.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AreasBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AreasBackend")
            .field("area", &self.area)
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}

impl WithProtocolID for AreasBackend {
    fn id(&self) -> ProtocolID {
        self.protocol
    }
}

impl ShmProviderBackend for AreasBackend {
    fn alloc(&self, layout: &MemoryLayout) -> ChunkAllocResult {
        let alignment = layout.alignment().get_alignment_value().get().max(GRANULE);
        // Room to begin at a multiple of the alignment, wherever the block is.
        let bytes = layout.size().get().checked_add(alignment - GRANULE).ok_or(ZAllocError::OutOfMemory)?;
        let granules = u32::try_from(bytes.div_ceil(GRANULE)).map_err(|_| ZAllocError::OutOfMemory)?;
        let mut books = self.books();
        let block = books.allocator.allocate(granules).ok_or(ZAllocError::OutOfMemory)?;
        let offset = (block.offset as usize * GRANULE).next_multiple_of(alignment);
        let chunk = ChunkID::try_from(offset / GRANULE).map_err(|_| ZAllocError::Other)?;
        books.chunks.insert(chunk, block);
        let memory = PtrInSegment::new(self.area.as_ptr().wrapping_add(offset), self.area.clone());
        Ok(AllocatedChunk::new(
            ChunkDescriptor::new(self.id.get().cast_unsigned(), chunk, layout.size()),
            memory,
        ))
    }

    fn free(&self, chunk: &ChunkDescriptor) {
        let mut books = self.books();
        if let Some(block) = books.chunks.remove(&chunk.chunk) {
            books.allocator.free(block);
        }
    }

    fn defragment(&self) -> usize {
        // Neighbours are joined as they are freed.
        self.books().allocator.storage_report().largest_free_region as usize * GRANULE
    }

    fn available(&self) -> usize {
        self.books().allocator.storage_report().total_free_space as usize * GRANULE
    }

    fn layout_for(&self, layout: MemoryLayout) -> Result<MemoryLayout, ZLayoutError> {
        // Each process has the area at an address of its own: all that these have in common is the
        // base page.
        match layout.alignment().get_alignment_value().get() {
            ..=4096 => Ok(layout),
            _ => Err(ZLayoutError::ProviderIncompatibleLayout),
        }
    }
}

#[cfg(test)]
mod tests {
    use zenoh::shm::AllocAlignment;

    use super::*;

    fn backend() -> AreasBackend {
        AreasBackend::new(areas::builder(1 << 20).name("areas-zenoh backend")).unwrap()
    }

    fn layout(size: usize, power: u8) -> MemoryLayout {
        MemoryLayout::new(size, AllocAlignment::new(power).unwrap()).unwrap()
    }

    #[test]
    fn chunks_are_apart_aligned_and_in_the_area() {
        let backend = backend();
        let mut ranges = Vec::new();
        for (size, power) in [(1, 0), (64, 6), (4096, 12), (100, 2), (8192, 12), (65536, 0)] {
            let chunk = backend.alloc(&layout(size, power)).unwrap();
            let address = chunk.data.ptr().addr();
            let begin = address - backend.area().as_ptr().addr();
            assert_eq!(address % (1 << power), 0, "{size} {power}");
            assert_eq!(begin, chunk.descriptor.chunk as usize * GRANULE);
            assert!(begin + size <= backend.area().size());
            ranges.push(begin..begin + size);
        }
        for (at, one) in ranges.iter().enumerate() {
            assert!(
                ranges[at + 1..].iter().all(|other| other.end <= one.start || one.end <= other.start),
                "{ranges:?}"
            );
        }
    }

    #[test]
    fn what_is_freed_is_whole_again() {
        let backend = backend();
        let all = backend.available();
        let chunks: Vec<_> =
            (1..50).map(|n| backend.alloc(&layout(n * 100, 0)).unwrap().descriptor).collect();
        assert!(backend.available() < all);
        assert!(matches!(backend.alloc(&layout(1 << 20, 0)), Err(ZAllocError::OutOfMemory)));
        for chunk in &chunks {
            backend.free(chunk);
        }
        // Once more is no second block.
        backend.free(&chunks[0]);
        assert_eq!((backend.available(), backend.defragment()), (all, all));
        assert!(backend.alloc(&layout(1 << 20, 0)).is_ok());
    }

    #[test]
    fn more_than_a_page_cannot_be_aligned_for_all() {
        let backend = backend();
        assert!(backend.layout_for(layout(8192, 12)).is_ok());
        assert!(backend.layout_for(layout(8192, 13)).is_err());
    }

    #[test]
    fn without_a_name_there_is_no_id() {
        let why = AreasBackend::new(areas::builder(4096)).unwrap_err().to_string();
        assert!(why.contains("give the area a name"), "{why}");
    }
}
