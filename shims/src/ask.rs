//! The way out: what a component produces and requests is asked of the bridge, whose address its environment has.
use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, Fields, Method, OutgoingRequest, RequestOptions, Scheme};

/// Why there is no answer of the bridge's.
pub enum Failure {
    /// The bridge has not got the request, or says that it does nothing with requests now.
    Unavailable(String),
    /// The request may have been carried out.
    TimedOut(String),
    /// The token, or what it stands for, does not allow it.
    NotAuthorised(String),
    /// The bridge refuses the request as it is.
    Invalid(String),
}

#[cfg(feature = "consumer")]
impl Failure {
    pub fn text(self) -> String {
        match self {
            Failure::Unavailable(t)
            | Failure::TimedOut(t)
            | Failure::NotAuthorised(t)
            | Failure::Invalid(t) => t,
        }
    }
}

/// How much longer than the answer itself may take the bridge is waited for.
const GRACE_MS: u64 = 2_000;

/// How long a record may take to be stored: the bridge gives up before (`delivery_timeout`), and says so.
pub const SEND_MS: u64 = 150_000;

/// Posts a body to a path of the bridge and returns the answer's. The bridge may take `patience_ms` for it.
pub fn ask(
    path: &str,
    media_type: &str,
    body: &[u8],
    patience_ms: u64,
) -> Result<Vec<u8>, Failure> {
    let variables = wasip2::cli::environment::get_environment();
    let variable = |name: &str| {
        variables
            .iter()
            .find(|(n, v)| n == name && !v.is_empty())
            .map(|(_, v)| v.as_str())
    };
    let url = variable("MESSAGING_KAFKA_URL").ok_or_else(|| {
        Failure::Unavailable("MESSAGING_KAFKA_URL is not set: it says where the bridge is".into())
    })?;
    let (scheme, authority, base) = parse(url).map_err(Failure::Unavailable)?;

    let fields = Fields::new();
    let mut headers = vec![
        ("content-type", media_type.to_string()),
        ("accept", media_type.to_string()),
    ];
    headers.push(("content-length", body.len().to_string()));
    if let Some(token) = variable("MESSAGING_KAFKA_TOKEN") {
        headers.push(("authorization", format!("Bearer {token}")));
    }
    if let Some(route) = variable("MESSAGING_KAFKA_ROUTE") {
        headers.push(("messaging-kafka-route", route.to_string()));
    }
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).map_err(|_| {
            Failure::Unavailable(format!(
                "the header {name} cannot be sent as the environment has it"
            ))
        })?;
    }
    let request = OutgoingRequest::new(fields);
    let set = request
        .set_method(&Method::Post)
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(&format!("{base}{path}"))));
    set.map_err(|()| {
        Failure::Unavailable(format!("MESSAGING_KAFKA_URL cannot be asked: {authority}"))
    })?;

    let options = RequestOptions::new();
    let patience = (patience_ms + GRACE_MS).saturating_mul(1_000_000);
    // A host that knows no such times has its own.
    let _ = options.set_connect_timeout(Some(5_000_000_000));
    let _ = options.set_first_byte_timeout(Some(patience));
    let _ = options.set_between_bytes_timeout(Some(patience));

    let out = request.body().expect("the body, once");
    let future =
        outgoing_handler::handle(request, Some(options)).map_err(|e| failed(authority, e))?;
    let written = crate::body::write(out, body);
    future.subscribe().block();
    let response = future
        .get()
        .expect("an answer that is there")
        .expect("the answer, once")
        .map_err(|e| failed(authority, e))?;
    let status = response.status();
    let answer = response
        .consume()
        .map_err(|()| "it has no body".to_string())
        .and_then(crate::body::read);
    match (status, answer) {
        (200, Ok(answer)) => match written {
            Ok(()) => Ok(answer),
            Err(text) => Err(Failure::TimedOut(format!(
                "sending to the bridge at {authority}: {text}"
            ))),
        },
        (200, Err(text)) => Err(Failure::TimedOut(format!(
            "reading the bridge's answer: {text}"
        ))),
        (status, answer) => Err(refused(status, &answer.unwrap_or_default())),
    }
}

fn refused(status: u16, body: &[u8]) -> Failure {
    let mut text = String::from_utf8_lossy(body).trim().to_string();
    text.truncate(text.char_indices().nth(500).map_or(text.len(), |(i, _)| i));
    let text = format!("the bridge answers {status}: {text}");
    match status {
        401 | 403 => Failure::NotAuthorised(text),
        408 | 504 => Failure::TimedOut(text),
        404 | 429 | 500..=599 => Failure::Unavailable(text),
        _ => Failure::Invalid(text),
    }
}

fn failed(authority: &str, error: ErrorCode) -> Failure {
    let text = format!("asking the bridge at {authority}: {error}");
    match error {
        ErrorCode::DnsTimeout
        | ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpProhibited
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => Failure::Unavailable(text),
        ErrorCode::HttpRequestDenied => Failure::NotAuthorised(text),
        _ => Failure::TimedOut(text),
    }
}

/// Takes a URL apart into scheme, authority and the path that others are put behind.
fn parse(url: &str) -> Result<(Scheme, &str, &str), String> {
    let (scheme, rest) = if let Some(rest) = url.strip_prefix("http://") {
        (Scheme::Http, rest)
    } else if let Some(rest) = url.strip_prefix("https://") {
        (Scheme::Https, rest)
    } else {
        return Err("MESSAGING_KAFKA_URL begins with neither http:// nor https://".into());
    };
    let rest = rest.trim_end_matches('/');
    let (authority, base) = rest.find('/').map_or((rest, ""), |i| rest.split_at(i));
    if authority.is_empty() || authority.contains('@') || base.contains(['?', '#']) {
        return Err(
            "MESSAGING_KAFKA_URL is http(s)://HOST[:PORT][/PATH], without credentials and query"
                .into(),
        );
    }
    Ok((scheme, authority, base))
}
