//! What a Rust program keeps: one line on standard input is one request.
//! `stores SHAPE SIZE BOUND`

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    env,
    io::{self, BufRead as _},
    sync::mpsc,
};

fn main() {
    let words: Vec<String> = env::args().collect();
    let size: usize = words[2].parse().unwrap();
    let bound: usize = words[3].parse().unwrap();
    let mut queue = VecDeque::new();
    let mut tree = BTreeMap::new();
    let mut table = HashMap::new();
    let (sender, _receiver) = mpsc::channel();
    for (served, line) in io::stdin().lock().lines().enumerate() {
        let line = line.unwrap();
        match words[1].as_str() {
            // A receiver that takes nothing.
            "channel" => sender.send(vec![1u8; size]).unwrap(),
            "tree" => drop(tree.insert(line, vec![1u8; size])),
            "window" => {
                queue.push_back(vec![1u8; size]);
                if queue.len() > bound {
                    queue.pop_front();
                }
            }
            "table" => drop(table.insert(served % bound, vec![1u8; size])),
            other => panic!("{} is no shape", other),
        }
    }
}
