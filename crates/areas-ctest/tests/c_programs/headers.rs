//! Every header can be included alone, in any order and twice, in C11 and C++17, without a warning;
//! those that programs for BeOS and AML include in older and newer languages as well, with uses of
//! what they define.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use areas_ctest::folders::{capi, files_below};
use areas_ctest::toolchain::{Language, include_folders};

use super::{Outcome, Test};

/// One test a header and language.
pub(super) fn tests() -> Result<Vec<Test>> {
    let include = capi().join("include");
    let mut tests = Vec::new();
    for header in files_below(include.clone(), &["h"])? {
        let path = header.strip_prefix(&include)?.to_owned();
        let of_be = path.parent() == Some(Path::new("be"));
        let languages = match path == Path::new("areas.h") {
            _ if of_be => Language::ALL.as_slice(),
            true => &[Language::C11, Language::Cpp17],
            false => Language::OF_AML.as_slice(),
        };
        // What includes another library's header where that is there.
        let without = match path.to_str() {
            Some("aml/area/hwloc.h") => Some(("hwloc", "-DAML_WITHOUT_HWLOC_H")),
            Some("aml/area/opencl.h") => Some(("OpenCL", "-DAML_WITHOUT_OPENCL_H")),
            _ => None,
        };
        for &language in languages {
            let name = format!("header {} in {}", path.display(), language.name());
            let here = path.clone();
            tests.push(Test::new(name.clone(), move |_| Outcome::of(alone(&here, language, &[]))));
            if let Some((library, without)) = without {
                let here = path.clone();
                let name = format!("{name}, without {library}");
                tests.push(Test::new(name, move |_| Outcome::of(alone(&here, language, &[without]))));
            }
        }
    }
    Ok(tests)
}

/// What a program may do that includes `OS.h` and nothing else.
const USES_OF_OS: &str = r#"
static int with(const char *format, ...)
{
	va_list values;
	int first;
	va_start(values, format);
	first = va_arg(values, int);
	va_end(values);
	return first;
}

int main(void)
{
	int32 word = 0;
	int64 wide = 0;
	vint32 volatile_word = 0;
	vint64 volatile_wide = 0;
	struct stat of;
	area_info info;
	ssize_t cookie = 0;
	bigtime_t until = B_INFINITE_TIMEOUT;
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	char path[B_PATH_NAME_LENGTH], name[B_FILE_NAME_LENGTH];
	uint32 flags = B_RELATIVE_TIMEOUT | B_TIMEOUT | B_ABSOLUTE_TIMEOUT | B_ABSOLUTE_REAL_TIME_TIMEOUT | B_OVERCOMMITTING_AREA;
	path[0] = name[0] = '\0';
	atomic_set(&word, atomic_add(&volatile_word, 1) + atomic_get(&word) + atomic_and(&word, 1) + atomic_or(&word, 2));
	atomic_get_and_set(&word, atomic_test_and_set(&word, 1, 2));
	atomic_set64(&wide, atomic_add64(&volatile_wide, 1) + atomic_get64(&wide) + atomic_and64(&wide, 1) + atomic_or64(&wide, 2));
	atomic_get_and_set64(&wide, atomic_test_and_set64(&wide, 1, 2));
	if (open("/", B_READ_ONLY | O_RDONLY) < 0 || fstat(0, &of) != 0 || close(0) != 0 || with("", 1) != 1)
		return (int)strlen(strerror(B_BAD_VALUE));
	while (get_next_area_info(B_CURRENT_TEAM, &cookie, &info) == B_OK)
		until = min_c(system_time(), max_c(until, B_NORMAL_PRIORITY));
	if (flags == 0)
		debugger("no flags");
	return pthread_mutex_lock(&mutex) + (int)B_COUNT_OF(path) + (int)until + path[0] + name[0];
}
"#;

/// What a program may do in C that includes AML's `inner-malloc.h`, by whichever way.
const USES_OF_INNER_MALLOC: &str = r#"
int main(void)
{
	double *numbers = AML_INNER_MALLOC_ARRAY(3, double, long, char);
	char *text = AML_INNER_MALLOC_GET_FIELD(numbers, 2, long, char);
	void (**calls)(void) = AML_INNER_MALLOC_GET_ARRAY(numbers, void (*)(void), long, char);
	*text = (char)(calls != NULL);
	free(numbers);
	return 0;
}
"#;

/// Compiles a file that includes nothing but the header, twice. `path` is its path below `include`.
fn alone(path: &Path, language: Language, flags: &[&str]) -> Result<()> {
    let interface = match path.components().next() {
        Some(first) if first.as_os_str() == "be" => "be",
        Some(first) if first.as_os_str() == "aml-0.1" => "aml-0.1",
        _ => "areas",
    };
    let folders = include_folders(interface)?;
    let mut command = language.compiler();
    for folder in &folders {
        command.arg("-I").arg(folder);
    }
    let named = match interface {
        "areas" => path,
        folder => path.strip_prefix(folder)?,
    };
    let kind = if language.is_c() { "c" } else { "c++" };
    let mut child = command
        .args(flags)
        .args(["-fsyntax-only", "-x", kind, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run the compiler")?;
    let line = format!("#include <{}>\n", named.display());
    let uses = match named.file_name().and_then(|name| name.to_str()) {
        Some("OS.h") => USES_OF_OS,
        Some("aml.h" | "inner-malloc.h") if language.is_c() => USES_OF_INNER_MALLOC,
        _ => "int used;\n",
    };
    let text = format!("{line}{line}{uses}");
    child.stdin.take().context("the pipe that was asked for")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
