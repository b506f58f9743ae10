//! The echo component for whole records: as a processor it returns each record for the topic `<topic>.out`, with its
//! key, value, headers and timestamp; as a handler it handles each record and does nothing, unless the record has a header
//! "send-to": then it sends the record, all of it, to the topic that the header names.
//!
//! For tests, a value that begins with "!" is a command instead. TEXT and REST are all that follows and may be empty.
//!
//! | value | what the component does |
//! |---|---|
//! | `!reject:TEXT` | fails the record with `reject(TEXT)` |
//! | `!retry:TEXT` | fails the record with `retry(TEXT)` |
//! | `!until:N:REST` | fails the record with `retry` before its Nth attempt, then takes REST as the value |
//! | `!sleep:MS:REST` | sleeps for MS milliseconds, then takes REST as the value |
//! | `!trap` | traps |
//! | `!short` | leaves the last result of the batch out |
//! | `!bare:REST` | forgets key and headers, then takes REST as the value |
//! | `!describe` | takes topic, partition, offset, timestamp and attempt as the value, in words |
//! | `!batch` | processor: takes the number of records in the batch and of bytes in their values as the value, in words |
//! | `!none` | processor: returns nothing for the record |
//! | `!times:N:REST` | processor: returns N records with the value REST |
//! | `!to:TOPIC:REST` | processor: returns a record for TOPIC with the value REST |
//! | `!partition:N:REST` | processor: returns a record for partition N with the value REST |
//! | `!send:TOPIC:TEXT` | handler: sends a record with the value TEXT, and its own key and headers, to TOPIC |
//! | `!sendto:TOPIC:N:TEXT` | handler: the same, to partition N |
//! | `!where:TOPIC:TEXT` | handler: the same as `!send`, and sends where it was stored, in words, to `<topic>.out` |
//! | `!request:TOPIC:TEXT` | handler: requests TOPIC with TEXT, for up to 10 s, and sends the answer to `<topic>.out` |
//! | `!ask:MS:TOPIC:TEXT` | handler: the same, for up to MS milliseconds |
//!
//! A handler sends what a batch has to send in one call, after it has looked at each record. What could not be sent or
//! requested is rejected, with the name of the error's case and its text; so is a command that it does not know.
use std::time::Duration;

wit_bindgen::generate!({ path: ["../../../wit", "wit"], world: "messaging-kafka:test/records-echo", generate_all });

use exports::messaging_kafka::records::{handler, processor};
use messaging_kafka::records::types::{Failure, Incoming, Outgoing, Payload, Position, SendError};
use messaging_kafka::records::{producer, requester};

const REQUEST_TIMEOUT_MS: u32 = 10_000;

struct Echo;

impl processor::Guest for Echo {
    fn process(records: Vec<Incoming>) -> Vec<Result<Vec<Outgoing>, Failure>> {
        let short = records.iter().any(|r| command(&r.value) == Some(("short", "")));
        let bytes: usize = records.iter().map(|r| size(&r.value)).sum();
        let batch = format!("{} records, {bytes} bytes", records.len());
        let mut results: Vec<_> = records
            .into_iter()
            .map(|mut record| {
                if command(&record.value) == Some(("batch", "")) {
                    record.value = Payload::Text(batch.clone());
                }
                process(record)
            })
            .collect();
        if short {
            results.pop();
        }
        results
    }
}

impl handler::Guest for Echo {
    fn handle(records: Vec<Incoming>) -> Vec<Result<(), Failure>> {
        let short = records.iter().any(|r| command(&r.value) == Some(("short", "")));
        let mut results = Vec::with_capacity(records.len());
        let (mut to_send, mut senders, mut told) = (vec![], vec![], vec![]);
        for record in records {
            results.push(match handle(record) {
                Ok(Some(Send { outgoing, tell })) => {
                    to_send.push(outgoing);
                    senders.push((results.len(), tell));
                    Ok(())
                }
                Ok(None) => Ok(()),
                Err(failure) => Err(failure),
            });
        }
        if !to_send.is_empty() {
            let sent = producer::send(&to_send);
            assert_eq!(sent.len(), to_send.len(), "results of a send");
            for ((i, tell), sent) in senders.into_iter().zip(sent) {
                results[i] = match sent {
                    Ok(position) => {
                        told.extend(tell.map(|topic| stored(topic, position)));
                        Ok(())
                    }
                    Err(e) => Err(not_sent(e)),
                };
            }
        }
        if !told.is_empty() {
            for sent in producer::send(&told) {
                sent.expect("telling where a record was stored");
            }
        }
        if short {
            results.pop();
        }
        results
    }
}

fn process(mut record: Incoming) -> Result<Vec<Outgoing>, Failure> {
    let Some((name, rest)) = command(&record.value) else {
        return Ok(vec![echo(record)]);
    };
    let rest = rest.to_string();
    match name {
        "none" => Ok(vec![]),
        "bare" => process(bare(record, rest)),
        "times" => {
            let (n, rest) = number_and(&rest)?;
            record.value = Payload::Text(rest.into());
            Ok(vec![echo(record); n as usize])
        }
        "to" => {
            let (topic, rest) = cut(&rest);
            record.value = Payload::Text(rest.into());
            Ok(vec![Outgoing { topic: topic.into(), ..echo(record) }])
        }
        "partition" => {
            let (partition, rest) = number_and(&rest)?;
            record.value = Payload::Text(rest.into());
            Ok(vec![Outgoing { partition: Some(partition), ..echo(record) }])
        }
        name => {
            record.value = common(&record, name, &rest)?;
            process(record)
        }
    }
}

/// What is to be sent for a record, and to which topic it is told where that was stored.
struct Send {
    outgoing: Outgoing,
    tell: Option<String>,
}

fn send(outgoing: Outgoing) -> Result<Option<Send>, Failure> {
    Ok(Some(Send { outgoing, tell: None }))
}

/// Returns what is to be sent for the record.
fn handle(mut record: Incoming) -> Result<Option<Send>, Failure> {
    let Some((name, rest)) = command(&record.value) else {
        let send_to = record.headers.iter().find(|h| h.name == "send-to").map(|h| h.value.clone());
        return match send_to {
            Some(Payload::Text(topic)) => send(Outgoing { topic, ..echo(record) }),
            _ => Ok(None),
        };
    };
    let rest = rest.to_string();
    match name {
        "bare" => handle(bare(record, rest)),
        "send" => {
            let (topic, text) = cut(&rest);
            send(outgoing(record, topic, None, text))
        }
        "where" => {
            let (topic, text) = cut(&rest);
            let tell = Some(out(&record.topic));
            Ok(Some(Send { outgoing: outgoing(record, topic, None, text), tell }))
        }
        "sendto" => {
            let (topic, rest) = cut(&rest);
            let (partition, text) = number_and(rest)?;
            send(outgoing(record, topic, Some(partition), text))
        }
        "request" => request(record, REQUEST_TIMEOUT_MS, &rest),
        "ask" => {
            let (timeout_ms, rest) = number_and(&rest)?;
            request(record, timeout_ms, rest)
        }
        name => {
            record.value = common(&record, name, &rest)?;
            handle(record)
        }
    }
}

fn request(record: Incoming, timeout_ms: u32, rest: &str) -> Result<Option<Send>, Failure> {
    let (topic, text) = cut(rest);
    let to = out(&record.topic);
    let request = outgoing(record, topic, None, text);
    let answer = requester::request(&request, timeout_ms).map_err(not_sent)?;
    send(Outgoing { topic: to, ..echo(answer) })
}

fn bare(record: Incoming, rest: String) -> Incoming {
    Incoming { key: Payload::None, headers: vec![], value: Payload::Text(rest), ..record }
}

fn stored(topic: String, at: Position) -> Outgoing {
    Outgoing {
        topic,
        partition: None,
        key: Payload::None,
        value: Payload::Text(format!("topic {} partition {} offset {}", at.topic, at.partition, at.offset)),
        headers: vec![],
        timestamp: None,
    }
}

/// Carries out a command that handler and processor know, and returns the value to go on with.
fn common(record: &Incoming, name: &str, rest: &str) -> Result<Payload, Failure> {
    match name {
        "reject" => Err(Failure::Reject(rest.into())),
        "retry" => Err(Failure::Retry(rest.into())),
        "until" => {
            let (n, rest) = number_and(rest)?;
            if record.attempt < n {
                return Err(Failure::Retry(format!("attempt {} of {n}", record.attempt)));
            }
            Ok(Payload::Text(rest.into()))
        }
        "sleep" => {
            let (ms, rest) = number_and(rest)?;
            std::thread::sleep(Duration::from_millis(ms.into()));
            Ok(Payload::Text(rest.into()))
        }
        "trap" => panic!("told to trap"),
        "short" => Ok(Payload::None),
        "describe" => Ok(Payload::Text(format!(
            "topic {} partition {} offset {} timestamp {} attempt {}",
            record.topic, record.partition, record.offset, record.timestamp, record.attempt
        ))),
        unknown => Err(Failure::Reject(format!("unknown command {unknown:?}"))),
    }
}

fn echo(record: Incoming) -> Outgoing {
    Outgoing {
        topic: out(&record.topic),
        partition: None,
        key: record.key,
        value: record.value,
        headers: record.headers,
        timestamp: Some(record.timestamp),
    }
}

fn outgoing(record: Incoming, topic: &str, partition: Option<u32>, text: &str) -> Outgoing {
    Outgoing {
        topic: topic.into(),
        partition,
        key: record.key,
        value: Payload::Text(text.into()),
        headers: record.headers,
        timestamp: None,
    }
}

fn size(value: &Payload) -> usize {
    match value {
        Payload::Text(text) => text.len(),
        Payload::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

fn out(topic: &str) -> String {
    format!("{topic}.out")
}

fn not_sent(error: SendError) -> Failure {
    Failure::Reject(match error {
        SendError::TooLarge(e) => format!("too-large: {} of {} bytes", e.size, e.limit),
        SendError::UnknownTopic(text) => format!("unknown-topic: {text}"),
        SendError::NotAuthorised(text) => format!("not-authorised: {text}"),
        SendError::TimedOut(text) => format!("timed-out: {text}"),
        SendError::Unavailable(text) => format!("unavailable: {text}"),
        SendError::Invalid(text) => format!("invalid: {text}"),
        SendError::Other(text) => format!("other: {text}"),
    })
}

/// The name of a command and what follows it. Values that are no text have none.
fn command(value: &Payload) -> Option<(&str, &str)> {
    match value {
        Payload::Text(text) => text.strip_prefix('!').map(cut),
        _ => None,
    }
}

/// Splits at the first colon; without one the second part is empty.
fn cut(text: &str) -> (&str, &str) {
    text.split_once(':').unwrap_or((text, ""))
}

fn number_and(text: &str) -> Result<(u32, &str), Failure> {
    let (number, rest) = cut(text);
    match number.parse() {
        Ok(n) => Ok((n, rest)),
        Err(e) => Err(Failure::Reject(format!("reading the number {number:?}: {e}"))),
    }
}

export!(Echo);
