//! The scenes of the replay tests, on the kernel that is running.

use observer_tests::{
    require_root,
    scene::{DISK, MEM, NET, Scene},
};

fn play(scene: Scene) {
    require_root();
    scene.play();
}

#[test]
fn what_a_process_maps_is_told_live_and_replayed() {
    play(MEM);
}

#[test]
fn files_without_a_name_are_told_live_and_replayed() {
    play(DISK);
}

#[test]
fn what_processes_say_to_each_other_is_told_live_and_replayed() {
    play(NET);
}
