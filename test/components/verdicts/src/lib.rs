//! A handler of messages for hosts whose messaging is NATS, and which tell nobody how a handler ends: it publishes what
//! becomes of each message to the message's reply-to. That is `-NAK` or `+TERM` with the reason, or what it has made of
//! the body; where its environment has OUTPUT, it requests that subject with what it has made, and then says `+ACK`.
//!
//! For tests, a body that begins with "!" is a command instead. TEXT and REST are all that follows and may be empty.
//!
//! | body | what the component does |
//! |---|---|
//! | `!retry:TEXT` | says `-NAK TEXT` |
//! | `!reject:TEXT` | says `+TERM TEXT` |
//! | `!trap` | traps |
//! | `!sleep:MS:REST` | sleeps for MS milliseconds, then handles REST as a body |
use std::time::Duration;

wit_bindgen::generate!({ path: ["../wit", "wit"], world: "messaging-kafka:test-verdicts/verdicts", generate_all });

use exports::wasmcloud::messaging::handler::{BrokerMessage as Incoming, Guest};
use wasmcloud::messaging::consumer;
use wasmcloud::messaging::types::BrokerMessage;

const REQUEST_TIMEOUT_MS: u32 = 10_000;

struct Verdicts;

/// Why a body is not handled.
enum Failure {
    Retry(String),
    Reject(String),
}

impl Guest for Verdicts {
    fn handle_message(msg: Incoming) -> Result<(), String> {
        let word = match handle(&msg.body).and_then(pass_on) {
            Ok(word) => word,
            Err(Failure::Retry(why)) => format!("-NAK {why}").into_bytes(),
            Err(Failure::Reject(why)) => format!("+TERM {why}").into_bytes(),
        };
        match msg.reply_to {
            Some(subject) => consumer::publish(&BrokerMessage { subject, body: word, reply_to: None }),
            None => Ok(()),
        }
    }
}

/// Returns what is made of a body.
fn handle(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let Some(command) = body.strip_prefix(b"!") else {
        return Ok(body.into());
    };
    let (name, rest) = cut(command);
    let text = String::from_utf8_lossy(rest);
    match name {
        b"retry" => Err(Failure::Retry(text.into())),
        b"reject" => Err(Failure::Reject(text.into())),
        b"trap" => panic!("told to trap"),
        b"sleep" => {
            let (ms, rest) = cut(rest);
            let ms = String::from_utf8_lossy(ms).parse();
            std::thread::sleep(Duration::from_millis(ms.map_err(|e| Failure::Reject(format!("the milliseconds: {e}")))?));
            handle(rest)
        }
        _ => Err(Failure::Reject("unknown command".into())),
    }
}

/// Returns the word for a message that is handled.
fn pass_on(made: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let Ok(subject) = std::env::var("OUTPUT") else {
        return Ok(made);
    };
    let answer = consumer::request(&subject, &made, REQUEST_TIMEOUT_MS).map_err(Failure::Retry)?;
    let answer = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.contains("\"offset\"") {
        Ok(b"+ACK".to_vec())
    } else {
        Err(Failure::Retry(answer))
    }
}

/// Splits at the first colon; without one the second part is empty.
fn cut(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&b| b == b':') {
        Some(i) => (&bytes[..i], &bytes[i + 1..]),
        None => (bytes, &[]),
    }
}

export!(Verdicts);
