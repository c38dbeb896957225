//! What pkg-config and CMake know about the installed library: one package an interface,
//! because each has headers that others' would be taken for.

use std::path::Path;

use super::{SONAME, VERSION};

/// What the static library needs besides.
const NATIVE_LIBRARIES: &str = "-lgcc_s -lpthread -ldl -lm";

/// The packages: name, what they are, the folder of headers below `include`.
const PACKAGES: [(&str, &str, &str); 4] = [
    ("areas", "Chunks of memory as first-class things", ""),
    ("areas-be", "BeOS's and Haiku's areas", "/areas/be"),
    ("areas-aml", "AML's areas, allocators and bitmaps", "/areas"),
    ("areas-aml-0.1", "AML's areas, the older interface", "/areas/aml-0.1"),
];

/// Files for `lib/pkgconfig`.
pub(super) fn pkg_config(prefix: &Path) -> Vec<(String, String)> {
    let file = |&(name, what, folder): &(&str, &str, &str)| {
        let text = format!(
            "prefix={}\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include\n\nName: {name}\nDescription: {what}\nVersion: {VERSION}\n\
             Cflags: -I${{includedir}}{folder}\nLibs: -L${{libdir}} -lareas\nLibs.private: {NATIVE_LIBRARIES}\n",
            prefix.display()
        );
        (format!("{name}.pc"), text)
    };
    let cut = format!(
        "prefix={}\nlibdir=${{prefix}}/lib\n\nName: areas-cut\nDescription: Has what a program unmaps cut from its areas at once\nVersion: {VERSION}\n\
         Libs: -L${{libdir}} {CUT_LIBRARY}\n",
        prefix.display()
    );
    PACKAGES.iter().map(file).chain([("areas-cut.pc".to_owned(), cut)]).collect()
}

/// Linked with whether or not the program itself calls what is interposed: its other libraries may.
/// In one word, as what reads it may put flags in another order.
const CUT_LIBRARY: &str = "-Wl,--push-state,--no-as-needed,-lareas-cut,--pop-state";

/// Files for `lib/cmake/Areas`. They find the rest from where they are.
pub(super) fn cmake() -> [(&'static str, String); 2] {
    let mut config = format!(
        "# Targets: Areas::areas (areas.h), Areas::be, Areas::aml, Areas::aml-0.1; Areas::static in place of the shared library;\n\
         # Areas::cut besides, to have what is unmapped cut from areas at once.\n\
         get_filename_component(AREAS_PREFIX \"${{CMAKE_CURRENT_LIST_DIR}}/../../..\" ABSOLUTE)\n\
         if(NOT TARGET Areas::areas)\n\
         \x20 add_library(Areas::areas SHARED IMPORTED)\n\
         \x20 set_target_properties(Areas::areas PROPERTIES\n\
         \x20   IMPORTED_LOCATION \"${{AREAS_PREFIX}}/lib/libareas.so.{VERSION}\"\n\
         \x20   IMPORTED_SONAME \"{SONAME}\"\n\
         \x20   INTERFACE_INCLUDE_DIRECTORIES \"${{AREAS_PREFIX}}/include\")\n\
         \x20 add_library(Areas::static STATIC IMPORTED)\n\
         \x20 set_target_properties(Areas::static PROPERTIES\n\
         \x20   IMPORTED_LOCATION \"${{AREAS_PREFIX}}/lib/libareas.a\"\n\
         \x20   INTERFACE_INCLUDE_DIRECTORIES \"${{AREAS_PREFIX}}/include\"\n\
         \x20   INTERFACE_LINK_LIBRARIES \"{NATIVE_LIBRARIES}\")\n\
         \x20 # In one word, so that nothing comes between them.\n\
         \x20 add_library(Areas::cut INTERFACE IMPORTED)\n\
         \x20 set_target_properties(Areas::cut PROPERTIES\n\
         \x20   INTERFACE_LINK_LIBRARIES \"-Wl,--push-state,--no-as-needed,${{AREAS_PREFIX}}/lib/libareas-cut.so,--pop-state\")\n"
    );
    for (name, _, folder) in &PACKAGES[1..] {
        let target = name.trim_start_matches("areas-");
        config += &format!(
            "  add_library(Areas::{target} INTERFACE IMPORTED)\n\
             \x20 set_target_properties(Areas::{target} PROPERTIES\n\
             \x20   INTERFACE_INCLUDE_DIRECTORIES \"${{AREAS_PREFIX}}/include{folder}\"\n\
             \x20   INTERFACE_LINK_LIBRARIES Areas::areas)\n"
        );
    }
    config += "endif()\n";
    // Before 1.0 the middle number counts.
    let version = format!(
        "set(PACKAGE_VERSION \"{VERSION}\")\n\
         string(REGEX MATCH \"^[0-9]+\\\\.[0-9]+\" AREAS_ASKED \"${{PACKAGE_FIND_VERSION}}\")\n\
         string(REGEX MATCH \"^[0-9]+\\\\.[0-9]+\" AREAS_IS \"${{PACKAGE_VERSION}}\")\n\
         if(AREAS_ASKED STREQUAL AREAS_IS AND NOT PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION)\n\
         \x20 set(PACKAGE_VERSION_COMPATIBLE TRUE)\n\
         endif()\n\
         if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)\n\
         \x20 set(PACKAGE_VERSION_EXACT TRUE)\n\
         endif()\n"
    );
    [("AreasConfig.cmake", config), ("AreasConfigVersion.cmake", version)]
}
