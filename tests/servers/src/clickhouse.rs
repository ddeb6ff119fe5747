//! ClickHouse in a folder: the engine that comes as a library, listening on a port of this machine.
//!
//! There is no package with the server's own program for every machine; the library has the same
//! engine and the same HTTP interface. All `unsafe` code of the tests is here.

use std::env;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use libloading::Library;

const LIBRARY: &str = if cfg!(target_os = "macos") { "libchdb.dylib" } else { "libchdb.so" };

/// `chdb_query_cmdline` of chdb.h: runs the program `clickhouse local` with these arguments.
type Run = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;
/// `chdb_result_error` of chdb.h: why a run has failed, or null.
type Error = unsafe extern "C" fn(*mut c_void) -> *const c_char;

/// Runs a server until the input ends; at the address `url`, if it is not empty.
pub(crate) fn run(folder: &Path, url: &str) -> Result<(), String> {
    let library = env::var_os("CLICKHOUSE_LIB_DIR").map(PathBuf::from).unwrap_or_default();
    let library = library.join(LIBRARY);
    if !library.is_file() {
        return Err(format!(
            "there is no `{}`: `cargo xtask setup --servers` fetches it; or set CLICKHOUSE_URL to the address \
             of a server of your own",
            library.display()
        ));
    }

    let port = url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()).unwrap_or("0");
    let port_file = folder.join("port");
    drop(fs::remove_file(&port_file));
    // The last query reads the input, and so lasts as long as that.
    let queries = format!(
        "SYSTEM START LISTEN HTTP; \
         SELECT getServerPort('http_port') INTO OUTFILE '{}' FORMAT TSV; \
         SELECT * FROM file('/dev/stdin', 'LineAsString') FORMAT Null",
        port_file.display()
    );
    let data = folder.join("data").display().to_string();
    let args = [
        "clickhouse",
        "--path",
        &data,
        "--listen_host",
        "127.0.0.1",
        "--http_port",
        port,
        "--query",
        &queries,
    ];
    thread::spawn(move || say_when_ready(&port_file));
    call(&library, &args)?;
    fs::remove_dir_all(folder).map_err(|error| error.to_string())
}

/// Waits for the file that the server writes once it listens.
fn say_when_ready(port_file: &Path) {
    loop {
        // A line is whole when its end is there.
        if let Ok(port) = fs::read_to_string(port_file)
            && let Some(port) = port.strip_suffix('\n')
        {
            println!("ready clickhouse://default@127.0.0.1:{port}/default");
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs ClickHouse's own `main` with these arguments.
fn call(library: &Path, args: &[&str]) -> Result<(), String> {
    let args: Vec<CString> = args
        .iter()
        .map(|arg| CString::new(*arg).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    let count = c_int::try_from(args.len()).map_err(|error| error.to_string())?;
    // As C has it, the list ends with a null pointer.
    let mut pointers: Vec<*mut c_char> = args.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());

    // SAFETY: the library is the one whose hash is pinned, or one that the user vouches for, and
    // loading it runs nothing but the initialisers of C++. The two types are those of its header. The
    // arguments outlive the call, end with zero, and are only read. What it returns is null or a
    // result, which is never freed, and so is the text of its error.
    let error = unsafe {
        let library = Library::new(library).map_err(|error| error.to_string())?;
        let run = *library.get::<Run>(b"chdb_query_cmdline").map_err(|error| error.to_string())?;
        let error =
            *library.get::<Error>(b"chdb_result_error").map_err(|error| error.to_string())?;
        // Threads of the engine run on: it must never be unloaded.
        std::mem::forget(library);
        let result = run(count, pointers.as_mut_ptr());
        let text = if result.is_null() { std::ptr::null() } else { error(result) };
        if text.is_null() {
            None
        } else {
            Some(CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    };
    error.map_or(Ok(()), Err)
}
