//! The scenes of the replay tests, on the running kernel.

use observer_tests::{
    require_root,
    scene::{DISK, MEM, NET, Scene},
};

fn play(scene: Scene) {
    require_root();
    scene.play();
}

#[test]
fn mappings_of_a_process_are_exact_live_and_replayed() {
    play(MEM);
}

#[test]
fn deleted_files_are_exact_live_and_replayed() {
    play(DISK);
}

#[test]
fn traffic_of_processes_is_exact_live_and_replayed() {
    play(NET);
}
