//! A small real web server for the demo: it serves the files of a directory, and needs a configuration file with a
//! secret in it. It is an ordinary program; nothing in it knows of Anneal.
//!
//! ```text
//! webserver --port 8080 --root site --config server.conf
//! ```
//!
//! The configuration is lines of `key = value`; `token` is required, `title` is not. Without the token nobody sees
//! `/status`:
//!
//! ```text
//! curl http://127.0.0.1:8080/health
//! curl -H 'Authorization: Bearer TOKEN' http://127.0.0.1:8080/status
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Serves the files of a directory.
#[derive(Parser)]
struct Arguments {
    /// Port on the loopback interface; 0 for any that is free
    #[arg(long)]
    port: u16,

    /// The directory that is served
    #[arg(long)]
    root: PathBuf,

    /// The configuration file
    #[arg(long)]
    config: PathBuf,
}

/// What every request can see.
struct Site {
    root: PathBuf,
    config: Config,
    served: AtomicU64,
}

/// What the configuration file says.
#[derive(Debug, PartialEq, Eq)]
struct Config {
    token: String,
    title: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("webserver: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> io::Result<()> {
    let text = std::fs::read_to_string(&arguments.config)
        .map_err(|error| context(&arguments.config, &error))?;
    let config = parse(&text).map_err(|why| context(&arguments.config, &why))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::other(format!("{address}: {error}")))?;
    let mut terminate = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let site = Arc::new(Site {
        root: arguments.root,
        config,
        served: AtomicU64::new(0),
    });
    let routes = Router::new()
        .route("/health", get(health))
        .route("/status", get(status))
        .fallback(get(page))
        .with_state(site);
    axum::serve(listener, routes)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await
}

fn context(path: &Path, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}

fn parse(text: &str) -> Result<Config, String> {
    let mut token = None;
    let mut title = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| format!("line {}: expected key = value", number + 1))?;
        match key.trim() {
            "token" => token = Some(value.trim().to_string()),
            "title" => title = Some(value.trim().to_string()),
            other => return Err(format!("line {}: unknown key {other}", number + 1)),
        }
    }
    Ok(Config {
        token: token
            .filter(|token| !token.is_empty())
            .ok_or("no token in it")?,
        title: title.unwrap_or_else(|| "untitled".into()),
    })
}

/// Healthy means: there is a first page to serve.
async fn health(State(site): State<Arc<Site>>) -> Response {
    if site.root.join("index.html").is_file() {
        json(StatusCode::OK, r#"{"status":"ok"}"#.into())
    } else {
        json(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"status":"no index.html"}"#.into(),
        )
    }
}

/// For those who know the token.
async fn status(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let expected = format!("Bearer {}", site.config.token);
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    if given != Some(expected.as_bytes()) {
        return json(
            StatusCode::UNAUTHORIZED,
            r#"{"error":"wrong token"}"#.into(),
        );
    }
    let answer = serde_json::json!({
        "title": site.config.title,
        "pages": pages(&site.root),
        "served": site.served.load(Ordering::Relaxed),
        "pid": std::process::id(),
    });
    json(StatusCode::OK, answer.to_string())
}

/// The names of the pages, in order.
fn pages(root: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".html"))
        .collect();
    names.sort();
    names
}

async fn page(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let Some(file) = file_of(&site.root, uri.path()) else {
        return (StatusCode::NOT_FOUND, "not found\n").into_response();
    };
    match tokio::fs::read(&file).await {
        Ok(content) => {
            site.served.fetch_add(1, Ordering::Relaxed);
            ([(CONTENT_TYPE, kind_of(&file))], content).into_response()
        }
        Err(_) => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}

/// The file that a path names, never one outside of the root.
fn file_of(root: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    let stays_inside = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !stays_inside {
        return None;
    }
    let file = root.join(relative);
    Some(if file.is_dir() {
        file.join("index.html")
    } else {
        file
    })
}

fn kind_of(file: &Path) -> &'static str {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body + "\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_a_token_is_refused() {
        let config = parse("# secret\ntoken = abc\ntitle = Demo\n").expect("complete");
        assert_eq!(
            config,
            Config {
                token: "abc".into(),
                title: "Demo".into()
            }
        );
        for bad in ["", "token =", "tokn = a", "token"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        let root = Path::new("/srv");
        assert_eq!(file_of(root, "/a/b.html"), Some("/srv/a/b.html".into()));
        for bad in ["/../etc/passwd", "/a/../../b", "//../x"] {
            assert_eq!(file_of(root, bad), None, "{bad}");
        }
    }
}
