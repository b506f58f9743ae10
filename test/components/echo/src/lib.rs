//! The echo component: it publishes the body of each message to the message's reply-to, where there is one.
//!
//! For tests, a body that begins with "!" is a command instead. TEXT and REST are all that follows and may be empty.
//!
//! | body | what the component does |
//! |---|---|
//! | `!err:TEXT`, `!retry:TEXT` | returns `err(TEXT)` |
//! | `!reject:TEXT` | returns `err("reject:TEXT")`, which the provider takes as final |
//! | `!trap` | traps |
//! | `!sleep:MS:REST` | sleeps for MS milliseconds, then handles REST as a body |
//! | `!on:LINK:REST` | publishes and requests over the link with this name, then handles REST as a body |
//! | `!publish:SUBJECT:REST` | publishes REST to SUBJECT |
//! | `!request:SUBJECT:REST` | requests SUBJECT with REST, for up to 10 s, and publishes the answer's body to the reply-to |
//!
//! A wasmCloud 1.9 host keeps the choice of a link for all calls of a component, not for the one that made it. `!on`
//! therefore goes back to the link "default" afterwards, and calls that run beside one with `!on` may take its link.
//!
//! What fails is returned as `err` with its text; so is a command that it does not know.
use std::time::Duration;

wit_bindgen::generate!({ path: "../wit", world: "echo", generate_all });

use exports::wasmcloud::messaging::handler::{BrokerMessage as Incoming, Guest};
use wasmcloud::bus::lattice::{set_link_name, CallTargetInterface};
use wasmcloud::messaging::consumer;
use wasmcloud::messaging::types::BrokerMessage;

const REQUEST_TIMEOUT_MS: u32 = 10_000;

struct Echo;

impl Guest for Echo {
    fn handle_message(msg: Incoming) -> Result<(), String> {
        handle(&msg.body, msg.reply_to.as_deref())
    }
}

fn handle(body: &[u8], reply_to: Option<&str>) -> Result<(), String> {
    let Some(command) = body.strip_prefix(b"!") else {
        return match reply_to {
            Some(subject) => publish(subject, body),
            None => Ok(()),
        };
    };
    let (name, rest) = cut(command);
    match text(name)? {
        "err" | "retry" => Err(text(rest)?.into()),
        "reject" => Err(format!("reject:{}", text(rest)?)),
        "trap" => panic!("told to trap"),
        "sleep" => {
            let (ms, rest) = cut(rest);
            let ms = text(ms)?.parse().map_err(|e| format!("reading the milliseconds to sleep: {e}"))?;
            std::thread::sleep(Duration::from_millis(ms));
            handle(rest, reply_to)
        }
        "on" => {
            let (link, rest) = cut(rest);
            use_link(text(link)?)?;
            let result = handle(rest, reply_to);
            use_link("default")?;
            result
        }
        "publish" => {
            let (subject, rest) = cut(rest);
            publish(text(subject)?, rest)
        }
        "request" => {
            let (subject, rest) = cut(rest);
            let answer = consumer::request(text(subject)?, rest, REQUEST_TIMEOUT_MS)?;
            match reply_to {
                Some(subject) => publish(subject, &answer.body),
                None => Ok(()),
            }
        }
        unknown => Err(format!("unknown command {unknown:?}")),
    }
}

fn use_link(name: &str) -> Result<(), String> {
    set_link_name(name, vec![CallTargetInterface::new("wasmcloud", "messaging", "consumer")])
}

fn publish(subject: &str, body: &[u8]) -> Result<(), String> {
    consumer::publish(&BrokerMessage { subject: subject.into(), body: body.into(), reply_to: None })
}

/// Splits at the first colon; without one the second part is empty.
fn cut(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&b| b == b':') {
        Some(i) => (&bytes[..i], &bytes[i + 1..]),
        None => (bytes, &[]),
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|e| format!("the command is no text: {e}"))
}

export!(Echo);
