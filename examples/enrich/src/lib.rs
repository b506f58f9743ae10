//! Gives each order the currency of its country and sends it on.
//!
//! An order is a JSON object with a field "country", such as {"id":7,"country":"FR","amount":12.50}. It goes to the
//! topic that the component's config names in "topic", or else to `<topic>.enriched`, with the field "currency" and the
//! header "enriched-from" added. Tombstones go there too, as they are.
wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "messaging-kafka:examples/enrich", generate_all });

use exports::messaging_kafka::records::handler::Guest;
use messaging_kafka::records::producer;
use messaging_kafka::records::types::{Failure, Header, Incoming, Outgoing, Payload, SendError};
use serde_json::{Map, Value};
use wasi::config::store;

struct Enrich;

impl Guest for Enrich {
    fn handle(records: Vec<Incoming>) -> Vec<Result<(), Failure>> {
        let topic = match store::get("topic") {
            Ok(topic) => topic,
            Err(e) => {
                let failure = Failure::Retry(format!("reading the config: {e:?}"));
                return vec![Err(failure); records.len()];
            }
        };
        let mut enriched = Vec::with_capacity(records.len());
        let mut results: Vec<Result<(), Failure>> = records
            .into_iter()
            .map(|record| enrich(record, topic.as_deref()).map(|order| enriched.push(order)))
            .collect();

        // One call for the whole batch is many times as fast as one for each record.
        let mut sent = producer::send(&enriched).into_iter();
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            let sent = sent.next().expect("a result for each record sent");
            *result = sent.map(|_position| ()).map_err(not_sent);
        }
        results
    }
}

fn enrich(record: Incoming, topic: Option<&str>) -> Result<Outgoing, Failure> {
    let value = match &record.value {
        Payload::None => Payload::None,
        Payload::Text(order) => Payload::Text(with_currency(order).map_err(Failure::Reject)?),
        Payload::Bytes(_) | Payload::Base64(_) => return Err(Failure::Reject("the order is not UTF-8".into())),
    };
    let mut headers = record.headers;
    headers.push(Header {
        name: "enriched-from".into(),
        value: Payload::Text(format!(
            "{}/{}/{}",
            record.topic, record.partition, record.offset
        )),
    });
    Ok(Outgoing {
        topic: topic.map_or_else(|| format!("{}.enriched", record.topic), Into::into),
        partition: None,
        key: record.key,
        value,
        headers,
        timestamp: Some(record.timestamp),
    })
}

fn with_currency(order: &str) -> Result<String, String> {
    let mut order: Map<String, Value> =
        serde_json::from_str(order).map_err(|e| format!("the order is not a JSON object: {e}"))?;
    let country = order
        .get("country")
        .and_then(Value::as_str)
        .ok_or("the order has no country")?;
    let currency = match country {
        "AT" | "DE" | "ES" | "FR" | "IT" | "NL" => "EUR",
        "CH" => "CHF",
        "GB" => "GBP",
        "US" => "USD",
        unknown => return Err(format!("the currency of country {unknown:?} is not known")),
    };
    order.insert("currency".into(), currency.into());
    Ok(Value::Object(order).to_string())
}

/// What the record itself rules out is rejected; all else may be mended outside, so the record is worth another try.
fn not_sent(error: SendError) -> Failure {
    match error {
        SendError::TooLarge(e) => {
            Failure::Reject(format!("{} bytes are more than {}", e.size, e.limit))
        }
        SendError::Invalid(text) => Failure::Reject(text),
        SendError::UnknownTopic(text)
        | SendError::NotAuthorised(text)
        | SendError::TimedOut(text)
        | SendError::Unavailable(text)
        | SendError::Other(text) => Failure::Retry(text),
    }
}

export!(Enrich);
