//! Counts the words of each text: for each word of a record there is one record in the topic `<topic>.words`, with the
//! word in lower case as its key and how often it is in the text as its value.
//!
//! It knows nothing of Kafka's transactions. With the link's `transactions=true` each text is counted exactly once all
//! the same.
wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "messaging-kafka:examples/word-count", generate_all });

use std::collections::BTreeMap;

use exports::messaging_kafka::records::processor::Guest;
use messaging_kafka::records::types::{Failure, Incoming, Outgoing, Payload};

struct WordCount;

impl Guest for WordCount {
    fn process(records: Vec<Incoming>) -> Vec<Result<Vec<Outgoing>, Failure>> {
        records.into_iter().map(process).collect()
    }
}

fn process(record: Incoming) -> Result<Vec<Outgoing>, Failure> {
    let text = match &record.value {
        Payload::None => return Ok(vec![]),
        Payload::Text(text) => text,
        Payload::Bytes(_) | Payload::Base64(_) => return Err(Failure::Reject("the text is not UTF-8".into())),
    };
    let topic = format!("{}.words", record.topic);
    let outputs = count(text).into_iter().map(|(word, n)| Outgoing {
        topic: topic.clone(),
        partition: None,
        key: Payload::Text(word),
        value: Payload::Text(n.to_string()),
        headers: vec![],
        timestamp: Some(record.timestamp),
    });
    Ok(outputs.collect())
}

fn count(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for word in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

export!(WordCount);
