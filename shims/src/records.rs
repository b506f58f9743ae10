//! The types of `messaging-kafka:records@0.1.0` and their encoding.
#[cfg(any(feature = "handler", feature = "processor", feature = "producer"))]
use crate::messaging_kafka::records::types::*;
use crate::wire::*;

/// What the bodies of records are called; the version is a part of the name.
pub const MEDIA_TYPE: &str = "application/vnd.messaging-kafka.records.v1";

fn payload(r: &mut Reader) -> Result<Payload, Malformed> {
    Ok(match r.u32()? {
        0 => Payload::None,
        1 => Payload::Text(r.string()?),
        2 => Payload::Bytes(r.bytes()?.to_vec()),
        3 => Payload::Base64(r.string()?),
        _ => return Err(Malformed("a payload is of a kind that is not known")),
    })
}

#[cfg(any(feature = "processor", feature = "producer"))]
fn put_payload(to: &mut Vec<u8>, value: &Payload) {
    match value {
        Payload::None => put_u64(to, 0),
        Payload::Text(text) => {
            put_u64(to, 1);
            put_bytes(to, text.as_bytes());
        }
        Payload::Bytes(bytes) => {
            put_u64(to, 2);
            put_bytes(to, bytes);
        }
        Payload::Base64(text) => {
            put_u64(to, 3);
            put_bytes(to, text.as_bytes());
        }
    }
}

fn header(r: &mut Reader) -> Result<Header, Malformed> {
    Ok(Header {
        name: r.string()?,
        value: payload(r)?,
    })
}

#[cfg(any(feature = "processor", feature = "producer"))]
fn put_header(to: &mut Vec<u8>, header: &Header) {
    put_bytes(to, header.name.as_bytes());
    put_payload(to, &header.value);
}

pub fn incoming(r: &mut Reader) -> Result<Incoming, Malformed> {
    Ok(Incoming {
        topic: r.string()?,
        partition: r.u32()?,
        offset: r.u64()?,
        timestamp: r.u64()?,
        key: payload(r)?,
        value: payload(r)?,
        headers: r.list(header)?,
        attempt: r.u32()?,
    })
}

#[cfg(any(feature = "processor", feature = "producer"))]
pub fn put_outgoing(to: &mut Vec<u8>, record: &Outgoing) {
    put_bytes(to, record.topic.as_bytes());
    put_option(to, &record.partition, |to, p| put_u64(to, u64::from(*p)));
    put_payload(to, &record.key);
    put_payload(to, &record.value);
    put_list(to, &record.headers, put_header);
    put_option(to, &record.timestamp, |to, t| put_u64(to, *t));
}

#[cfg(any(feature = "handler", feature = "processor"))]
pub fn put_failure(to: &mut Vec<u8>, failure: &Failure) {
    let (case, text) = match failure {
        Failure::Retry(text) => (0, text),
        Failure::Reject(text) => (1, text),
    };
    put_u64(to, case);
    put_bytes(to, text.as_bytes());
}

#[cfg(feature = "producer")]
pub fn position(r: &mut Reader) -> Result<Position, Malformed> {
    Ok(Position {
        topic: r.string()?,
        partition: r.u32()?,
        offset: r.u64()?,
    })
}

#[cfg(feature = "producer")]
pub fn send_error(r: &mut Reader) -> Result<SendError, Malformed> {
    Ok(match r.u32()? {
        0 => SendError::TooLarge(SizeLimit {
            size: r.u64()?,
            limit: r.u64()?,
        }),
        1 => SendError::UnknownTopic(r.string()?),
        2 => SendError::NotAuthorised(r.string()?),
        3 => SendError::TimedOut(r.string()?),
        4 => SendError::Unavailable(r.string()?),
        5 => SendError::Invalid(r.string()?),
        6 => SendError::Other(r.string()?),
        _ => return Err(Malformed("an error is of a kind that is not known")),
    })
}
