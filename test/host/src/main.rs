//! A real wasmCloud host for the end-to-end tests: the host code of wasmCloud 1.9.2 with the settings that a test
//! wants to choose, and with loading of components and providers from files allowed.
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, Context as _, Result};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{signal, SignalKind};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};
use wasmcloud_host::wasmbus::{Features, Host, HostConfig};

const USAGE: &str = "usage: lattice-host [--nats-url URL] [--lattice NAME] [--secrets-topic TOPIC] [--rpc-timeout-ms N]
    [--max-execution-time-ms N] [--provider-shutdown-delay-ms N] [--feature NAME]... [--traces]
    [--until-stdin-ends]

Defaults are those of the wasmcloud binary: nats://127.0.0.1:4222, lattice \"default\", 2000, 600000 and 300 ms.
--traces has the host make spans, as with OpenTelemetry on, and so pass traces on; they are sent nowhere.
--until-stdin-ends stops the host when its standard input ends, so that it never outlives the test that started it.
RUST_LOG sets the log on standard error (default info) and is passed on to providers.";

struct Args {
    config: HostConfig,
    traces: bool,
    until_stdin_ends: bool,
}

fn parse(args: impl Iterator<Item = String>) -> Result<Args> {
    let mut config = HostConfig {
        allow_file_load: true,
        version: "1.9.2".into(),
        // The crate's own default would wait for 10 s.
        provider_shutdown_delay: Some(Duration::from_millis(300)),
        ..Default::default()
    };
    config.ctl_nats_url = "nats://127.0.0.1:4222".parse()?;
    config.rpc_nats_url = config.ctl_nats_url.clone();
    let mut traces = false;
    let mut until_stdin_ends = false;
    let mut args = args.peekable();
    while let Some(flag) = args.next() {
        if flag == "--until-stdin-ends" {
            until_stdin_ends = true;
            continue;
        }
        if flag == "--traces" {
            traces = true;
            continue;
        }
        if flag == "-h" || flag == "--help" {
            println!("{USAGE}");
            std::process::exit(0);
        }
        let value = args.next().with_context(|| format!("{flag} has no value\n{USAGE}"))?;
        let millis = || -> Result<Duration> {
            let n = value.parse().with_context(|| format!("{flag} {value} is no number of milliseconds"))?;
            Ok(Duration::from_millis(n))
        };
        match flag.as_str() {
            "--nats-url" => {
                config.ctl_nats_url = value.parse().with_context(|| format!("{flag} {value}"))?;
                config.rpc_nats_url = config.ctl_nats_url.clone();
            }
            "--lattice" => config.lattice = Arc::from(value),
            "--secrets-topic" => config.secrets_topic_prefix = Some(value),
            "--rpc-timeout-ms" => config.rpc_timeout = millis()?,
            "--max-execution-time-ms" => config.max_execution_time = millis()?,
            "--provider-shutdown-delay-ms" => config.provider_shutdown_delay = Some(millis()?),
            "--feature" => config.experimental_features = config.experimental_features | Features::from(value.as_str()),
            _ => bail!("unknown flag {flag}\n{USAGE}"),
        }
    }
    Ok(Args { config, traces, until_stdin_ends })
}

/// Waits for whatever ends the host: a signal, `host.stop` on the lattice, or the end of stdin.
async fn wait_for_end(host: &Host, until_stdin_ends: bool) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        stopped = host.stopped() => { stopped?; }
        ended = stdin_end(), if until_stdin_ends => ended?,
    }
    Ok(())
}

async fn stdin_end() -> Result<()> {
    let mut stdin = tokio::io::stdin();
    let mut buf = [0; 64];
    while stdin.read(&mut buf).await.context("reading stdin")? > 0 {}
    Ok(())
}

async fn run(args: Args) -> Result<()> {
    // The future is larger than a thread's stack likes.
    let (host, shutdown) = Box::pin(Host::new(args.config)).await?;
    let ended = wait_for_end(&host, args.until_stdin_ends).await;
    stop(shutdown).await?;
    drop(host);
    ended
}

/// Bounds the host's own shutdown: it flushes NATS connections, which may be gone.
async fn stop(shutdown: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::time::timeout(Duration::from_secs(5), shutdown).await.context("stopping the host took too long")?
}

/// Sets up the log and, with traces, spans as the wasmcloud binary has them with OpenTelemetry on.
fn observe(traces: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter);
    let spans = traces.then(|| {
        let tracer = SdkTracerProvider::builder().build().tracer("wasmcloud-host");
        tracing_opentelemetry::layer().with_tracer(tracer).with_filter(LevelFilter::INFO)
    });
    tracing_subscriber::registry().with(log).with(spans).init();
}

fn main() -> Result<()> {
    let args = parse(std::env::args().skip(1))?;
    observe(args.traces);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run(args));
    // A read of stdin cannot be taken back; it must not keep the process.
    runtime.shutdown_background();
    result
}
