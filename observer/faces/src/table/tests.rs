//! Exact tables at some widths, and properties at every width.

use super::*;
use crate::samples;

/// The report without colours, between line breaks so that its first line is aligned with the others.
fn text(report: &Report, width: usize) -> String {
    format!("\n{}\n", lines(report, Some(width), Paint::Bare, Notes::Whole).join("\n"))
}

#[test]
fn memory_at_full_width() {
    assert_eq!(
        text(&samples::mem(), 160),
        "
Memory 23.5 GiB, 61 % used, growing by 41 MiB a minute: full in about 3 h 40 min. One leak suspected: worker.py.

   PID  COMMAND                 UNIT               RSS      1 MIN       RATE /min  TREND     VERDICT
 24117  worker.py               jobs.service   1.9 GiB  +38.2 MiB  +38.1 ±0.4 MiB  ▁▂▃▄▅▆▇█  leak     every low point is higher than the last, for 11 min
  3310  java                    app.service    4.2 GiB   +2.9 MiB   +3.0 ±2.1 MiB  ▂▅▁▄▂▇▅█  growing  12 min more needed to rule out a warm-up
   812  redis-server            redis.service  2.1 GiB   +102 KiB               0  ▃▆▃       stable
     9  漢字のプロセス (ended)  –              717 KiB          0               0  –         unknown
 214 more, together 3.1 GiB.                                                                  lost: nothing · not seen: nothing · 2026-11-20 10:00:00 UTC
"
    );
}

#[test]
fn memory_at_eighty_columns_keeps_size_and_verdict() {
    assert_eq!(
        text(&samples::mem(), 80),
        "
Memory 23.5 GiB, 61 % used, growing by 41 MiB a minute: full in about 3 h 40
min. One leak suspected: worker.py.

   PID  COMMAND                RSS      1 MIN       RATE /min  TREND     VERDICT
 24117  worker.py          1.9 GiB  +38.2 MiB  +38.1 ±0.4 MiB  ▁▂▃▄▅▆▇█  leak
  3310  java               4.2 GiB   +2.9 MiB   +3.0 ±2.1 MiB  ▂▅▁▄▂▇▅█  growing
   812  redis-server       2.1 GiB   +102 KiB               0  ▃▆▃       stable
     9  漢字のプロセス (…  717 KiB          0               0  –         unknown
 214 more, together 3.1 GiB.
 lost: nothing · not seen: nothing · 2026-11-20 10:00:00 UTC
"
    );
}

#[test]
fn memory_at_twenty_columns_keeps_process_and_size() {
    assert_eq!(
        text(&samples::mem(), 20),
        "
Memory 23.5 GiB, 61
% used, growing by
41 MiB a minute:
full in about 3 h 40
min. One leak
suspected:
worker.py.

 COMMAND         RSS
 worker.py   1.9 GiB
 java        4.2 GiB
 redis-ser…  2.1 GiB
 漢字のプ…   717 KiB
 214 more, together
  3.1 GiB.
 lost: nothing · not
  seen: nothing
"
    );
}

#[test]
fn a_deleted_file_is_named_by_its_end_and_freed_by_the_line_below() {
    assert_eq!(
        text(&samples::deleted_open(), 60),
        "
/var (ext4, 40 GiB) holds 7.3 GiB in 2 deleted files.
Freeing them: restart legacy.service, or see below.

 ALLOCATED       GROWS  FILE               HELD BY
   7.1 GiB  +4.4 MiB/s  …legacy/debug.log  1204 legacyd (le…
   opened for append: `truncate -s 0 /proc/1204/fd/7` frees
     it without a restart
   180 MiB           –  /var/tmp/sort.8Jx  4410 sort, 4411 …

 note: files deleted before observer started have the name
       they had last, which may be in a directory that has
       been moved since
 lost: nothing · not seen: only what is noted
"
    );
}

#[test]
fn links_follow_the_processes_and_losses_come_last() {
    assert_eq!(
        text(&samples::net(), 120),
        "
eth0 sends 912 Mbit/s of 1 Gbit/s (91 %): backup takes 84 % of it and adds 38 ms to every round trip.

  PID  COMMAND   UNIT                 SENDS    RECEIVES  SHARE  SINCE START  TO              LIMITED BY
 7721  restic    backup.service  768 Mbit/s  1.1 Mbit/s   84 %     38.2 GiB  s3.example:443  the link; its queue holds …
 1833  postgres  pg.service       92 Mbit/s    4 Mbit/s   10 %      1.1 GiB  10.0.0.7:5432   the receiver reads slowly
 2210  curl      –               300 kbit/s  8.8 Mbit/s    1 %       40 MiB  mirror:443      latency: 81 ms a round trip

 LINK     SPEED       SENDS   RECEIVES   USE   DROPS
 eth0  1 Gbit/s  912 Mbit/s  16 Mbit/s  91 %  12,345
 lost: 12 records, 1 map entry · not seen: 3 processes' names, the cause of 4 KiB · 2026-11-20 10:00:00 UTC
"
    );
}

#[test]
fn no_line_is_wider_than_asked_and_none_ends_in_blanks() {
    for report in samples::all() {
        for width in 1..=210 {
            for line in lines(&report, Some(width), Paint::Bare, Notes::Whole) {
                assert!(width::width(&line) <= width, "{width}: {line:?}");
                assert_eq!(line.trim_end(), line);
            }
        }
    }
}

#[test]
fn important_rows_are_marked_only_by_colour() {
    let coloured = lines(&samples::mem(), Some(120), Paint::Coloured, Notes::Whole);
    let bare = lines(&samples::mem(), Some(120), Paint::Bare, Notes::Whole);
    let leak = coloured.iter().find(|line| line.contains("worker.py  ")).expect("the leak is shown");
    assert!(leak.starts_with("\x1b[1;31m") && leak.ends_with("\x1b[0m"), "{leak:?}");
    assert!(bare.iter().all(|line| !line.contains('\x1b')));
    assert_eq!(coloured.len(), bare.len());
}

#[test]
fn a_loss_is_never_shown_as_nothing() {
    let mut report = samples::mem();
    report.loss.ring = 1;
    let drawn = text(&report, 120);
    assert!(drawn.contains("lost: 1 record ·") && !drawn.contains("lost: nothing"), "{drawn}");
}

/// `OBSERVER_LOOK=1 cargo test -p observer look -- --nocapture` shows every sample at every width.
#[test]
fn look() {
    for report in samples::all() {
        for width in [200, 120, 80, 40, 20] {
            let drawn = lines(&report, Some(width), Paint::Coloured, Notes::Whole).join("\n");
            if std::env::var_os("OBSERVER_LOOK").is_some() {
                println!("{}\n{drawn}\n", "=".repeat(width));
            }
            assert!(!drawn.is_empty());
        }
    }
}

#[test]
fn sentences_are_wrapped_beside_their_label() {
    assert_eq!(
        text(&samples::overview(), 72),
        "
1 thing runs out on web-3.

 NOW    /var is full in 9 to 12 min: legacyd (legacy.service) appends
        4.4 MiB/s to /var/log/legacy/debug.log, deleted 12 min ago.
        → truncate -s 0 /proc/1204/fd/7
 watch  eth0 is 71 % used.
 lost: nothing · not seen: nothing · 2026-11-20 10:00:00 UTC
"
    );
}
