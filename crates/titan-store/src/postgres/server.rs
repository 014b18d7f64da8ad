//! Which server, and how it is reached. What is told of it names no password.

use futures::StreamExt;
use futures::stream::BoxStream;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::StorageError;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long one try to connect may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A peer that is silent for so long is asked whether it is still there, so often, at most.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent bytes may stay unanswered by the other machine.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);
/// What every connection is told. An engine that hangs in a transaction gives its locks back.
/// What it is told unless its address says otherwise: a commit is on the disk when it returns.
const DEFAULTS: &str = "-c synchronous_commit=on";
const SETTINGS: &str =
    "-c search_path=titanclaw,public -c idle_in_transaction_session_timeout=15000";
const PORT: u16 = 5432;

/// A PostgreSQL server and a database on it.
#[derive(Clone)]
pub struct Server {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    name: String,
}

impl Server {
    /// Understands `postgres://user@host:port/database`, with parameters as libpq has them, but no password: that
    /// comes beside it. A server on another machine is spoken to by TLS, and its certificate is checked: against
    /// `authorities`, a PEM file, or else against what this system trusts. Only `sslmode=disable` turns that off.
    /// Connects to nothing.
    ///
    /// # Errors
    /// When the address is not understood, or the authorities can't be read.
    pub fn new(
        address: &str,
        password: Option<&SecretString>,
        authorities: Option<&Path>,
    ) -> Result<Self, StorageError> {
        // libpq's words for a checked certificate, which is the only TLS there is here.
        let address = address
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require");
        let mut config: Config = address.parse().map_err(|_| not_understood())?;
        if config.get_hosts().is_empty() || config.get_dbname().is_none() {
            return Err(not_understood());
        }
        if config.get_password().is_some() {
            return Err(StorageError::Failed(
                "the address of the store holds a password, and config files are read by many: take it out, put it into \
                 an environment variable and name that in store.password_env"
                    .to_owned(),
            ));
        }
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        if config.get_ssl_mode() == SslMode::Prefer {
            let is_here = config.get_hosts().iter().all(is_on_this_machine);
            config.ssl_mode(if is_here {
                SslMode::Disable
            } else {
                SslMode::Require
            });
        }
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(MakeRustlsConnect::new(trust(authorities)?)),
        };
        let own = config.get_options().unwrap_or_default();
        let options = format!("{DEFAULTS} {own} {SETTINGS}");
        config
            .options(options)
            .application_name("titanclaw")
            .connect_timeout(CONNECT_MAX)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(UNACKNOWLEDGED_MAX);
        let name = name_of(&config);
        Ok(Self { config, tls, name })
    }

    pub(super) fn manager(&self) -> deadpool_postgres::Manager {
        let settings = deadpool_postgres::ManagerConfig {
            recycling_method: deadpool_postgres::RecyclingMethod::Fast,
        };
        let config = self.config.clone();
        match self.tls.clone() {
            Some(tls) => deadpool_postgres::Manager::from_config(config, tls, settings),
            None => deadpool_postgres::Manager::from_config(config, NoTls, settings),
        }
    }

    /// A connection of one's own, with what the server says unasked. Nothing moves unless that is polled; it ends with
    /// the connection.
    pub(super) async fn connect(&self) -> Result<(Client, Messages), Error> {
        match self.tls.clone() {
            Some(tls) => connect(&self.config, tls).await,
            None => connect(&self.config, NoTls).await,
        }
    }
}

pub(super) type Messages = BoxStream<'static, Result<AsyncMessage, Error>>;

async fn connect<T>(config: &Config, tls: T) -> Result<(Client, Messages), Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, mut connection) = config.connect(tls).await?;
    let messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
    Ok((client, messages.boxed()))
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.name)
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
    }
}

impl Eq for Server {}

/// Says nothing of what stands there: a part of it may be a password.
fn not_understood() -> StorageError {
    StorageError::Failed(
        "the address of the store is not understood: write postgres://USER@HOST:PORT/DATABASE, with the password in a \
         variable or with what is special in it as %XX"
            .to_owned(),
    )
}

fn is_on_this_machine(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let address: Option<std::net::IpAddr> = name.parse().ok();
            name == "localhost" || address.is_some_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

fn name_of(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(idx, host)| {
        let port = ports.get(idx).or(ports.first()).copied().unwrap_or(PORT);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    });
    let hosts: Vec<String> = hosts.collect();
    let database = config.get_dbname().unwrap_or_default();
    format!("PostgreSQL at {}/{database}", hosts.join(","))
}

/// Whose certificates are good.
fn trust(authorities: Option<&Path>) -> Result<ClientConfig, StorageError> {
    let unusable =
        |error: rustls::Error| StorageError::Failed(format!("TLS can't be set up: {error}"));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match authorities {
        None => builder.with_platform_verifier().map_err(unusable)?,
        Some(path) => builder.with_root_certificates(roots(path)?),
    };
    Ok(builder.with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, StorageError> {
    let unreadable = |error: &dyn fmt::Display| {
        StorageError::Failed(format!(
            "the authorities in {} can't be read ({error}): name a PEM file of certificates",
            path.display()
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        return Err(unreadable(&"there is none in it"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str) -> Server {
        Server::new(address, None, None).expect("the address is understood")
    }

    #[test]
    fn what_is_told_of_a_server_holds_no_password() {
        let password = SecretString::from("hunter2hunter2".to_owned());
        let address = "postgres://me@db.example:5433/notes?sslmode=disable";
        let server = Server::new(address, Some(&password), None).expect("it is understood");
        let told = format!("{server} {server:?}");
        assert_eq!(
            told,
            "PostgreSQL at db.example:5433/notes Server(PostgreSQL at db.example:5433/notes)"
        );
        for odd in [
            "postgres://me:hunter2/3@db.example:x/notes",
            "postgres://me:hunter2@db.example/notes?hunter2=1",
            "postgres://me:hunter2@db.example",
            "postgres://me:hunter2@db.example/notes",
            "postgres://me@db.example/notes?password=hunter2",
            "hunter2",
        ] {
            let refused = Server::new(odd, None, None).expect_err("it is no address");
            assert!(
                !format!("{refused} {refused:?}").contains("hunter2"),
                "{refused}"
            );
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear_unless_the_address_says_so() {
        let speaks_tls = |address: &str| server(address).tls.is_some();
        assert!(speaks_tls("postgres://me@db.example/notes"));
        assert!(speaks_tls("postgres://me@10.0.0.7/notes?sslmode=prefer"));
        assert!(speaks_tls(
            "postgres://me@127.0.0.1/notes?sslmode=verify-full"
        ));
        assert!(speaks_tls("postgres://me@localhost,db.example/notes"));
        assert!(!speaks_tls("postgres://me@127.0.0.1/notes"));
        assert!(!speaks_tls("postgres://me@[::1]/notes"));
        assert!(!speaks_tls("postgres://me@%2Frun%2Fpostgresql/notes"));
        assert!(!speaks_tls(
            "postgres://me@db.example/notes?sslmode=disable"
        ));
    }
}
