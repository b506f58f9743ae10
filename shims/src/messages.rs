//! The types of `wasmcloud:messaging@0.2.0` and their encoding.
use crate::wasmcloud::messaging::types::BrokerMessage;
use crate::wire::*;

/// What the bodies of messages are called; the version is a part of the name.
pub const MEDIA_TYPE: &str = "application/vnd.messaging-kafka.messages.v1";

pub fn message(r: &mut Reader) -> Result<BrokerMessage, Malformed> {
    Ok(BrokerMessage {
        subject: r.string()?,
        body: r.bytes()?.to_vec(),
        reply_to: r.option(|r| r.string())?,
    })
}

#[cfg(feature = "consumer")]
pub fn put_message(to: &mut Vec<u8>, message: &BrokerMessage) {
    put_bytes(to, message.subject.as_bytes());
    put_bytes(to, &message.body);
    put_option(to, &message.reply_to, |to, s| put_bytes(to, s.as_bytes()));
}
