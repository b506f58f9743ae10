//! Stands in for the bus of a wasmCloud 1.9 host behind a component that imports it, in hosts that have none: there are no
//! links to choose from, and whoever chooses one is told so.
wit_bindgen::generate!({ path: ["../wit", "wit"], world: "messaging-kafka:test-bus/bus", generate_all });

use exports::wasmcloud::bus::lattice::{CallTargetInterface, Guest, GuestCallTargetInterface};

struct Bus;

struct Target;

impl GuestCallTargetInterface for Target {
    fn new(_namespace: String, _package: String, _interface: String) -> Self {
        Target
    }
}

impl Guest for Bus {
    type CallTargetInterface = Target;

    fn set_link_name(name: String, _interfaces: Vec<CallTargetInterface>) -> Result<(), String> {
        Err(format!("there is no link {name:?}: this host has no lattice"))
    }
}

export!(Bus);
