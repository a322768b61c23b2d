//! A PostgreSQL of our own: in a folder that goes with it, reached through a socket in there.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Set where PostgreSQL must be there: a test that needs it then fails instead of being skipped.
const DEMANDED: &str = "HALFOPEN_POSTGRES";
/// Where Debian has its programs, by version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Nothing here must survive a crash of the machine.
const SETTINGS: &str = "
fsync = off
shared_buffers = '16MB'
log_min_messages = warning
";
/// `guarded` needs a password, everybody else is who they say.
const WHO: &str = "
local all guarded scram-sha-256
local all all trust
";

/// A server that ends with this value.
pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    /// Whoever the server runs as; it does not run as root.
    user: Option<(u32, u32)>,
}

impl Server {
    /// A server that runs; none, loudly, where PostgreSQL is not installed and not demanded.
    pub(crate) fn start() -> Option<Server> {
        let server = Server::make()?;
        server.set("listen_addresses = ''", WHO);
        server.go_on();
        Some(server)
    }

    /// A server that others reach, over TLS only, and the port. Its certificate is for `localhost`
    /// and made by nobody else; it is in the file `certificate`.
    pub(crate) fn start_with_tls() -> Option<(Server, u16)> {
        let server = Server::make()?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate");
        let key = server.folder.path().join("key");
        fs::write(server.certificate(), made.cert.pem()).expect("a file");
        fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its mode");
        if let Some((user, group)) = server.user {
            chown(&key, Some(user), Some(group)).expect("a file of theirs");
        }
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = free.local_addr().expect("its number").port();
        drop(free);
        let files = format!("'{}'\nssl_key_file = '{}'", path(&server.certificate()), path(&key));
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nssl = on\nssl_cert_file = {files}"
        );
        server.set(&settings, "hostssl all all 127.0.0.1/32 trust\n");
        server.go_on();
        Some((server, port))
    }

    /// The file of the certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate")
    }

    /// A server that does not run yet.
    fn make() -> Option<Server> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os(DEMANDED).is_none(), "{DEMANDED} is set: no PostgreSQL here");
            eprintln!("SKIPPED: PostgreSQL is not installed (initdb, pg_ctl)");
            return None;
        };
        let user = rustix::process::geteuid().is_root().then(other_user);
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group)).expect("a folder of theirs");
        }
        let server = Server { folder, programs, user };
        let data = server.data();
        server.run("initdb", &["-D", path(&data), "-U", "halfopen", "-A", "trust", "--no-sync"]);
        Some(server)
    }

    fn set(&self, settings: &str, who: &str) {
        let sockets = format!("unix_socket_directories = '{}'", self.folder.path().display());
        let settings = format!("{SETTINGS}{sockets}\n{settings}\n");
        fs::write(self.data().join("pg_hba.conf"), who).expect("a file");
        fs::write(self.data().join("postgresql.conf"), settings).expect("a file");
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The address of its database, for a user who is let in.
    pub(crate) fn url(&self) -> String {
        self.url_of("halfopen", "postgres")
    }

    pub(crate) fn url_of(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@localhost/{database}?host={}", self.folder.path().display())
    }

    /// The socket itself.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }

    /// It is gone at once, with all its connections.
    pub(crate) fn stop(&self) {
        self.control(&["stop", "-m", "immediate"]);
    }

    /// It is there again.
    pub(crate) fn go_on(&self) {
        let log = self.folder.path().join("log");
        self.control(&["start", "-w", "-l", path(&log)]);
    }

    fn control(&self, args: &[&str]) {
        let data = self.data();
        self.run("pg_ctl", &[&["-D", path(&data), "-s"], args].concat());
    }

    fn run(&self, program: &str, args: &[&str]) {
        let program = self.programs.join(program);
        let mut command = match self.user {
            None => Command::new(&program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={user}"), format!("--regid={group}")]);
                command.arg("--clear-groups").arg(&program);
                command
            }
        };
        // The server keeps what it is given: a pipe would never end.
        let errors = self.folder.path().join("errors");
        let errors_file = fs::File::create(&errors).expect("a file");
        let command = command.args(args).current_dir(self.folder.path()).env("LC_ALL", "C");
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors_file);
        let status = command.status().expect("a program that starts");
        let said = fs::read_to_string(errors).unwrap_or_default();
        assert!(status.success(), "{} {args:?}: {status}: {said}", program.display());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.stop();
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The folder with initdb and pg_ctl, of the newest version.
fn programs() -> Option<PathBuf> {
    let named = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    let newest = versions.into_iter().rev().map(|(_, path)| path);
    newest
        .chain(std::env::split_paths(&named))
        .find(|folder| ["initdb", "pg_ctl"].iter().all(|name| folder.join(name).exists()))
}

/// `postgres` where there is such a user, else `nobody`.
fn other_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody")).unwrap_or((65_534, 65_534))
}
