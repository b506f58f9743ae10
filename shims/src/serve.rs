//! The way in: a request of the bridge is a batch, and its answer has a verdict on each.
use wasip2::http::types::{Fields, IncomingRequest, Method, OutgoingResponse, ResponseOutparam};

use crate::body::{read, write};

/// What a request is refused with: a status and a text for whoever set the bridge up.
pub type Refusal = (u16, String);

/// Answers one request: `handle` makes the answer's body of the request's, both of the media type.
pub fn serve(
    request: IncomingRequest,
    out: ResponseOutparam,
    media_type: &str,
    handle: impl FnOnce(&[u8]) -> Result<Vec<u8>, Refusal>,
) {
    match batch(request, media_type).and_then(|body| handle(&body)) {
        Ok(body) => answer(out, 200, media_type, &body),
        Err((status, text)) => answer(out, status, "text/plain; charset=utf-8", text.as_bytes()),
    }
}

/// The refusal of a body that is not what its media type says.
pub fn malformed(error: crate::wire::Malformed) -> Refusal {
    (
        400,
        format!("the body is not of its media type: {}\n", error.0),
    )
}

fn batch(request: IncomingRequest, media_type: &str) -> Result<Vec<u8>, Refusal> {
    if !matches!(request.method(), Method::Post) {
        return Err((405, "batches come by POST\n".into()));
    }
    let types = request.headers().get("content-type");
    let given = types
        .first()
        .map(|t| String::from_utf8_lossy(t).trim().to_ascii_lowercase())
        .unwrap_or_default();
    if given.split(';').next().map(str::trim) != Some(media_type) {
        return Err((
            415,
            format!("the body is {given:?}; this component takes {media_type}\n"),
        ));
    }
    let body = request
        .consume()
        .map_err(|()| (500, "the request has no body to read\n".to_string()))?;
    read(body).map_err(|text| (400, format!("reading the request: {text}\n")))
}

fn answer(out: ResponseOutparam, status: u16, content_type: &str, bytes: &[u8]) {
    let fields = Fields::new();
    for (name, value) in [
        ("content-type", content_type.to_string()),
        ("content-length", bytes.len().to_string()),
    ] {
        fields
            .append(name, value.as_bytes())
            .expect("a header that is allowed");
    }
    let response = OutgoingResponse::new(fields);
    response
        .set_status_code(status)
        .expect("a status that there is");
    let body = response.body().expect("the body, once");
    ResponseOutparam::set(out, Ok(response));
    // Whoever has gone needs no answer: the bridge sends the batch again.
    if let Err(text) = write(body, bytes) {
        eprintln!("answering the bridge: {text}");
    }
}
