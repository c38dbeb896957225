//! What was measured, as Python has it: dictionaries and lists, of which `areas/_measured.py` makes
//! classes.

use areas::{Granted, Migration, PageLocation, Residency, Verification};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Where pages are.
pub(crate) fn residency<'py>(py: Python<'py>, measured: &Residency) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let nodes = PyDict::new(py);
    for (node, bytes) in measured.nodes() {
        nodes.set_item(node.get(), bytes)?;
    }
    let sizes = measured
        .page_sizes()
        .map(|sizes| {
            let dict = PyDict::new(py);
            for (page, bytes) in sizes {
                dict.set_item(page.bytes(), bytes)?;
            }
            Ok::<_, PyErr>(dict)
        })
        .transpose()?;
    let runs = PyList::empty(py);
    for run in measured.runs() {
        let (place, node, page) = match run.place {
            PageLocation::On { node, page } => ("node", Some(node.get()), Some(page.bytes())),
            PageLocation::InRam { page } => ("ram", None, Some(page.bytes())),
            PageLocation::Swapped => ("swapped", None, None),
            PageLocation::Absent => ("absent", None, None),
            // The library has more words than this package.
            _ => ("unknown", None, None),
        };
        runs.append((run.range.start, run.range.end, place, node, page))?;
    }
    dict.set_item("size", measured.size())?;
    dict.set_item("resident", measured.resident())?;
    dict.set_item("nodes", nodes)?;
    dict.set_item("node_unknown", measured.node_unknown())?;
    dict.set_item("knows_pages", measured.knows_pages())?;
    dict.set_item("page_sizes", sizes)?;
    dict.set_item("swapped", measured.swapped())?;
    dict.set_item("absent", measured.absent())?;
    dict.set_item("runs", runs)?;
    dict.set_item("text", measured.to_string())?;
    Ok(dict)
}

/// Whether pages are where they were asked to be.
pub(crate) fn verification<'py>(py: Python<'py>, measured: &Verification) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let misplaced = PyList::empty(py);
    for part in measured.misplaced() {
        misplaced.append((part.range.start, part.range.end, part.node.get(), part.asked.to_string()))?;
    }
    dict.set_item("holds", measured.holds())?;
    dict.set_item("in_place", measured.in_place())?;
    dict.set_item("elsewhere", measured.elsewhere())?;
    dict.set_item("not_in_ram", measured.not_in_ram())?;
    dict.set_item("share", measured.share())?;
    dict.set_item("misplaced", misplaced)?;
    dict.set_item("text", measured.to_string())?;
    Ok(dict)
}

/// What was moved, and what was not.
pub(crate) fn migration<'py>(py: Python<'py>, migration: &Migration) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let stayed = PyList::empty(py);
    for part in migration.stayed() {
        stayed.append((part.range.start, part.range.end, part.target.get(), part.why.to_string()))?;
    }
    dict.set_item("moved", migration.moved())?;
    dict.set_item("stayed", stayed)?;
    dict.set_item("placed", migration.is_placed())?;
    dict.set_item("verification", verification(py, migration.verification())?)?;
    dict.set_item("text", migration.to_string())?;
    Ok(dict)
}

/// What was given instead of what was asked.
pub(crate) struct Given {
    mapped: usize,
    span: usize,
    page_size: usize,
    collapsed: usize,
    fallbacks: Vec<(String, String, String)>,
}

impl Given {
    pub(crate) fn of(granted: &Granted<'_>) -> Self {
        let reported = |fallback: &areas::Fallback| {
            (fallback.asked.clone(), fallback.given.clone(), fallback.because.to_string())
        };
        Given {
            mapped: granted.mapped(),
            span: granted.span(),
            page_size: granted.page_size().bytes(),
            collapsed: granted.collapsed(),
            fallbacks: granted.fallbacks().iter().map(reported).collect(),
        }
    }

    pub(crate) fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let fallbacks = PyList::empty(py);
        for fallback in &self.fallbacks {
            fallbacks.append(fallback.clone())?;
        }
        dict.set_item("mapped", self.mapped)?;
        dict.set_item("span", self.span)?;
        dict.set_item("page_size", self.page_size)?;
        dict.set_item("huge", self.collapsed)?;
        dict.set_item("fallbacks", fallbacks)?;
        Ok(dict)
    }
}
