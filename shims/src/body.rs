//! Bodies of requests and answers, in both directions.
use wasip2::http::types::{IncomingBody, OutgoingBody};
use wasip2::io::streams::StreamError;

/// Reads a body to its end.
pub fn read(body: IncomingBody) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    let stream = body
        .stream()
        .map_err(|()| "its body was read already".to_string())?;
    loop {
        match stream.blocking_read(1 << 20) {
            Ok(part) if bytes.is_empty() => bytes = part,
            Ok(part) => bytes.extend_from_slice(&part),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

/// Writes a body and ends it. Streams take 4096 bytes at once, so that more are written as there is room.
pub fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), String> {
    {
        let stream = body
            .write()
            .map_err(|()| "the body was written already".to_string())?;
        let ready = stream.subscribe();
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = stream.check_write().map_err(|e| format!("{e:?}"))? as usize;
            if room == 0 {
                ready.block();
                continue;
            }
            let (part, later) = rest.split_at(room.min(rest.len()));
            stream.write(part).map_err(|e| format!("{e:?}"))?;
            rest = later;
        }
        drop(ready);
        // Whoever has all that the content-length announces may close the stream at once.
        match stream.blocking_flush() {
            Ok(()) | Err(StreamError::Closed) => {}
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
    OutgoingBody::finish(body, None).map_err(|e| format!("{e:?}"))
}
