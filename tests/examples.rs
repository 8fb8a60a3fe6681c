//! The examples, run as a reader would run them.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// The example's program. `cargo test` builds all of them; when only some tests are built, they may
/// not be there.
fn example(name: &str) -> Option<PathBuf> {
    // This test is target/PROFILE/deps/examples-HASH.
    let this = env::current_exe().unwrap();
    let program = this.ancestors().nth(2).unwrap().join("examples").join(name);
    let program = program.with_extension(env::consts::EXE_EXTENSION);
    if program.exists() {
        return Some(program);
    }
    assert!(env::var_os("ORBIT_TESTS_MUST_RUN").is_none(), "{} is not built", program.display());
    eprintln!("skipped: {} is not built", program.display());
    None
}

fn sandbox() -> TempDir {
    let sandbox = TempDir::new().unwrap();
    fs::create_dir_all(sandbox.path().join("src/inner")).unwrap();
    fs::write(sandbox.path().join("src/inner/file"), b"content").unwrap();
    sandbox
}

/// A service that is stopped at the end of its test.
struct Service {
    child: Child,
    address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(program: PathBuf, root: &TempDir) -> Service {
        let mut command = Command::new(program);
        command.arg(root.path()).arg("127.0.0.1:0").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Service { child, address }
    }

    /// The whole answer to a request: status, headers and body.
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        write!(
            connection,
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
fn copy_tree_copies_a_tree() {
    let Some(program) = example("copy_tree") else { return };
    let sandbox = sandbox();
    let output = Command::new(program).args(["src", "dst"]).current_dir(sandbox.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(sandbox.path().join("dst/inner/file")).unwrap(), b"content");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("1 files, 2 directories, 7 bytes"));
}

#[test]
fn http_service_copies_and_tells_the_end() {
    let Some(program) = example("http_service") else { return };
    let sandbox = sandbox();
    let service = Service::start(program, &sandbox);
    let answer = service.ask("POST", "/copies", r#"{"source":"src","destination":"dst"}"#);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    // The stream ends when the copy does.
    let events = service.ask("GET", "/copies/1/events", "");
    assert!(events.contains("event: finished") && events.contains(r#""complete":true"#), "{events}");
    assert_eq!(fs::read(sandbox.path().join("dst/inner/file")).unwrap(), b"content");
    assert!(service.ask("DELETE", "/copies/1", "").starts_with("HTTP/1.1 204"));
    assert!(service.ask("GET", "/copies/1/events", "").starts_with("HTTP/1.1 404"));
}

#[test]
fn http_service_stays_below_its_root() {
    let Some(program) = example("http_service") else { return };
    let (outside, root) = (sandbox(), sandbox());
    let service = Service::start(program, &root);
    let outside_source = outside.path().join("src");
    let name = outside.path().file_name().unwrap();
    for source in [outside_source.clone(), PathBuf::from("..").join(name).join("src"), PathBuf::new()] {
        let request = serde_json::json!({ "source": source, "destination": "dst" }).to_string();
        let answer = service.ask("POST", "/copies", &request);
        assert!(answer.starts_with("HTTP/1.1 400"), "{request}: {answer}");
    }
    let request = serde_json::json!({ "source": "src", "destination": outside.path().join("dst") });
    assert!(service.ask("POST", "/copies", &request.to_string()).starts_with("HTTP/1.1 400"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outside.path(), root.path().join("way-out")).unwrap();
        let answer = service.ask("POST", "/copies", r#"{"source":"way-out/src","destination":"dst"}"#);
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert!(!root.path().join("dst").exists());
    assert!(!outside.path().join("dst").exists());
}
