//! The names of programs and maps are the same in user space and in the committed kernel objects.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use aya_obj::Object;
use observer::domains;
use observer_common::names::{self, MapName, ProgramName};
use observer_core::domain::Declaration;
use observer_kernel::declared::attachments;

/// The programs of a domain, and the maps that user space opens in its objects.
fn listed(domain: &Declaration) -> (&'static [ProgramName], Vec<MapName>) {
    let (programs, maps) = match domain.name {
        "mem" => (names::mem::PROGRAMS, names::mem::MAPS),
        "disk" => (names::disk::PROGRAMS, names::disk::MAPS),
        "net" => (names::net::PROGRAMS, names::net::MAPS),
        "sites" => (names::sites::PROGRAMS, names::sites::MAPS),
        unknown => panic!("{unknown} lists no names"),
    };
    (programs, [maps, names::MAPS].concat())
}

/// Every domain with each of its objects.
fn objects() -> impl Iterator<Item = (&'static Declaration, Object)> {
    domains::declarations(domains::ALL).into_iter().flat_map(|domain| {
        domain.objects.iter().map(move |object| (domain, Object::parse(object.bytes).unwrap()))
    })
}

#[test]
fn programs_of_objects_and_names_in_user_space_are_the_same() {
    for (domain, object) in objects() {
        let in_object: BTreeSet<&str> = object.programs.keys().map(String::as_str).collect();
        let named: BTreeSet<&str> = listed(domain).0.iter().map(|name| name.as_str()).collect();
        assert_eq!(in_object, named, "{}", domain.name);
    }
}

#[test]
fn every_program_serves_a_hook() {
    for domain in domains::declarations(domains::ALL) {
        let used: BTreeSet<ProgramName> =
            attachments(&[domain]).map(|attachment| attachment.program).collect();
        assert_eq!(used, listed(domain).0.iter().copied().collect(), "{}", domain.name);
    }
}

#[test]
fn every_map_that_user_space_opens_is_in_every_object_of_its_domain() {
    for (domain, object) in objects() {
        for map in listed(domain).1 {
            assert!(object.maps.contains_key(map.as_str()), "{} lacks {map}", domain.name);
        }
        let has_control = object.maps.contains_key(names::CONTROL.as_str());
        assert_eq!(has_control, domain.name == "net", "{}", domain.name);
    }
}
