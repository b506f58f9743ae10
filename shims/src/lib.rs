//! Components between `wasi:http` and the interfaces that components of this project use. Each feature is one:
//!
//! | feature | stands | what the bridge needs |
//! |---|---|---|
//! | `handler` | before a component that exports `messaging-kafka:records/handler` | `deliver: http-records` |
//! | `processor` | before one that exports `messaging-kafka:records/processor` | `deliver: http-records` |
//! | `messaging` | before one that exports `wasmcloud:messaging/handler@0.2.0` | `deliver: http-messages` |
//! | `producer` | behind one that imports `messaging-kafka:records/producer` or `requester` | `listen` |
//! | `consumer` | behind one that imports `wasmcloud:messaging/consumer@0.2.0` | `listen` |
//! | `config` | behind one that imports `wasi:config/store@0.2.0-draft` | nothing |
#![allow(clippy::large_enum_variant)]

#[cfg(feature = "handler")]
wit_bindgen::generate!({ path: ["../wit", "wit"], world: "messaging-kafka:shims/handler", generate_all });
#[cfg(feature = "processor")]
wit_bindgen::generate!({ path: ["../wit", "wit"], world: "messaging-kafka:shims/processor", generate_all });
#[cfg(feature = "messaging")]
wit_bindgen::generate!({ path: ["../wit", "wit"], world: "messaging-kafka:shims/messaging", generate_all });
#[cfg(feature = "producer")]
wit_bindgen::generate!({ path: ["../wit", "wit"], world: "messaging-kafka:shims/producer", generate_all });
#[cfg(feature = "consumer")]
wit_bindgen::generate!({ path: ["../wit", "wit"], world: "messaging-kafka:shims/consumer", generate_all });
#[cfg(feature = "config")]
wit_bindgen::generate!({ path: ["../wit", "wit"], world: "messaging-kafka:shims/config", generate_all });

#[cfg(any(feature = "producer", feature = "consumer"))]
mod ask;
#[cfg(any(
    feature = "handler",
    feature = "processor",
    feature = "messaging",
    feature = "producer",
    feature = "consumer"
))]
mod body;
#[cfg(any(feature = "messaging", feature = "consumer"))]
mod messages;
#[cfg(any(feature = "handler", feature = "processor", feature = "producer"))]
mod records;
#[cfg(any(feature = "handler", feature = "processor", feature = "messaging"))]
mod serve;
pub mod wire;

#[cfg(any(feature = "handler", feature = "processor", feature = "messaging"))]
mod incoming {
    use crate::serve::{malformed, serve};
    use crate::wire::*;
    use wasip2::http::types::{IncomingRequest, ResponseOutparam};

    struct Shim;

    impl wasip2::exports::http::incoming_handler::Guest for Shim {
        #[cfg(any(feature = "handler", feature = "processor"))]
        fn handle(request: IncomingRequest, out: ResponseOutparam) {
            serve(request, out, crate::records::MEDIA_TYPE, |body| {
                let batch =
                    Reader::all(body, |r| r.list(crate::records::incoming)).map_err(malformed)?;
                let mut answer = vec![];
                #[cfg(feature = "handler")]
                put_list(
                    &mut answer,
                    &crate::messaging_kafka::records::handler::handle(&batch),
                    |to, verdict| {
                        put_result(
                            to,
                            verdict,
                            |to, ()| put_u64(to, 0),
                            crate::records::put_failure,
                        )
                    },
                );
                #[cfg(feature = "processor")]
                put_list(
                    &mut answer,
                    &crate::messaging_kafka::records::processor::process(&batch),
                    |to, verdict| {
                        let outputs = |to: &mut Vec<u8>, list: &Vec<_>| {
                            put_list(to, list, crate::records::put_outgoing)
                        };
                        put_result(to, verdict, outputs, crate::records::put_failure)
                    },
                );
                Ok(answer)
            });
        }

        #[cfg(feature = "messaging")]
        fn handle(request: IncomingRequest, out: ResponseOutparam) {
            serve(request, out, crate::messages::MEDIA_TYPE, |body| {
                let batch =
                    Reader::all(body, |r| r.list(crate::messages::message)).map_err(malformed)?;
                let verdicts: Vec<_> = batch
                    .iter()
                    .map(crate::wasmcloud::messaging::handler::handle_message)
                    .collect();
                let mut answer = vec![];
                put_list(&mut answer, &verdicts, |to, verdict| {
                    put_result(
                        to,
                        verdict,
                        |_, ()| (),
                        |to, text: &String| put_bytes(to, text.as_bytes()),
                    )
                });
                Ok(answer)
            });
        }
    }

    wasip2::http::proxy::export!(Shim);
}

#[cfg(feature = "producer")]
mod producer {
    use crate::ask::{ask, Failure, SEND_MS};
    use crate::messaging_kafka::records::types::{Incoming, Outgoing, Position, SendError};
    use crate::records::*;
    use crate::wire::*;

    struct Shim;

    fn send_failed(failure: Failure) -> SendError {
        match failure {
            Failure::Unavailable(text) => SendError::Unavailable(text),
            Failure::TimedOut(text) => SendError::TimedOut(text),
            Failure::NotAuthorised(text) => SendError::NotAuthorised(text),
            Failure::Invalid(text) => SendError::Invalid(text),
        }
    }

    /// The bridge has done what it was asked, and what it says of it is not understood.
    fn not_understood(error: Malformed) -> Failure {
        Failure::TimedOut(format!(
            "the bridge's answer is not of its media type: {}",
            error.0
        ))
    }

    impl crate::exports::messaging_kafka::records::producer::Guest for Shim {
        fn send(records: Vec<Outgoing>) -> Vec<Result<Position, SendError>> {
            let mut body = vec![];
            put_list(&mut body, &records, put_outgoing);
            let results = ask("/v1/records/send", MEDIA_TYPE, &body, SEND_MS).and_then(|answer| {
                Reader::all(&answer, |r| r.list(|r| r.result(position, send_error)))
                    .map_err(not_understood)
                    .and_then(|list| {
                        if list.len() == records.len() {
                            return Ok(list);
                        }
                        Err(not_understood(Malformed(
                            "it has another number of results",
                        )))
                    })
            });
            results.unwrap_or_else(|failure| vec![Err(send_failed(failure)); records.len()])
        }
    }

    impl crate::exports::messaging_kafka::records::requester::Guest for Shim {
        fn request(request: Outgoing, timeout_ms: u32) -> Result<Incoming, SendError> {
            let mut body = vec![];
            put_outgoing(&mut body, &request);
            let path = format!("/v1/records/request?timeout-ms={timeout_ms}");
            let answer =
                ask(&path, MEDIA_TYPE, &body, u64::from(timeout_ms)).map_err(send_failed)?;
            Reader::all(&answer, |r| r.result(incoming, send_error))
                .map_err(|e| send_failed(not_understood(e)))?
        }
    }

    crate::export!(Shim with_types_in crate);
}

#[cfg(feature = "consumer")]
mod consumer {
    use crate::ask::{ask, Failure, SEND_MS};
    use crate::messages::*;
    use crate::wasmcloud::messaging::types::BrokerMessage;
    use crate::wire::*;

    struct Shim;

    fn not_understood(error: Malformed) -> String {
        format!("the bridge's answer is not of its media type: {}", error.0)
    }

    impl crate::exports::wasmcloud::messaging::consumer::Guest for Shim {
        fn request(
            subject: String,
            body: Vec<u8>,
            timeout_ms: u32,
        ) -> Result<BrokerMessage, String> {
            let mut request = vec![];
            put_bytes(&mut request, subject.as_bytes());
            put_bytes(&mut request, &body);
            let path = format!("/v1/messages/request?timeout-ms={timeout_ms}");
            let answer =
                ask(&path, MEDIA_TYPE, &request, u64::from(timeout_ms)).map_err(Failure::text)?;
            Reader::all(&answer, |r| r.result(message, |r| r.string())).map_err(not_understood)?
        }

        fn publish(msg: BrokerMessage) -> Result<(), String> {
            let mut request = vec![];
            put_message(&mut request, &msg);
            let answer = ask("/v1/messages/publish", MEDIA_TYPE, &request, SEND_MS)
                .map_err(Failure::text)?;
            Reader::all(&answer, |r| r.result(|_| Ok(()), |r| r.string()))
                .map_err(not_understood)?
        }
    }

    crate::export!(Shim with_types_in crate);
}

/// The version of `wasi:config` that wasmCloud 1.9 has is a draft that later hosts do not know.
#[cfg(feature = "config")]
mod config {
    use crate::exports::wasi::config::store::{Error, Guest};
    use wasip2::cli::environment::get_environment;

    struct Shim;

    /// What the shims themselves are told is none of the component's config.
    fn is_config(name: &str) -> bool {
        !name.starts_with("MESSAGING_KAFKA_")
    }

    impl Guest for Shim {
        fn get(key: String) -> Result<Option<String>, Error> {
            Ok(Self::get_all()?
                .into_iter()
                .find_map(|(name, value)| (name == key).then_some(value)))
        }

        fn get_all() -> Result<Vec<(String, String)>, Error> {
            let mut variables = get_environment();
            variables.retain(|(name, _)| is_config(name));
            Ok(variables)
        }
    }

    crate::export!(Shim with_types_in crate);
}
