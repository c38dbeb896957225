//! Sets of nodes.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_char, c_int};

use areas::{Node, NodeSet, Result};

use super::errors::{invalid, number, status, text};

/// A set of NUMA nodes: node n is bit n % 64 of word n / 64. Zeroed, it is empty.
///
/// The words are those of a libnuma bitmask (maskp) and of struct aml_bitmap on this architecture.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Nodes {
    /// Bits for nodes 0 to 1023.
    pub words: [u64; 16],
}

impl Nodes {
    pub(super) const fn set(&self) -> NodeSet {
        NodeSet::from_words(self.words)
    }

    pub(super) const fn of(set: NodeSet) -> Self {
        Nodes { words: *set.words() }
    }
}

/// A node of that number.
pub(super) fn node(number: u32) -> Result<Node> {
    Node::new(number)
}

/// Reads nodes as people write them: "0-3,8", or "all" for all that may be used when the memory is
/// mapped.
///
/// AREAS_ERROR_INVALID_INPUT for anything else; the set is as it was then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_nodes_parse(words: *const c_char, nodes: *mut Nodes) -> c_int {
    status(|| {
        // SAFETY: NULL or a string (C's promise).
        let words = unsafe { text(words, "read nodes") }?;
        let set: NodeSet = words.to_string_lossy().parse()?;
        if nodes.is_null() {
            return Err(invalid("read nodes", "the pointer to the set is NULL"));
        }
        // SAFETY: not NULL (checked), and then room for a set (C's promise).
        unsafe { nodes.write_unaligned(Nodes::of(set)) };
        Ok(())
    })
}

/// Writes a set as people read it: at most `room` bytes, NUL included. How long all of it is,
/// without the NUL.
///
/// AREAS_ERROR_INVALID_INPUT if the set is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_nodes_format(nodes: *const Nodes, to: *mut c_char, room: usize) -> c_int {
    number(|| {
        if nodes.is_null() {
            return Err(invalid("write nodes", "the set is NULL"));
        }
        // SAFETY: not NULL (checked), and then a set (C's promise).
        let words = unsafe { nodes.read_unaligned() }.set().to_string();
        if !to.is_null() && room > 0 {
            let len = words.len().min(room - 1);
            // SAFETY: `len < room` bytes are writable there (C's promise), and not part of a string
            // of ours.
            unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), to.cast::<u8>(), len) };
            // SAFETY: `len < room`.
            let end = unsafe { to.add(len) };
            // SAFETY: `end` is one of the `room` bytes that C has there, as `len < room`.
            unsafe { end.write(0) };
        }
        Ok(c_int::try_from(words.len()).unwrap_or(c_int::MAX))
    })
}

/// The nodes that this process may take memory from.
///
/// AREAS_ERROR_NOT_PERMITTED where a sandbox forbids the question.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_nodes_allowed(nodes: *mut Nodes) -> c_int {
    status(|| {
        if nodes.is_null() {
            return Err(invalid("ask for the allowed nodes", "the pointer to the set is NULL"));
        }
        let allowed = areas::allowed_nodes()?;
        // SAFETY: not NULL (checked), and then room for a set (C's promise).
        unsafe { nodes.write_unaligned(Nodes::of(allowed)) };
        Ok(())
    })
}
